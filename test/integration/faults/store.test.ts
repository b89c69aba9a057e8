import { describe, expect, it, jest } from '@jest/globals'
import { type HTTPFault, startTCPProxy } from '../../support/faultproxy.ts'
import { byChance, fromSomeOn, isPart, isRangedRead, LOAD_BYTES, MIB, someMoment, useFaults } from './harness.ts'

jest.setTimeout(120_000)

const faults = useFaults()

const internalError: HTTPFault = {
  type: 'answer',
  status: 500,
  body: '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>',
}
const stall: HTTPFault = { type: 'stall' }
/** By way of the proxy; what stalls is given up soon, but not what a busy machine delays. */
const faultyStore = ({ type }: HTTPFault) => faults.store(faults.http, type === 'stall' ? 1000 : undefined)
const busy = { code: 'STORE_BUSY', retryable: true }
const unreachable = { code: 'STORE_UNREACHABLE', retryable: true }

describe('a dump', () => {
  it.each<[what: string, fault: HTTPFault]>([
    ['answers 500 now and then', internalError],
    ['takes requests and never answers them, now and then', stall],
    ['loses its answers now and then', { type: 'loseAnswer' }],
    ['is cut off now and then', { type: 'cutRequest', after: MIB }],
  ])('into a store that %s is whole', async (_what, fault) => {
    faults.http.use(byChance(isPart, fault))
    const { artifact } = await faults.dumpLoad({ store: faultyStore(fault) })
    await faults.expectWhole(artifact)
  })

  it.each<[what: string, fault: HTTPFault, expected: object]>([
    ['with 500', internalError, busy],
    ['never', stall, unreachable],
  ])(
    'into a store that answers %s, from some part on is worth a retry, and leaves nothing',
    async (_, fault, expected) => {
      faults.http.use(fromSomeOn(3, isPart, fault))
      const error = await faults.dumpFails(() => faults.dumpLoad({ store: faultyStore(fault) }))
      expect(error).toMatchObject(expected)
      expect(error.message).toContain('load.pgpack')
    },
  )

  it('whose connections to the store are cut again and again is whole', async () => {
    const cuts = Array.from({ length: 6 }, () => someMoment() / 3)
    const wire = await startTCPProxy(faults.minio.server, (n) => {
      const cutAfter = cuts[n]
      return cutAfter === undefined ? {} : { up: { cutAfter } }
    })
    const { artifact } = await faults.dumpLoad({ store: faults.store(wire) })
    await faults.expectWhole(artifact)
    await wire.stop()
  })

  it('into a slow store takes its time and is whole', async () => {
    const wire = await startTCPProxy(faults.minio.server, () => ({
      up: { latencyMs: 15, bytesPerSecond: 6 * MIB, window: MIB },
    }))
    const { artifact } = await faults.dumpLoad({ store: faults.store(wire) })
    await faults.expectWhole(artifact)
    await wire.stop()
  })
})

describe('a restore', () => {
  it.each<[what: string, fault: HTTPFault]>([
    ['answers 500 now and then', internalError],
    ['takes requests and never answers them, now and then', stall],
    ['is cut off now and then', { type: 'cutAnswer', after: MIB + 11 }],
  ])('from a store that %s is whole', async (_what, fault) => {
    const { artifact } = await faults.dumpLoad()
    faults.http.use(byChance(isRangedRead, fault))
    await faults.restoreLoad(artifact, faultyStore(fault), faults.direct())
    await faults.expectRestored()
  })

  it.each<[what: string, fault: HTTPFault, expected: object]>([
    ['with 500', internalError, busy],
    ['never', stall, unreachable],
    ['with a cut connection', { type: 'cutAnswer', after: 0 }, unreachable],
  ])(
    'from a store that answers %s, from some moment on is worth a retry, and changes nothing',
    async (_, fault, expected) => {
      const { artifact } = await faults.dumpLoad()
      const reads = Math.ceil(LOAD_BYTES / (2 * MIB))
      faults.http.use(fromSomeOn(reads, isRangedRead, fault))
      const error = await faults.restoreFails(() => faults.restoreLoad(artifact, faultyStore(fault), faults.direct()))
      expect(error).toMatchObject(expected)
      expect(error.message).toContain('load.pgpack')
    },
  )

  it('from a slow store takes its time and is whole', async () => {
    const { artifact } = await faults.dumpLoad()
    const wire = await startTCPProxy(faults.minio.server, () => ({
      down: { latencyMs: 15, bytesPerSecond: 6 * MIB, window: MIB },
    }))
    await faults.restoreLoad(artifact, faults.store(wire), faults.direct())
    await faults.expectRestored()
    await wire.stop()
  })
})

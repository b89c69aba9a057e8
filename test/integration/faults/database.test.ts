import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { backendsOf } from '../../support/engine.ts'
import { MIB, someMoment, useFaults } from './harness.ts'

jest.setTimeout(120_000)

const faults = useFaults()

/** What the postmaster does with `pg_ctl restart --mode immediate`: it ends as in a crash, and recovers when it starts. */
async function restartImmediately(): Promise<void> {
  const { server } = faults.postgres
  const pidFile = await readFile(join(server.socketDirectory, 'data', 'postmaster.pid'), 'utf8')
  process.kill(Number(pidFile.split('\n')[0]), 'SIGQUIT')
  await server.restart()
}

async function terminate(): Promise<void> {
  const { server } = faults.postgres
  for (const { pid } of await backendsOf(server)) await server.query('SELECT pg_terminate_backend($1)', [pid])
}

/** At a moment that the seed decides nothing passes any more, so that the fault comes in the middle of the COPY. */
function stopAt(direction: 'up' | 'down', moment: number): void {
  faults.wire.use(() => ({ [direction]: { stallAfter: moment } }))
}

const lost = { code: 'POSTGRES_CONNECTION_LOST', retryable: true, reason: 'DatabaseConnectionLost' }

describe('a dump', () => {
  it('whose connection is cut in the middle of the COPY is worth a retry, and leaves nothing', async () => {
    const moment = someMoment()
    faults.wire.use(() => ({ down: { cutAfter: moment } }))
    const error = await faults.dumpFails(() => faults.dumpLoad({ source: faults.proxied() }))
    expect(error).toMatchObject(lost)
  })

  it.each([
    ['the server is restarted', restartImmediately],
    ['its backend is terminated', terminate],
  ])('while which %s is worth a retry, and leaves nothing', async (_what, fault) => {
    const moment = someMoment()
    stopAt('down', moment)
    const error = await faults.dumpFails(async () => {
      const running = faults.dumpLoad({ source: faults.proxied() })
      await faults.passed('down', moment, running)
      await Promise.all([fault(), running])
    })
    expect(error).toMatchObject(lost)
    faults.wire.use(() => ({}))
    const again = await faults.dumpLoad({ source: faults.proxied(), path: 'run/pod-2' })
    await faults.expectWhole(again.artifact)
  })

  it('over a slow network takes its time and is whole', async () => {
    faults.wire.use(() => ({ up: { latencyMs: 5 }, down: { latencyMs: 5, bytesPerSecond: 12 * MIB, window: MIB } }))
    const { artifact } = await faults.dumpLoad({ source: faults.proxied() })
    await faults.expectWhole(artifact)
  })
})

describe('a restore', () => {
  it('whose connection is cut in the middle of the COPY is worth a retry, and changes nothing', async () => {
    const { artifact } = await faults.dumpLoad()
    const moment = someMoment()
    faults.wire.use(() => ({ up: { cutAfter: moment } }))
    const error = await faults.restoreFails(() => faults.restoreLoad(artifact, faults.store(), faults.proxied()))
    expect(error).toMatchObject(lost)
  })

  it.each([
    ['the server is restarted', restartImmediately],
    ['its backend is terminated', terminate],
  ])('while which %s is worth a retry, and changes nothing', async (_what, fault) => {
    const { artifact } = await faults.dumpLoad()
    const moment = someMoment()
    stopAt('up', moment)
    const error = await faults.restoreFails(async () => {
      const running = faults.restoreLoad(artifact, faults.store(), faults.proxied())
      await faults.passed('up', moment, running)
      await Promise.all([fault(), running])
    })
    expect(error).toMatchObject(lost)
    faults.wire.use(() => ({}))
    await faults.restoreLoad(artifact, faults.store(), faults.proxied())
    await faults.expectRestored()
  })

  it('over a slow network takes its time and is whole', async () => {
    const { artifact } = await faults.dumpLoad()
    faults.wire.use(() => ({ up: { latencyMs: 5, bytesPerSecond: 12 * MIB, window: MIB }, down: { latencyMs: 5 } }))
    await faults.restoreLoad(artifact, faults.store(), faults.proxied())
    await faults.expectRestored()
  })
})

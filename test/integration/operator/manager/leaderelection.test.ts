import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from '@jest/globals'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { systemClock } from '../../../../src/operator/manager/clock.ts'
import { createLeaseLock, LeaderElector } from '../../../../src/operator/manager/leaderelection.ts'
import { LEASES, type Lease } from '../../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { waitFor } from '../../../cluster/processes.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { RecordingLog } from '../../../unit/operator/manager/recordinglog.ts'
import { TestPlane } from './plane.ts'
import { TIMING } from './timing.ts'

let cluster: TestPlane
let namespace: string
let children: ChildProcess[]

useApiServer(TestPlane.shared, (plane, fresh) => {
  cluster = plane
  namespace = fresh
  children = []
})

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
})

interface Candidate {
  readonly child: ChildProcess
  /** Resolves when it has logged so. */
  says(message: string): Promise<true>
}

function startCandidate(identity: string): Candidate {
  const script = new URL('./elector.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, cluster.kubeconfig, namespace, identity], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  return {
    child,
    says: (message) => waitFor(`${identity}: ${message}`, 30_000, async () => said.includes(message) || undefined),
  }
}

/** A leads, and b has seen that. */
async function startTwo(): Promise<{ a: Candidate; b: Candidate }> {
  const a = startCandidate('a')
  await a.says('became leader')
  const b = startCandidate('b')
  await b.says('new leader')
  return { a, b }
}

async function lease(): Promise<Lease> {
  return cluster.client.get(LEASES, { namespace, name: 'operator' })
}

async function holder(): Promise<string | undefined> {
  return (await lease()).spec?.holderIdentity
}

describe('LeaderElector on a real API server', () => {
  it('hands over in less than a lease when the leader is told to stop', async () => {
    const { a, b } = await startTwo()
    await waitFor('renewals for a whole lease', 30_000, async () => {
      const { acquireTime = '', renewTime = '' } = (await lease()).spec ?? {}
      return Date.parse(renewTime) - Date.parse(acquireTime) > TIMING.leaseDurationMs || undefined
    })
    expect(await holder()).toBe('a')
    const stoppedAt = performance.now()
    a.child.kill('SIGTERM')
    await b.says('became leader')
    expect(performance.now() - stoppedAt).toBeLessThan(TIMING.leaseDurationMs)
    const { spec } = await lease()
    expect(spec).toMatchObject({ holderIdentity: 'b', leaseDurationSeconds: 3, leaseTransitions: 1 })
    expect(spec?.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  }, 60_000)

  it('takes over from a leader that was killed, after its lease', async () => {
    const { a, b } = await startTwo()
    a.child.kill('SIGKILL')
    const killedAt = performance.now()
    await b.says('became leader')
    const tookMs = performance.now() - killedAt
    // The last renewal lay up to a retry period before, and b saw it up to 2.2 periods later
    expect(tookMs).toBeGreaterThan(TIMING.leaseDurationMs - TIMING.retryPeriodMs - 500)
    expect(tookMs).toBeLessThan(TIMING.leaseDurationMs + 5 * TIMING.retryPeriodMs + 1_000)
    expect(await holder()).toBe('b')
  }, 60_000)

  it('lets go before another takes over when the leader alone is cut off, and does not come back by itself', async () => {
    const { proxy, access } = await cluster.proxied()
    const rest = new RestClient({ access })
    const log = new RecordingLog()
    const lock = createLeaseLock(new KubernetesClient(rest), namespace, 'operator')
    const elector = new LeaderElector({ ...TIMING, lock, identity: 'a', clock: systemClock, log })
    const began = Promise.withResolvers<void>()
    let lostAt = 0
    const leading = elector.run(new AbortController().signal, async (lost) => {
      began.resolve()
      await once(lost, 'abort')
      lostAt = performance.now()
    })
    const failed = expect(leading).rejects.toMatchObject({ message: expect.stringContaining('lost leadership') })
    await began.promise
    const b = startCandidate('b')
    await b.says('new leader')
    proxy.use(() => ({ down: { stallAfter: 0 } }))
    proxy.cutAll()
    await b.says('became leader')
    expect(lostAt).toBeGreaterThan(0)
    expect(lostAt).toBeLessThan(performance.now())
    proxy.use(() => ({}))
    await failed
    expect(await holder()).toBe('b')
    rest.close()
  }, 60_000)
})

import { describe, expect, it } from '@jest/globals'
import type { ClusterAccess } from '../../../../src/operator/manager/access.ts'
import type { Informer } from '../../../../src/operator/manager/informer.ts'
import { Manager } from '../../../../src/operator/manager/manager.ts'
import { splitKey } from '../../../../src/operator/manager/resources.ts'
import { waitFor } from '../../../cluster/processes.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { RecordingLog } from '../../../unit/operator/manager/recordinglog.ts'
import { TestPlane, WIDGETS, type Widget, widget } from './plane.ts'
import { CALM, TIMING } from './timing.ts'

let cluster: TestPlane
let namespace: string

useApiServer(TestPlane.shared, (plane, fresh) => {
  cluster = plane
  namespace = fresh
})

interface Operator {
  readonly manager: Manager
  readonly widgets: Informer<Widget>
  readonly log: RecordingLog
  readonly reconciled: string[]
  readonly done: Promise<unknown>
  stop(): void
}

/** An operator that copies spec.size into the status, as small as one can be; one without timing is no candidate. */
function startOperator(
  identity: string,
  access: ClusterAccess = cluster.access,
  timing: typeof TIMING | null = TIMING,
): Operator {
  const log = new RecordingLog()
  const reconciled: string[] = []
  const manager = new Manager({
    access,
    name: 'widget-operator',
    log,
    health: { host: '127.0.0.1', port: 0 },
    ...(timing && { leaderElection: { ...timing, namespace, leaseName: 'operator', identity } }),
  })
  const widgets = manager.informer(WIDGETS, { namespace })
  const controller = manager.controller({
    name: 'widgets',
    async reconcile(key, { signal }) {
      reconciled.push(key)
      const found = widgets.store.get(key)
      if (found === undefined || found.status?.size === found.spec?.size) return undefined
      const { resourceVersion } = found.metadata ?? {}
      await manager.client.patchStatus(WIDGETS, splitKey(key), { size: found.spec?.size }, { signal, resourceVersion })
      manager.recorder.event(found, 'Normal', 'Resized', `Has size ${found.spec?.size}`)
      return undefined
    },
  })
  controller.watch(widgets)
  const stop = new AbortController()
  const done = manager.start(stop.signal).catch((error: unknown) => error)
  return { manager, widgets, log, reconciled, done, stop: () => stop.abort() }
}

function create(name: string, size: number): Promise<Widget> {
  return cluster.client.create(WIDGETS, widget({ namespace, name }, size))
}

function hasSize(name: string, size: number): Promise<Widget> {
  return waitFor(`${name} has size ${size}`, 30_000, async () => {
    const found = await cluster.client.get(WIDGETS, { namespace, name })
    return found.status?.size === size ? found : undefined
  })
}

function leads(operator: Operator): Promise<true> {
  return waitFor('leadership', 30_000, async () => operator.manager.leads || undefined)
}

async function get(operator: Operator, path: string): Promise<{ code: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${operator.manager.healthPort}${path}`)
  return { code: response.status, text: await response.text() }
}

describe('Manager on a real API server', () => {
  it('reconciles what was there and what comes, tells how it is, and stops', async () => {
    await create('before', 3)
    const operator = startOperator('a', cluster.access, null)
    await hasSize('before', 3)
    await create('after', 4)
    await hasSize('after', 4)
    expect(await get(operator, '/healthz?verbose')).toMatchObject({
      code: 200,
      text: expect.stringContaining('[+]controller-widgets ok'),
    })
    expect(await get(operator, '/readyz')).toMatchObject({ code: 200 })
    const { text } = await get(operator, '/metrics')
    expect(text).toMatch(/controller_runtime_reconcile_total\{controller="widgets",result="success"\} [1-9]/)
    expect(text).toMatch(/rest_client_requests_total\{code="200",method="PATCH",host="127.0.0.1:\d+"\} 2/)
    expect(text).toMatch(/informer_lists_total\{informer="widgets.test.pgpack.io\/v1"\} 1/)
    operator.stop()
    expect(await operator.done).toBeUndefined()
    await expect(get(operator, '/healthz')).rejects.toThrow()
    const events = await cluster.kubectl('get', 'events', '--namespace', namespace)
    expect(events).toMatch(/Resized\s+widget\/before\s+Has size 3/)
  }, 60_000)

  it('lets one of two replicas act; the other one is ready, and takes over within seconds', async () => {
    const a = startOperator('a', cluster.access, CALM)
    await leads(a)
    const b = startOperator('b', cluster.access, CALM)
    await waitFor('b is synced', 30_000, async () => b.widgets.hasSynced || undefined)
    await create('one', 1)
    await hasSize('one', 1)
    expect(await get(b, '/readyz')).toMatchObject({ code: 200 })
    expect((await get(a, '/metrics')).text).toContain('leader_election_master_status{name="operator"} 1')
    expect((await get(b, '/metrics')).text).toContain('leader_election_master_status{name="operator"} 0')
    expect(b.reconciled).toEqual([])
    a.stop()
    expect(await a.done).toBeUndefined()
    await leads(b)
    await create('two', 2)
    await hasSize('two', 2)
    expect(b.reconciled).toContain(`${namespace}/one`)
    b.stop()
    await b.done
  }, 60_000)

  it('ends with an error when its leader is cut off, while the other one acts', async () => {
    const { proxy, access } = await cluster.proxied()
    const a = startOperator('a', access)
    await leads(a)
    const b = startOperator('b')
    await waitFor('b is synced', 30_000, async () => b.widgets.hasSynced || undefined)
    proxy.use(() => ({ down: { stallAfter: 0 } }))
    proxy.cutAll()
    await leads(b)
    expect(a.manager.leads).toBe(false)
    proxy.use(() => ({}))
    expect(await a.done).toMatchObject({ message: expect.stringContaining('lost leadership') })
    await create('after', 5)
    await hasSize('after', 5)
    expect(a.reconciled).not.toContain(`${namespace}/after`)
    b.stop()
    await b.done
  }, 60_000)

  it('waits for an API server that is not there when it starts, and says that it is not ready', async () => {
    const { proxy, access } = await cluster.proxied()
    proxy.use(() => ({ refuse: true }))
    const operator = startOperator('a', access, null)
    await waitFor('health server', 10_000, async () => operator.manager.healthPort !== undefined || undefined)
    expect(await get(operator, '/healthz')).toMatchObject({ code: 200 })
    expect(await get(operator, '/readyz')).toMatchObject({ code: 503, text: expect.stringContaining('not synced') })
    await create('a', 6)
    proxy.use(() => ({}))
    await hasSize('a', 6)
    expect(await get(operator, '/readyz')).toMatchObject({ code: 200 })
    operator.stop()
    expect(await operator.done).toBeUndefined()
  }, 60_000)

  it('can be stopped before it has synced', async () => {
    const { proxy, access } = await cluster.proxied()
    proxy.use(() => ({ refuse: true }))
    const operator = startOperator('a', access)
    await waitFor('health server', 10_000, async () => operator.manager.healthPort !== undefined || undefined)
    operator.stop()
    expect(await operator.done).toBeUndefined()
  }, 30_000)

  it('rejects when its health port is taken', async () => {
    const first = startOperator('a', cluster.access, null)
    await waitFor('health server', 10_000, async () => first.manager.healthPort !== undefined || undefined)
    const second = new Manager({
      access: cluster.access,
      name: 'widget-operator',
      log: new RecordingLog(),
      health: { host: '127.0.0.1', port: first.manager.healthPort ?? 0 },
    })
    await expect(second.start(new AbortController().signal)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    first.stop()
    await first.done
  }, 30_000)
})

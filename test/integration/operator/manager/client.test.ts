import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { KubeConfig } from '@kubernetes/client-node'
import { silentLogger } from '../../../../src/log.ts'
import { createInClusterAccess } from '../../../../src/operator/manager/access.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { systemClock } from '../../../../src/operator/manager/clock.ts'
import { EventRecorder } from '../../../../src/operator/manager/recorder.ts'
import { CONFIG_MAPS, EVENTS, JOBS } from '../../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { waitFor } from '../../../cluster/processes.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { TestPlane, WIDGETS, type Widget, widget } from './plane.ts'

let cluster: TestPlane
let namespace: string

useApiServer(TestPlane.shared, (plane, fresh) => {
  cluster = plane
  namespace = fresh
})

function create(name: string, size?: number): Promise<Widget> {
  return cluster.client.create(WIDGETS, widget({ namespace, name }, size))
}

describe('KubernetesClient on a real API server', () => {
  it('creates, reads, lists by label and page, and deletes', async () => {
    const { client } = cluster
    for (const name of ['a', 'b', 'c']) await create(name)
    await client.patch(WIDGETS, { namespace, name: 'b' }, { metadata: { labels: { color: 'red' } } })
    const first = await client.list(WIDGETS, { namespace, limit: 2 })
    const rest = await client.list(WIDGETS, { namespace, limit: 2, continue: first.continue })
    expect([...first.items, ...rest.items].map((item) => item.metadata?.name)).toEqual(['a', 'b', 'c'])
    expect(rest.continue).toBeUndefined()
    expect(first.items[0]).toMatchObject({ apiVersion: 'test.pgpack.io/v1', kind: 'Widget' })
    const red = await client.list(WIDGETS, { namespace, labelSelector: 'color=red' })
    expect(red.items.map((item) => item.metadata?.name)).toEqual(['b'])
    expect(await client.delete(WIDGETS, { namespace, name: 'b' })).toBe(true)
    expect(await client.delete(WIDGETS, { namespace, name: 'b' })).toBe(false)
    expect(await client.find(WIDGETS, { namespace, name: 'b' })).toBeUndefined()
  })

  it('has times as strings in a single object, a list and a watch alike', async () => {
    const { client } = cluster
    const created = await create('a')
    const time = created.metadata?.creationTimestamp
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const listed = await client.list(WIDGETS, { namespace })
    expect(listed.items[0]?.metadata?.creationTimestamp).toBe(time)
    const stop = new AbortController()
    const from = { namespace, resourceVersion: '0', timeoutSeconds: 60, signal: stop.signal }
    for await (const event of client.watch(WIDGETS, from)) {
      expect(event).toMatchObject({ type: 'ADDED', object: { metadata: { creationTimestamp: time } } })
      break
    }
  })

  it('patches the status, and only the status', async () => {
    const { client } = cluster
    await create('a', 3)
    const patched = await client.patchStatus(WIDGETS, { namespace, name: 'a' }, { phase: 'Ready', size: 3 })
    expect(patched).toMatchObject({ spec: { size: 3 }, status: { phase: 'Ready', size: 3 } })
    const cleared = await client.patchStatus(WIDGETS, { namespace, name: 'a' }, { size: null })
    expect(cleared.status).toEqual({ phase: 'Ready' })
  })

  it('refuses a status patch on a version that is no longer there, as a Conflict', async () => {
    const { client } = cluster
    const ref = { namespace, name: 'a' }
    const { metadata } = await create('a')
    const fresh = await client.patchStatus(
      WIDGETS,
      ref,
      { phase: 'One' },
      { resourceVersion: metadata?.resourceVersion },
    )
    const stale = client.patchStatus(WIDGETS, ref, { phase: 'Two' }, { resourceVersion: metadata?.resourceVersion })
    await expect(stale).rejects.toMatchObject({ statusCode: 409, reason: 'Conflict' })
    const again = client.patchStatus(
      WIDGETS,
      ref,
      { phase: 'Two' },
      { resourceVersion: fresh.metadata?.resourceVersion },
    )
    expect((await again).status).toEqual({ phase: 'Two' })
  })

  it('takes an AlreadyExists for success when it owns the child, and refuses a stranger', async () => {
    const { client } = cluster
    const parent = await create('parent')
    const stranger = await create('stranger')
    const owner = (of: Widget) => ({ kind: 'Widget', name: of.metadata?.name ?? '', uid: of.metadata?.uid ?? '' })
    const ownerReferences = [{ apiVersion: 'test.pgpack.io/v1', ...owner(parent), controller: true }]
    const child = { metadata: { namespace, name: 'child', ownerReferences }, data: { a: '1' } }
    const first = await client.createOwned(CONFIG_MAPS, child, owner(parent))
    const second = await client.createOwned(CONFIG_MAPS, { ...child, data: { a: '2' } }, owner(parent))
    expect([first.created, second.created]).toEqual([true, false])
    expect(second.object).toMatchObject({ metadata: { uid: first.object.metadata?.uid }, data: { a: '1' } })
    await expect(client.createOwned(CONFIG_MAPS, child, owner(stranger))).rejects.toMatchObject({
      message: `ConfigMap ${namespace}/child exists and is not controlled by Widget stranger: delete it, or rename the Widget`,
    })
  })

  it('holds a deleted object by its finalizer until that is removed', async () => {
    const { client } = cluster
    const ref = { namespace, name: 'a' }
    const held = await client.addFinalizer(WIDGETS, await create('a'), 'test.pgpack.io/hold')
    await client.delete(WIDGETS, ref, { uid: held.metadata?.uid ?? '' })
    const deleting = await client.get(WIDGETS, ref)
    expect(deleting.metadata?.deletionTimestamp).toBeDefined()
    await expect(client.removeFinalizer(WIDGETS, held, 'test.pgpack.io/hold')).rejects.toMatchObject({
      statusCode: 409,
    })
    await client.removeFinalizer(WIDGETS, deleting, 'test.pgpack.io/hold')
    expect(await client.find(WIDGETS, ref)).toBeUndefined()
    expect(await client.removeFinalizer(WIDGETS, deleting, 'test.pgpack.io/hold')).toBeUndefined()
  })

  it('does not delete a namesake', async () => {
    const { client } = cluster
    const ref = { namespace, name: 'a' }
    const first = await create('a')
    await client.delete(WIDGETS, ref)
    const second = await create('a')
    expect(await client.delete(WIDGETS, ref, { uid: first.metadata?.uid ?? '' })).toBe(false)
    expect((await client.get(WIDGETS, ref)).metadata?.uid).toBe(second.metadata?.uid)
  })

  it('creates a Job from the typed object, and applies a patch server-side', async () => {
    const { client } = cluster
    const job = await client.create(JOBS, {
      metadata: { namespace, name: 'run' },
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'run', image: 'none:1' }] } } },
    })
    expect(job.spec?.backoffLimit).toBe(6)
    const labels = { app: 'x' }
    const body = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'run', labels } }
    const options = { type: 'apply', fieldManager: 'test', force: true } as const
    expect((await client.patch(JOBS, { namespace, name: 'run' }, body, options)).metadata?.labels).toMatchObject(labels)
  })

  it('shows what the schema refuses', async () => {
    const wrong = { ...widget({ namespace, name: 'a' }), spec: { size: 'big' } } as unknown as Widget
    await expect(cluster.client.create(WIDGETS, wrong)).rejects.toMatchObject({
      statusCode: 422,
      message: expect.stringContaining('spec.size'),
    })
  })

  it('gets 410 for a watch from a version that is gone', async () => {
    const { signal } = new AbortController()
    const events = cluster.client.watch(WIDGETS, { namespace, resourceVersion: '1', timeoutSeconds: 60, signal })
    await expect(events.next()).rejects.toMatchObject({ statusCode: 410, reason: 'Expired' })
  })
})

describe("client-node's KubeConfig on a real API server", () => {
  it('is who the kubeconfig says, as outside a cluster', async () => {
    const config = new KubeConfig()
    config.loadFromFile(cluster.kubeconfig)
    const rest = new RestClient({ access: config })
    await create('a')
    const { items } = await new KubernetesClient(rest).list(WIDGETS, { namespace })
    expect(items).toHaveLength(1)
    rest.close()
  })
})

describe('createInClusterAccess on a real API server', () => {
  it('is the service account whose token it reads', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pgpack-serviceaccount-'))
    const options: RequestOptions = {}
    await cluster.access.applyToHTTPSOptions(options)
    await cluster.kubectl('create', 'serviceaccount', 'operator', '--namespace', namespace)
    const token = await cluster.kubectl('create', 'token', 'operator', '--namespace', namespace)
    await writeFile(join(directory, 'ca.crt'), String(options.ca))
    await writeFile(join(directory, 'token'), token)
    const { host, port } = cluster.address
    const rest = new RestClient({ access: createInClusterAccess({ host, port: String(port), directory }) })
    const listing = new KubernetesClient(rest).list(WIDGETS, { namespace })
    await expect(listing).rejects.toMatchObject({
      statusCode: 403,
      message: expect.stringContaining(`system:serviceaccount:${namespace}:operator`),
    })
    rest.close()
    await rm(directory, { recursive: true })
  })
})

describe('EventRecorder on a real API server', () => {
  it('shows events, counted, in kubectl describe and kubectl get events', async () => {
    const recorder = new EventRecorder({
      client: cluster.client,
      component: 'pgpack-operator',
      instance: 'pod-1',
      clock: systemClock,
      log: silentLogger,
    })
    const object = await create('nightly')
    const dumped = { ...object, kind: 'Widget', apiVersion: 'test.pgpack.io/v1' }
    recorder.event(dumped, 'Normal', 'JobCreated', 'Created Job nightly-1')
    for (let i = 0; i < 3; i++) {
      recorder.event(dumped, 'Warning', 'StoreUnreachable', 'no answer from the store')
      await waitForCount(i + 1)
    }
    await recorder.close(5_000)
    const described = await cluster.kubectl('describe', 'widget', 'nightly', '--namespace', namespace)
    expect(described).toMatch(/Normal\s+JobCreated\s+\S+\s+pgpack-operator\s+Created Job nightly-1/)
    expect(described).toMatch(/Warning\s+StoreUnreachable\s+\S+ \(x3 over \S+\)\s+pgpack-operator\s+no answer/)
    const listed = await cluster.kubectl('get', 'events', '--namespace', namespace, '--sort-by=.lastTimestamp')
    expect(listed).toMatch(/Normal\s+JobCreated\s+widget\/nightly\s+Created Job nightly-1/)
    expect(listed).not.toContain('<unknown>')
  })

  function waitForCount(count: number): Promise<true> {
    return waitFor(`an event with count ${count}`, 10_000, async () => {
      const { items } = await cluster.client.list(EVENTS, { namespace })
      return items.some((event) => event.reason === 'StoreUnreachable' && event.count === count) || undefined
    })
  }
})

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { isTransient } from '../../../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { systemClock } from '../../../../src/operator/manager/clock.ts'
import {
  createListWatch,
  Informer,
  type InformerOptions,
  type ListWatch,
} from '../../../../src/operator/manager/informer.ts'
import type { InformerRestart } from '../../../../src/operator/manager/metrics.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { waitFor } from '../../../cluster/processes.ts'
import type { TCPProxy } from '../../../support/faultproxy.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { RecordingLog } from '../../../unit/operator/manager/recordinglog.ts'
import { OwnPlane, WIDGETS, type Widget, widget } from './plane.ts'

let cluster: OwnPlane
let namespace: string
/** What the informer talks through, so that it can be cut without hurting the test's own requests. */
let proxy: TCPProxy
let rest: RestClient
let source: ListWatch<Widget>
let events: string[]
let restarts: InformerRestart[]
let lists: number
let log: RecordingLog
let stopping: AbortController
let running: Promise<void> | undefined

useApiServer(OwnPlane.start, (plane, fresh) => {
  cluster = plane
  namespace = fresh
})

beforeEach(async () => {
  const proxied = await cluster.proxied()
  proxy = proxied.proxy
  rest = new RestClient({ access: proxied.access })
  source = createListWatch(new KubernetesClient(rest), WIDGETS, { namespace })
  events = []
  restarts = []
  lists = 0
  log = new RecordingLog()
  stopping = new AbortController()
})

afterEach(async () => {
  stopping.abort(new Error('the test is over'))
  await running
  rest.close()
})

async function start(options: Partial<InformerOptions<Widget>> = {}): Promise<Informer<Widget>> {
  const metrics = { listed: () => void lists++, restarted: (reason: InformerRestart) => void restarts.push(reason) }
  const informer = new Informer<Widget>({ name: 'widgets', source, clock: systemClock, log, metrics, ...options })
  informer.addHandler(({ type, object }) => events.push(`${type} ${object.metadata?.name} ${object.spec?.size}`))
  running = informer.run(stopping.signal)
  await informer.waitForSync(AbortSignal.timeout(20_000))
  return informer
}

function create(name: string): Promise<Widget> {
  return cluster.client.create(WIDGETS, widget({ namespace, name }))
}

function resize(name: string, size: number): Promise<Widget> {
  return cluster.client.patch(WIDGETS, { namespace, name }, { spec: { size } })
}

/** Also after refusals in a row, between which the informer waits up to 30 s. */
function seen(...expected: string[]): Promise<true> {
  return waitFor(
    expected.join(', '),
    90_000,
    async () => expected.every((event) => events.includes(event)) || undefined,
  )
}

describe('Informer on a real API server', () => {
  it('sees what is there, additions, changes and deletions', async () => {
    await create('before')
    const informer = await start()
    expect(events).toEqual(['add before 1'])
    await create('after')
    await resize('before', 5)
    await cluster.client.delete(WIDGETS, { namespace, name: 'after' })
    await seen('add after 1', 'update before 5', 'delete after 1')
    expect(informer.store.get(`${namespace}/before`)).toMatchObject({ kind: 'Widget', spec: { size: 5 } })
    expect(informer.store.get(`${namespace}/before`)?.metadata?.managedFields).toBeUndefined()
    expect(informer.store.size).toBe(1)
    expect(lists).toBe(1)
  })

  it('reads more objects than a page holds', async () => {
    await Promise.all(Array.from({ length: 25 }, (_, i) => create(`w${i}`)))
    const informer = await start({ pageSize: 10 })
    expect(informer.store.size).toBe(25)
  })

  it('goes on after its connection was cut, without a new list', async () => {
    await create('a')
    await start()
    proxy.cutAll()
    await resize('a', 2)
    await seen('update a 2')
    expect(restarts).toContain('failed')
    expect(lists).toBe(1)
  }, 30_000)

  it('finds out what happened while the API server could not be reached', async () => {
    await create('stays')
    await create('goes')
    const informer = await start()
    proxy.use(() => ({ refuse: true }))
    proxy.cutAll()
    await cluster.client.delete(WIDGETS, { namespace, name: 'goes' })
    await resize('stays', 7)
    await create('comes')
    await waitFor('several failures', 20_000, async () => restarts.length >= 3 || undefined)
    expect(informer.store.size).toBe(2)
    proxy.use(() => ({}))
    await seen('update stays 7', 'add comes 1', 'delete goes 1')
    expect(
      informer.store
        .list()
        .map((item) => item.metadata?.name)
        .sort(),
    ).toEqual(['comes', 'stays'])
  })

  it('notices a watch that is stuck: open, and silent without even a bookmark', async () => {
    await create('a')
    const informer = await start({ idleTimeoutMs: 2_000 })
    // Connections from now on are open and silent, the first one after the quiet of two seconds
    proxy.use(() => ({ down: { stallAfter: 0 } }))
    const idleTwice = async () => restarts.filter((reason) => reason === 'idle').length >= 2 || undefined
    await waitFor('idle twice', 30_000, idleTwice)
    proxy.use(() => ({}))
    await resize('a', 3)
    await seen('update a 3')
    expect(informer.check()).toBeUndefined()
  }, 60_000)

  it('survives an API server that is stopped (SIGSTOP) and goes on', async () => {
    await create('a')
    await start({ idleTimeoutMs: 2_000 })
    cluster.pause()
    try {
      await waitFor('idle', 20_000, async () => restarts.includes('idle') || undefined)
    } finally {
      cluster.resume()
    }
    await waitFor('the API server answers', 20_000, () => resize('a', 4))
    await seen('update a 4')
  }, 90_000)

  it('lists again when its version is gone, and tells what it missed', async () => {
    await create('a')
    await create('b')
    // The watch begins at a version before everything the server remembers
    let first = true
    const outdated: ListWatch<Widget> = {
      async list(page) {
        const list = await source.list(page)
        if (!first) return list
        first = false
        await cluster.client.delete(WIDGETS, { namespace, name: 'b' })
        return { ...list, resourceVersion: '1' }
      },
      watch: (from) => source.watch(from),
    }
    await start({ source: outdated })
    await seen('delete b 1')
    expect(restarts[0]).toBe('expired')
    expect(lists).toBe(2)
  }, 30_000)

  it('lists again when etcd was compacted while the API server was away', async () => {
    await create('stays')
    await create('goes')
    const informer = await start()
    proxy.use(() => ({ refuse: true }))
    proxy.cutAll()
    await cluster.client.delete(WIDGETS, { namespace, name: 'goes' })
    await resize('stays', 8)
    await cluster.compact()
    // An API server that goes on has the changes of the last minutes in its own memory
    await cluster.restart()
    proxy.use(() => ({}))
    await seen('delete goes 1', 'update stays 8')
    expect(restarts).toContain('expired')
    expect(lists).toBe(2)
    expect(informer.store.size).toBe(1)
  }, 120_000)

  it('gets bookmarks, so that it can go on after a long quiet time', async () => {
    await start()
    const stop = new AbortController()
    // The server sends one before it ends a watch
    const from = { resourceVersion: '0', timeoutSeconds: 3, signal: stop.signal }
    const types: string[] = []
    for await (const event of source.watch(from)) types.push(event.type)
    expect(types).toContain('BOOKMARK')
  }, 30_000)

  it('survives an API server that is killed and starts again', async () => {
    await create('a')
    await create('b')
    const informer = await start()
    await cluster.restart()
    await cluster.client.delete(WIDGETS, { namespace, name: 'b' })
    await resize('a', 9)
    await seen('update a 9', 'delete b 1')
    expect(informer.store.size).toBe(1)
  }, 120_000)
})

describe('KubernetesClient', () => {
  it('waits out an API server that stands still for a moment, and gives up on one that does not come back', async () => {
    const { client } = cluster
    cluster.pause()
    try {
      // The signal stops a process of many threads a moment later
      await waitFor('no answer', 10_000, async () => {
        const answer = client.list(WIDGETS, { timeoutMs: 300, retry: false })
        return answer.then(() => undefined).catch((error: unknown) => isTransient(error) || undefined)
      })
      const waiting = client.list(WIDGETS, { namespace, timeoutMs: 1_000 })
      setTimeout(() => cluster.resume(), 1_500)
      expect((await waiting).items).toEqual([])
    } finally {
      cluster.resume()
    }
  }, 30_000)
})

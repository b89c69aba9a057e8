import { describe, expect, it, jest } from '@jest/globals'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import type { ObjectList } from '../../../../src/operator/manager/client.ts'
import { Informer, type InformerEvent, type ListWatch } from '../../../../src/operator/manager/informer.ts'
import type { InformerRestart } from '../../../../src/operator/manager/metrics.ts'
import type { ApiObject } from '../../../../src/operator/manager/resources.ts'
import type { WatchEvent } from '../../../../src/operator/manager/watch.ts'
import { FakeClock, settle } from './fakeclock.ts'
import { RecordingLog } from './recordinglog.ts'

const MINUTE = 60_000

function object(name: string, resourceVersion: string, uid = name): ApiObject {
  return { metadata: { namespace: 'ns', name, uid, resourceVersion } }
}

type Ending = { end: true } | { error: unknown }

/** A list and a watch that a test plays by hand. */
class FakeSource implements ListWatch<ApiObject> {
  readonly lists: Array<{ limit: number; continue: string | undefined }> = []
  readonly watches: Array<{ resourceVersion: string; timeoutSeconds: number; signal: AbortSignal }> = []
  pages: Array<ObjectList<ApiObject> | Error> = []
  #queue: Array<WatchEvent<ApiObject> | Ending> = []
  #wake: () => void = () => undefined

  list(page: { limit: number; continue: string | undefined }): Promise<ObjectList<ApiObject>> {
    this.lists.push(page)
    const answer = this.pages.length > 1 ? this.pages.shift() : this.pages[0]
    if (answer instanceof Error) return Promise.reject(answer)
    return Promise.resolve(answer ?? { items: [], resourceVersion: '1' })
  }

  async *watch(from: { resourceVersion: string; timeoutSeconds: number; signal: AbortSignal }) {
    this.watches.push(from)
    this.#queue = []
    for (;;) {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        if ('end' in next) return
        if ('error' in next) throw next.error
        yield next
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        from.signal.addEventListener('abort', () => resolve())
      })
      from.signal.throwIfAborted()
    }
  }

  async send(...events: Array<WatchEvent<ApiObject> | Ending>): Promise<void> {
    this.#queue.push(...events)
    this.#wake()
    await settle()
  }
}

function gone(): ApiError {
  return ApiError.fromStatus({ code: 410, reason: 'Expired' }, { request: 'WATCH /x' })
}

interface Harness {
  readonly source: FakeSource
  readonly clock: FakeClock
  readonly log: RecordingLog
  readonly informer: Informer<ApiObject>
  readonly events: string[]
  readonly restarts: InformerRestart[]
  start(): Promise<void>
  stop(): Promise<void>
}

function createHarness(...pages: Array<ObjectList<ApiObject> | Error>): Harness {
  const source = new FakeSource()
  source.pages = pages
  const clock = new FakeClock()
  const log = new RecordingLog()
  const restarts: InformerRestart[] = []
  const informer = new Informer<ApiObject>({
    name: 'things',
    source,
    clock,
    log,
    random: () => 0,
    metrics: { listed: () => undefined, restarted: (reason) => restarts.push(reason) },
  })
  const events: string[] = []
  informer.addHandler((event) => events.push(describeEvent(event)))
  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()
  return {
    ...{ source, clock, log, informer, events, restarts },
    async start() {
      running = informer.run(stopped.signal)
      await settle()
    },
    async stop() {
      stopped.abort(new Error('stopped'))
      await running
    },
  }
}

function describeEvent(event: InformerEvent<ApiObject>): string {
  const { name, resourceVersion } = event.object.metadata ?? {}
  return `${event.type} ${name}@${resourceVersion}`
}

describe('Informer', () => {
  it('lists, then watches from the version of the list', async () => {
    const harness = createHarness({ items: [object('a', '3')], resourceVersion: '5' })
    expect(harness.informer.hasSynced).toBe(false)
    await harness.start()
    expect(harness.informer.hasSynced).toBe(true)
    expect(harness.informer.store.get('ns/a')).toMatchObject({ metadata: { resourceVersion: '3' } })
    expect(harness.source.watches).toMatchObject([{ resourceVersion: '5', timeoutSeconds: 300 }])
    expect(harness.events).toEqual(['add a@3'])
    await harness.stop()
  })

  it('follows additions, changes and deletions', async () => {
    const harness = createHarness({ items: [object('a', '3')], resourceVersion: '5' })
    await harness.start()
    await harness.source.send(
      { type: 'ADDED', object: object('b', '6') },
      { type: 'MODIFIED', object: object('a', '7') },
      { type: 'DELETED', object: object('b', '8') },
    )
    expect(harness.events).toEqual(['add a@3', 'add b@6', 'update a@7', 'delete b@8'])
    expect(harness.informer.store.list().map((item) => item.metadata?.name)).toEqual(['a'])
    await harness.stop()
  })

  it('reads a list page by page', async () => {
    const harness = createHarness(
      { items: [object('a', '1')], resourceVersion: '5', continue: 'p2' },
      { items: [object('b', '2')], resourceVersion: '5', continue: 'p3' },
      { items: [object('c', '3')], resourceVersion: '5' },
    )
    await harness.start()
    expect(harness.source.lists).toMatchObject([
      { limit: 100, continue: undefined },
      { limit: 100, continue: 'p2' },
      { limit: 100, continue: 'p3' },
    ])
    expect(harness.informer.store.size).toBe(3)
    await harness.stop()
  })

  it('begins a list again whose next page has expired, and is not synced before it is whole', async () => {
    const harness = createHarness({ items: [object('a', '1')], resourceVersion: '5', continue: 'p2' }, gone(), {
      items: [object('a', '1'), object('b', '2')],
      resourceVersion: '9',
    })
    await harness.start()
    await harness.clock.advance(1)
    expect(harness.source.lists.map((page) => page.continue)).toEqual([undefined, 'p2', undefined])
    expect(harness.informer.store.size).toBe(2)
    expect(harness.informer.hasSynced).toBe(true)
    await harness.stop()
  })

  it('goes on where it was when the server ends the watch', async () => {
    const harness = createHarness({ items: [], resourceVersion: '5' })
    await harness.start()
    await harness.source.send({ type: 'ADDED', object: object('a', '6') }, { end: true })
    await harness.clock.advance(1)
    expect(harness.source.lists).toHaveLength(1)
    expect(harness.source.watches.map((watch) => watch.resourceVersion)).toEqual(['5', '6'])
    await harness.stop()
  })

  it('goes on from a bookmark, which spares a quiet resource the relist', async () => {
    const harness = createHarness({ items: [], resourceVersion: '5' })
    await harness.start()
    await harness.source.send({ type: 'BOOKMARK', resourceVersion: '900' }, { end: true })
    await harness.clock.advance(1)
    expect(harness.source.watches.at(-1)?.resourceVersion).toBe('900')
    await harness.stop()
  })

  it('lists again when its version is gone, and tells of what was deleted meanwhile', async () => {
    const harness = createHarness(
      { items: [object('a', '1'), object('b', '2')], resourceVersion: '5' },
      { items: [object('b', '7'), object('c', '8')], resourceVersion: '9' },
    )
    await harness.start()
    harness.events.length = 0
    await harness.source.send({ error: gone() })
    await harness.clock.advance(1)
    expect(harness.restarts).toEqual(['expired'])
    expect(harness.events).toEqual(['update b@7', 'add c@8', 'delete a@1'])
    expect(harness.source.watches.at(-1)?.resourceVersion).toBe('9')
    await harness.stop()
  })

  it('tells of an object that was deleted and created again under its name as of two', async () => {
    const harness = createHarness(
      { items: [object('a', '1', 'first')], resourceVersion: '5' },
      { items: [object('a', '8', 'second')], resourceVersion: '9' },
    )
    await harness.start()
    harness.events.length = 0
    await harness.source.send({ error: gone() })
    await harness.clock.advance(1)
    expect(harness.events).toEqual(['delete a@1', 'add a@8'])
    await harness.stop()
  })

  it('backs off from a server that fails, with jitter, at most 30 s, and logs each failure', async () => {
    const harness = createHarness(new ApiError('no answer', { request: 'GET /x' }))
    await harness.start()
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      waits.push(harness.clock.untilNext ?? 0)
      await harness.clock.advance(harness.clock.untilNext ?? 0)
    }
    expect(waits).toEqual([400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
    expect(harness.log.messages('warn')).toHaveLength(9)
    expect(harness.informer.hasSynced).toBe(false)
    await harness.stop()
  })

  it('keeps its objects while the server is away, and backs off anew after a sign of life', async () => {
    const harness = createHarness({ items: [object('a', '1')], resourceVersion: '5' })
    await harness.start()
    for (let i = 0; i < 5; i++) {
      await harness.source.send({ error: new Error('socket hang up') })
      await harness.clock.advance(30_000)
    }
    expect(harness.informer.store.size).toBe(1)
    expect(harness.source.lists).toHaveLength(1)
    await harness.source.send({ type: 'BOOKMARK', resourceVersion: '6' }, { error: new Error('socket hang up') })
    expect(harness.clock.untilNext).toBe(400)
    await harness.stop()
  })

  it('does not hammer a server that ends each watch at once', async () => {
    const harness = createHarness({ items: [], resourceVersion: '5' })
    await harness.start()
    await harness.source.send({ end: true })
    await harness.clock.advance(1)
    await harness.source.send({ end: true })
    expect(harness.clock.untilNext).toBeGreaterThanOrEqual(400)
    await harness.stop()
  })

  it('takes a watch without event or bookmark for dead, and watches again from where it was', async () => {
    const harness = createHarness({ items: [], resourceVersion: '5' })
    await harness.start()
    await harness.clock.advance(2 * MINUTE)
    await harness.source.send({ type: 'BOOKMARK', resourceVersion: '6' })
    await harness.clock.advance(2 * MINUTE)
    expect(harness.source.watches).toHaveLength(1)
    await harness.clock.advance(MINUTE + 1)
    expect(harness.restarts).toEqual(['idle'])
    expect(harness.source.watches.map((watch) => watch.resourceVersion)).toEqual(['5', '6'])
    expect(harness.source.watches[0]?.signal.aborted).toBe(true)
    expect(harness.source.lists).toHaveLength(1)
    await harness.stop()
  })

  it('lists everything again after an hour and hands it to the handlers', async () => {
    const harness = createHarness({ items: [object('a', '1')], resourceVersion: '5' })
    await harness.start()
    for (let minute = 0; minute < 59; minute++) {
      await harness.source.send({ type: 'BOOKMARK', resourceVersion: '6' })
      await harness.clock.advance(MINUTE)
    }
    expect(harness.source.lists).toHaveLength(1)
    await harness.clock.advance(MINUTE + 1)
    expect(harness.restarts).toEqual(['relist'])
    expect(harness.source.lists).toHaveLength(2)
    expect(harness.events).toEqual(['add a@1', 'update a@1'])
    await harness.stop()
  })

  it('logs a handler that throws, and calls the next one', async () => {
    const harness = createHarness({ items: [object('a', '1')], resourceVersion: '5' })
    harness.informer.addHandler(() => {
      throw new Error('handler broke')
    })
    const after = jest.fn()
    harness.informer.addHandler(after)
    await harness.start()
    expect(harness.log.messages('error')).toEqual(['event handler threw'])
    expect(after).toHaveBeenCalledTimes(1)
    await harness.stop()
  })

  it('replays what is there to a handler that comes later', async () => {
    const harness = createHarness({ items: [object('a', '1')], resourceVersion: '5' })
    await harness.start()
    const late = jest.fn()
    harness.informer.addHandler(late)
    expect(late).toHaveBeenCalledWith({ type: 'add', object: object('a', '1') })
    await harness.stop()
  })

  it('keeps neither managed fields nor what kubectl applied', async () => {
    const heavy: ApiObject = object('a', '1')
    heavy.metadata = {
      ...heavy.metadata,
      managedFields: [{ manager: 'kubectl' }],
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', kept: 'yes' },
    }
    const harness = createHarness({ items: [heavy], resourceVersion: '5' })
    await harness.start()
    const metadata = harness.informer.store.get('ns/a')?.metadata
    expect(metadata?.managedFields).toBeUndefined()
    expect(metadata?.annotations).toEqual({ kept: 'yes' })
    await harness.stop()
  })

  it('stops in the middle of a backoff and of a watch, without a word in the log', async () => {
    const failing = createHarness(new Error('away'))
    await failing.start()
    await failing.stop()
    expect(failing.clock.timers).toBe(0)
    const watching = createHarness({ items: [], resourceVersion: '5' })
    await watching.start()
    await watching.stop()
    expect(watching.clock.timers).toBe(0)
    expect(watching.log.lines).toEqual([])
  })

  describe('waitForSync', () => {
    it('resolves with the first whole list', async () => {
      const harness = createHarness({ items: [], resourceVersion: '5' })
      const synced = harness.informer.waitForSync(new AbortController().signal)
      await harness.start()
      await synced
      await harness.informer.waitForSync(new AbortController().signal)
      await harness.stop()
    })

    it('rejects with the reason of its signal', async () => {
      const { informer } = createHarness()
      const stop = new AbortController()
      const waiting = informer.waitForSync(stop.signal)
      stop.abort('stopped')
      await expect(waiting).rejects.toBe('stopped')
      await expect(informer.waitForSync(stop.signal)).rejects.toBe('stopped')
    })
  })

  describe('check', () => {
    it('is content before the start, while watching, and while the server is away', async () => {
      const harness = createHarness(new ApiError('no answer', { request: 'GET /x' }))
      expect(harness.informer.check()).toBeUndefined()
      await harness.start()
      await harness.clock.advance(30 * MINUTE)
      expect(harness.informer.check()).toBeUndefined()
      await harness.stop()
      await harness.clock.advance(30 * MINUTE)
      expect(harness.informer.check()).toBeUndefined()
    })

    it('finds an informer that stands still', async () => {
      const harness = createHarness()
      harness.source.list = () => new Promise(() => undefined)
      await harness.start()
      await harness.clock.advance(6 * MINUTE)
      expect(harness.informer.check()).toBeUndefined()
      await harness.clock.advance(1000)
      expect(harness.informer.check()?.message).toBe('informer things has made no attempt for 361 s')
    })
  })
})

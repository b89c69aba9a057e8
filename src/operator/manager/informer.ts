import type { Logger } from '../../log.ts'
import { isGone } from './apierror.ts'
import type { KubernetesClient, ObjectList } from './client.ts'
import { type Clock, createDeadline, jitteredBackoff, sleep } from './clock.ts'
import type { InformerMetrics, InformerRestart } from './metrics.ts'
import { type ApiObject, objectKey, type Resource } from './resources.ts'
import { type Indexer, type ObjectReader, ObjectStore } from './store.ts'
import type { WatchEvent } from './watch.ts'

/** Where an informer's objects come from: one resource, in one namespace or all, behind its selectors. */
export interface ListWatch<T> {
  list(page: { limit: number; continue: string | undefined; signal: AbortSignal }): Promise<ObjectList<T>>
  watch(from: { resourceVersion: string; timeoutSeconds: number; signal: AbortSignal }): AsyncIterable<WatchEvent<T>>
}

/** Which objects of a resource. */
export interface Selection {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export function createListWatch<T extends ApiObject>(
  client: KubernetesClient,
  resource: Resource<T>,
  selection: Selection = {},
): ListWatch<T> {
  return {
    // The informer has its own backoff, and says what failed: retries below it would keep a start silent for a minute
    list: (page) => client.list(resource, { ...selection, ...page, retry: false }),
    watch: (from) => client.watch(resource, { ...selection, ...from }),
  }
}

export type InformerEvent<T> =
  | { readonly type: 'add'; readonly object: T }
  /** `previous` is the same object on a relist that found no change. */
  | { readonly type: 'update'; readonly object: T; readonly previous: T }
  /** The last state seen, which may be older than the one that was deleted. */
  | { readonly type: 'delete'; readonly object: T }

/** Only puts keys on a queue. What it throws is logged. */
export type InformerHandler<T> = (event: InformerEvent<T>) => void

export interface InformerOptions<T extends ApiObject> {
  /** For logs and metrics. */
  readonly name: string
  readonly source: ListWatch<T>
  readonly clock: Clock
  readonly log: Logger
  readonly metrics?: InformerMetrics
  readonly random?: () => number
  /** Runs on every object before it is kept: drop what nobody reads. Default {@link dropManagedFields}. */
  readonly transform?: (object: T) => T
  readonly indexers?: Readonly<Record<string, Indexer<T>>>
  readonly pageSize?: number
  /** Without an event or bookmark (one a minute) for so long, the watch is taken for dead. */
  readonly idleTimeoutMs?: number
  /** All objects are listed again, and handed to the handlers, after so long; up to 10 % later. */
  readonly relistPeriodMs?: number
  /** Called after each full list. */
  readonly onListed?: () => void
}

/** A page is in memory as bytes, as text and as objects at once: client-go's 500 would make 100 MiB of large ones. */
const PAGE_SIZE = 100
const IDLE_TIMEOUT_MS = 3 * 60_000
const RELIST_PERIOD_MS = 60 * 60_000
/** client-go's: the server ends a watch after 5 to 10 minutes, so that load spreads over API servers again. */
const MIN_WATCH_SECONDS = 300
/** client-go's reflector: 800 ms to 30 s. */
const BACKOFF_BASE_MS = 800
const BACKOFF_MAX_MS = 30_000

/** A watch was ended by us, not by the server. */
class WatchInterrupted extends Error {
  override readonly name = 'WatchInterrupted'
  readonly reason: InformerRestart

  constructor(reason: InformerRestart) {
    super(`watch interrupted: ${reason}`)
    this.reason = reason
  }
}

/**
 * A store of one resource's objects that follows the API server by list and watch (client-go's reflector and shared
 * informer). It never gives up: whatever ends a watch (the server's time-out, a cut connection, an ERROR event, 410
 * Gone, silence), it starts again where it was, or lists again when that place is gone, with jittered backoff.
 */
export class Informer<T extends ApiObject> {
  readonly name: string
  readonly #options: InformerOptions<T>
  readonly #store: ObjectStore<T>
  readonly #handlers: InformerHandler<T>[] = []
  readonly #random: () => number
  readonly #idleTimeoutMs: number
  readonly #synced = Promise.withResolvers<void>()
  /** Undefined until the first list, and again whenever the store has to be listed anew. */
  #resourceVersion: string | undefined
  #hasSynced = false
  #failures = 0
  #relistAt = 0
  #aliveAt: number | undefined

  constructor(options: InformerOptions<T>) {
    this.name = options.name
    this.#options = options
    this.#store = new ObjectStore(options.indexers)
    this.#random = options.random ?? Math.random
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS
  }

  get store(): ObjectReader<T> {
    return this.#store
  }

  /** Whether the store has been complete once; it is never emptied after that. */
  get hasSynced(): boolean {
    return this.#hasSynced
  }

  /** Adds a handler, which first gets an `add` for each object that is there. */
  addHandler(handler: InformerHandler<T>): void {
    this.#handlers.push(handler)
    for (const object of this.#store.list()) this.#call(handler, { type: 'add', object })
  }

  /** Resolves when the store has been complete once; rejects with the signal's reason. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    try {
      await Promise.race([this.#synced.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /**
   * For /healthz: an error when this informer itself stands still. An API server that is away is none, as each failed
   * attempt is a sign of life, and a restart of the process would not bring the server back.
   */
  check(): Error | undefined {
    if (this.#aliveAt === undefined) return undefined
    const silence = this.#options.clock.now() - this.#aliveAt
    if (silence <= 2 * this.#idleTimeoutMs) return undefined
    return new Error(`informer ${this.name} has made no attempt for ${Math.round(silence / 1000)} s`)
  }

  /** Follows the server until the signal is aborted, then resolves. Does not throw. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#aliveAt = this.#options.clock.now()
      const delay = await this.#listAndWatch(signal)
      await sleep(this.#options.clock, delay, signal)
    }
    this.#aliveAt = undefined
  }

  /** One list, if one is due, and one watch; milliseconds to wait before the next. */
  async #listAndWatch(signal: AbortSignal): Promise<number> {
    try {
      if (this.#resourceVersion === undefined) await this.#list(signal)
      await this.#watch(signal)
      return this.#restart('ended', undefined)
    } catch (error) {
      if (signal.aborted) return 0
      if (error instanceof WatchInterrupted) return this.#restart(error.reason, undefined)
      return this.#restart(isGone(error) ? 'expired' : 'failed', error)
    }
  }

  #restart(reason: InformerRestart, error: unknown): number {
    const { log, metrics } = this.#options
    metrics?.restarted(reason)
    if (reason === 'relist' || reason === 'expired') this.#resourceVersion = undefined
    const fields = { informer: this.name, reason, failures: this.#failures }
    if (error === undefined) log.debug(fields, 'watch restarts')
    else log.warn({ ...fields, err: error }, 'list or watch failed')
    // A server that ends or expires each watch at once must not be hammered, so only a sign of life resets the count
    const delay =
      this.#failures === 0 && reason !== 'failed'
        ? 0
        : jitteredBackoff(this.#failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, this.#random)
    this.#failures += 1
    return delay
  }

  /** Reads all pages into the store. A failure in between leaves newer objects in it, and the list still to be done. */
  async #list(signal: AbortSignal): Promise<void> {
    const { source, metrics, clock, pageSize = PAGE_SIZE, relistPeriodMs = RELIST_PERIOD_MS } = this.#options
    metrics?.listed()
    const seen = new Set<string>()
    let resourceVersion = ''
    let token: string | undefined
    do {
      const page = await source.list({ limit: pageSize, continue: token, signal })
      for (const object of page.items) {
        seen.add(objectKey(object))
        this.#upsert(object)
      }
      resourceVersion = page.resourceVersion
      token = page.continue
      this.#aliveAt = clock.now()
    } while (token !== undefined)
    for (const key of this.#store.keys()) if (!seen.has(key)) this.#remove(key)
    this.#resourceVersion = resourceVersion
    this.#relistAt = clock.now() + relistPeriodMs * (1 + this.#random() / 10)
    this.#hasSynced = true
    this.#synced.resolve()
    this.#options.onListed?.()
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const idle = createDeadline(clock, this.#idleTimeoutMs, () => new WatchInterrupted('idle'), signal)
    const untilRelist = Math.max(0, this.#relistAt - clock.now())
    const cancelRelist = clock.setTimeout(() => idle.abort(new WatchInterrupted('relist')), untilRelist)
    try {
      const events = this.#options.source.watch({
        resourceVersion: this.#resourceVersion ?? '',
        timeoutSeconds: Math.round(MIN_WATCH_SECONDS * (1 + this.#random())),
        signal: idle.signal,
      })
      for await (const event of events) {
        idle.extend()
        this.#aliveAt = clock.now()
        this.#failures = 0
        this.#observe(event)
      }
    } finally {
      cancelRelist()
      idle.release()
    }
  }

  #observe(event: WatchEvent<T>): void {
    if (event.type === 'BOOKMARK') {
      this.#resourceVersion = event.resourceVersion
      return
    }
    this.#resourceVersion = event.object.metadata?.resourceVersion ?? this.#resourceVersion
    if (event.type === 'DELETED') this.#remove(objectKey(event.object), event.object)
    else this.#upsert(event.object)
  }

  #upsert(found: T): void {
    const object = (this.#options.transform ?? dropManagedFields)(found)
    const previous = this.#store.set(object)
    // Deleted and created again while nobody watched: to the handlers these are two objects
    const replaced = previous !== undefined && previous.metadata?.uid !== object.metadata?.uid
    if (replaced) this.#notify({ type: 'delete', object: previous })
    if (previous === undefined || replaced) this.#notify({ type: 'add', object })
    else this.#notify({ type: 'update', object, previous })
  }

  #remove(key: string, last?: T): void {
    const previous = this.#store.delete(key)
    if (previous !== undefined) this.#notify({ type: 'delete', object: last ?? previous })
  }

  #notify(event: InformerEvent<T>): void {
    for (const handler of this.#handlers) this.#call(handler, event)
  }

  #call(handler: InformerHandler<T>, event: InformerEvent<T>): void {
    try {
      handler(event)
    } catch (error) {
      this.#options.log.error({ informer: this.name, key: objectKey(event.object), err: error }, 'event handler threw')
    }
  }
}

/** Who wrote which field, and kubectl's copy of what was applied: often more than half of an object, and read by nobody here. */
export function dropManagedFields<T extends ApiObject>(object: T): T {
  const { metadata } = object
  if (metadata === undefined) return object
  delete metadata.managedFields
  if (metadata.annotations !== undefined) {
    delete metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']
  }
  return object
}

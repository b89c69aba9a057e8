import { errorMessage } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { type Clock, createDeadline, type Deadline, sleep } from './clock.ts'
import type { Informer, InformerEvent } from './informer.ts'
import type { ControllerMetrics, ReconcileResult } from './metrics.ts'
import type { RateLimiter } from './ratelimiter.ts'
import { type ApiObject, objectKey, splitKey } from './resources.ts'
import { WorkQueue } from './workqueue.ts'

export interface ReconcileContext {
  /** Aborted when the reconcile takes too long, or when the process has to stop and cannot wait any longer. */
  readonly signal: AbortSignal
  /** Carries the controller, namespace and name. */
  readonly log: Logger
}

/** `requeueAfterSeconds`: look again then, even if nothing happens. */
export type ReconcileOutcome = { readonly requeueAfterSeconds?: number } | undefined

/**
 * Brings one object's world to what its spec says. Level-based: it gets a key, not an event, and may be called at any
 * time. What it throws is logged, counted, and tried again after the key's backoff.
 * @param key `namespace/name`
 */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileOutcome>

export interface ControllerOptions {
  readonly name: string
  readonly reconcile: Reconcile
  readonly clock: Clock
  readonly log: Logger
  readonly metrics?: ControllerMetrics
  readonly rateLimiter?: RateLimiter
  /** Reconciles at once, each on another key. Default 1. */
  readonly workers?: number
  /** After which a reconcile's signal is aborted. Default 2 minutes. */
  readonly reconcileTimeoutMs?: number
  /** /healthz fails when a key is worked on, or waits, for longer. Default 10 minutes. */
  readonly stuckAfterMs?: number
}

const RECONCILE_TIMEOUT_MS = 2 * 60_000
const STUCK_AFTER_MS = 10 * 60_000
/** What a reconcile gets to clean up after its signal was aborted. */
const ABORT_GRACE_MS = 2_000

/** Workers that take keys from a queue and reconcile them. */
export class Controller {
  readonly name: string
  readonly queue: WorkQueue
  readonly #options: ControllerOptions
  readonly #sources: Array<() => void> = []
  readonly #running = new Set<Deadline>()
  #workers: Promise<void>[] = []

  constructor(options: ControllerOptions) {
    this.name = options.name
    this.#options = options
    this.queue = new WorkQueue({
      clock: options.clock,
      ...(options.rateLimiter && { rateLimiter: options.rateLimiter }),
      ...(options.metrics && { metrics: options.metrics.queue }),
    })
  }

  /**
   * Puts keys on the queue for an informer's events: `map` says which (none: the event does not matter). Without it the
   * object's own key. For an update it is asked about both states, so an object that changes hands wakes both owners.
   * Nothing is queued before {@link start}: a standby would collect keys for as long as it waits.
   */
  watch<T extends ApiObject>(informer: Informer<T>, map: EventMapper<T> = (object) => [objectKey(object)]): this {
    const handler = (event: InformerEvent<T>): void => {
      if (event.type === 'update') for (const key of map(event.previous, event)) this.queue.add(key)
      for (const key of map(event.object, event)) this.queue.add(key)
    }
    this.#sources.push(() => informer.addHandler(handler))
    return this
  }

  /** Starts with what the informers hold; they are synced by then. */
  start(): void {
    for (const startSource of this.#sources) startSource()
    this.#workers = Array.from({ length: this.#options.workers ?? 1 }, () => this.#work())
  }

  /**
   * Takes no more keys and waits for the running reconciles; those that are not done after `graceMs` have their signals
   * aborted and get two more seconds.
   * @returns whether all of them ended
   */
  async stop(graceMs: number): Promise<boolean> {
    this.queue.shutDown('discard')
    if (await this.#endedWithin(graceMs)) return true
    for (const reconcile of this.#running) reconcile.abort(new Error('the controller stops'))
    const ended = await this.#endedWithin(ABORT_GRACE_MS)
    if (!ended) this.#options.log.error({ controller: this.name }, 'reconciles still run after stop')
    return ended
  }

  /** For /healthz: an error when the queue stands still. */
  check(): Error | undefined {
    const limit = (this.#options.stuckAfterMs ?? STUCK_AFTER_MS) / 1000
    const { longestRunningSeconds, longestWaitSeconds } = this.queue
    if (Math.max(longestRunningSeconds, longestWaitSeconds) <= limit) return undefined
    const running = `a key is worked on for ${Math.round(longestRunningSeconds)} s`
    return new Error(`${this.name}: ${running}, one waits for ${Math.round(longestWaitSeconds)} s`)
  }

  async #endedWithin(ms: number): Promise<boolean> {
    const timer = new AbortController()
    const workers = Promise.all(this.#workers).then(() => true)
    const late = sleep(this.#options.clock, ms, timer.signal).then(() => false)
    const ended = await Promise.race([workers, late])
    timer.abort()
    return ended
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.queue.get()
      if (key === undefined) return
      await this.#reconcileKey(key)
      this.queue.done(key)
    }
  }

  async #reconcileKey(key: string): Promise<void> {
    const { clock, metrics } = this.#options
    const startedAt = clock.now()
    const log = this.#options.log.child({ controller: this.name, ...splitKey(key) })
    metrics?.started()
    const result = await this.#attempt(key, log)
    const seconds = (clock.now() - startedAt) / 1000
    metrics?.finished(result, seconds)
    log.debug({ result, seconds }, 'reconciled')
  }

  async #attempt(key: string, log: Logger): Promise<ReconcileResult> {
    const { reconcile, clock, reconcileTimeoutMs = RECONCILE_TIMEOUT_MS } = this.#options
    const timedOut = (): Error => new Error(`reconcile took over ${reconcileTimeoutMs} ms`)
    const deadline = createDeadline(clock, reconcileTimeoutMs, timedOut)
    this.#running.add(deadline)
    try {
      const outcome = await reconcile(key, { signal: deadline.signal, log })
      this.queue.forget(key)
      const { requeueAfterSeconds } = outcome ?? {}
      if (requeueAfterSeconds === undefined) return 'success'
      this.queue.addAfter(key, requeueAfterSeconds * 1000)
      return 'requeue_after'
    } catch (error) {
      if (this.queue.shuttingDown) {
        log.info({ reason: errorMessage(error) }, 'reconcile interrupted')
        return 'error'
      }
      this.queue.addRateLimited(key)
      log.error({ err: error, reason: errorMessage(error), failures: this.queue.failures(key) }, 'reconcile failed')
      return 'error'
    } finally {
      this.#running.delete(deadline)
      deadline.release()
    }
  }
}

/** The keys that an informer's object (before or after its change) concerns. */
export type EventMapper<T> = (object: T, event: InformerEvent<T>) => readonly string[]

/** Maps a child to the key of the object of this kind that controls it. */
export function mapToController(kind: string, apiGroup: string): EventMapper<ApiObject> {
  return (object) => {
    const owner = object.metadata?.ownerReferences?.find(
      (reference) =>
        reference.controller === true &&
        reference.kind === kind &&
        // The group without the version: a newer operator may have written the reference
        reference.apiVersion.split('/')[0] === apiGroup,
    )
    if (owner === undefined) return []
    const namespace = object.metadata?.namespace
    return [namespace === undefined ? owner.name : `${namespace}/${owner.name}`]
  }
}

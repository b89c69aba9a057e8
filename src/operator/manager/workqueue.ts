import type { Clock } from './clock.ts'
import { createExponentialRateLimiter, type RateLimiter } from './ratelimiter.ts'

/** What a queue tells about itself; times in seconds. See metrics.ts. */
export interface WorkQueueMetrics {
  depth(keys: number): void
  added(): void
  /** How long a key waited for a worker. */
  waited(seconds: number): void
  /** How long a worker held a key. */
  worked(seconds: number): void
  retried(): void
}

export interface WorkQueueOptions {
  readonly clock: Clock
  readonly rateLimiter?: RateLimiter
  readonly metrics?: WorkQueueMetrics
}

const NO_METRICS: WorkQueueMetrics = {
  depth: () => undefined,
  added: () => undefined,
  waited: () => undefined,
  worked: () => undefined,
  retried: () => undefined,
}

/**
 * A queue of keys with client-go's semantics (util/workqueue):
 * - a key that waits is there once, however often it is added;
 * - a key that a worker holds is never given to a second one; when it is added meanwhile it comes again after
 *   {@link done}, so no change is lost;
 * - keys come in the order they were added.
 *
 *            add                  get                done
 *     idle ───────► queued ─────────────► processing ──────► idle
 *                     ▲                    │ add
 *                     │      done          ▼
 *                     └────────────── processing, dirty
 */
export class WorkQueue {
  readonly #clock: Clock
  readonly #rateLimiter: RateLimiter
  readonly #metrics: WorkQueueMetrics
  /** Keys to hand out, in order; each with the time it was queued. A Map, as it keeps order and drops its head in O(1). */
  readonly #queued = new Map<string, number>()
  /** Keys that workers hold, each with the time it was handed out. */
  readonly #processing = new Map<string, number>()
  /** Keys added while a worker holds them. */
  readonly #dirty = new Set<string>()
  /** Keys that are to be added later. */
  readonly #delayed = new Map<string, { readyAt: number; cancel: () => void }>()
  readonly #idleWorkers: Array<(key: string | undefined) => void> = []
  readonly #drainWaiters: Array<() => void> = []
  #shuttingDown = false

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock
    this.#rateLimiter = options.rateLimiter ?? createExponentialRateLimiter()
    this.#metrics = options.metrics ?? NO_METRICS
  }

  /** Keys that wait for a worker, without the delayed ones. */
  get depth(): number {
    return this.#queued.size
  }

  get shuttingDown(): boolean {
    return this.#shuttingDown
  }

  /** Sum over the keys being worked on, in seconds: rises for ever when a worker hangs. */
  get unfinishedWorkSeconds(): number {
    const now = this.#clock.now()
    let sum = 0
    for (const since of this.#processing.values()) sum += now - since
    return sum / 1000
  }

  /** How long the slowest worker holds its key by now, in seconds. */
  get longestRunningSeconds(): number {
    return this.#secondsSinceOldest(this.#processing)
  }

  /** How long the first key has waited by now, in seconds. */
  get longestWaitSeconds(): number {
    return this.#secondsSinceOldest(this.#queued)
  }

  add(key: string): void {
    if (this.#shuttingDown || this.#queued.has(key) || this.#dirty.has(key)) return
    this.#metrics.added()
    if (this.#processing.has(key)) this.#dirty.add(key)
    else this.#enqueue(key)
  }

  /** Adds the key in `ms` milliseconds; of several delays of one key the earliest end counts. */
  addAfter(key: string, ms: number): void {
    if (this.#shuttingDown) return
    if (ms <= 0) {
      this.add(key)
      return
    }
    const readyAt = this.#clock.now() + ms
    const earlier = this.#delayed.get(key)
    if (earlier !== undefined && earlier.readyAt <= readyAt) return
    earlier?.cancel()
    const cancel = this.#clock.setTimeout(() => {
      this.#delayed.delete(key)
      this.add(key)
    }, ms)
    this.#delayed.set(key, { readyAt, cancel })
  }

  /** Adds a key whose work failed, after its own backoff. */
  addRateLimited(key: string): void {
    if (this.#shuttingDown) return
    this.#metrics.retried()
    this.addAfter(key, this.#rateLimiter.when(key))
  }

  /** The key's work succeeded: its backoff starts again. */
  forget(key: string): void {
    this.#rateLimiter.forget(key)
  }

  /** Failures of the key in a row. */
  failures(key: string): number {
    return this.#rateLimiter.failures(key)
  }

  /** The next key, which its taker must give back with {@link done}; undefined when the queue is shut down. */
  get(): Promise<string | undefined> {
    const [head] = this.#queued.keys()
    if (head !== undefined) return Promise.resolve(this.#take(head))
    if (this.#shuttingDown) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#idleWorkers.push(resolve))
  }

  done(key: string): void {
    const since = this.#processing.get(key)
    if (since === undefined) return
    this.#processing.delete(key)
    this.#metrics.worked((this.#clock.now() - since) / 1000)
    if (this.#dirty.delete(key)) this.#enqueue(key)
    this.#settleDrain()
  }

  /**
   * Takes nothing more and ends every waiting {@link get}. `drain` still hands out what is queued; `discard` drops it:
   * the work is level-based, and the next start lists everything again. Delayed keys are dropped in both.
   */
  shutDown(mode: 'drain' | 'discard'): void {
    this.#shuttingDown = true
    for (const { cancel } of this.#delayed.values()) cancel()
    this.#delayed.clear()
    if (mode === 'discard') {
      this.#queued.clear()
      this.#dirty.clear()
      this.#metrics.depth(0)
    }
    for (const worker of this.#idleWorkers.splice(0)) worker(undefined)
    this.#settleDrain()
  }

  /** Resolves when nothing is queued and no worker holds a key; the caller bounds the wait. */
  drained(): Promise<void> {
    if (this.#isDrained()) return Promise.resolve()
    return new Promise((resolve) => this.#drainWaiters.push(resolve))
  }

  #enqueue(key: string): void {
    this.#queued.set(key, this.#clock.now())
    this.#metrics.depth(this.#queued.size)
    const worker = this.#idleWorkers.shift()
    if (worker !== undefined) worker(this.#take(key))
  }

  #take(key: string): string {
    const now = this.#clock.now()
    this.#metrics.waited((now - (this.#queued.get(key) ?? now)) / 1000)
    this.#queued.delete(key)
    this.#processing.set(key, now)
    this.#metrics.depth(this.#queued.size)
    return key
  }

  #isDrained(): boolean {
    return this.#processing.size === 0 && this.#queued.size === 0
  }

  #settleDrain(): void {
    if (this.#isDrained()) for (const waiter of this.#drainWaiters.splice(0)) waiter()
  }

  /** Maps keep insertion order and time does not go back, so the first is the oldest. */
  #secondsSinceOldest(keys: ReadonlyMap<string, number>): number {
    const [oldest] = keys.values()
    return oldest === undefined ? 0 : (this.#clock.now() - oldest) / 1000
  }
}

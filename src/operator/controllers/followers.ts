import { errorMessage } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { decodeProgress, type Progress } from '../../run/progress.ts'
import { type Clock, jitteredBackoff, sleep } from '../manager/clock.ts'
import { type ObjectRef, refKey } from '../manager/resources.ts'
import { type MeasuredProgress, toCount } from '../status/progress.ts'
import { splitLines } from './lines.ts'
import type { Pacer } from './pacer.ts'
import { RATE_WINDOW_MS, RateMeter } from './rate.ts'

/** Opens the log of a pod's engine, and follows it until the container ends or the signal is aborted. */
export type LogSource = (pod: ObjectRef, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>

export interface FollowersOptions {
  readonly logs: LogSource
  readonly clock: Clock
  readonly log: Logger
  /** Called with the run's key when its progress has moved, at most every {@link PROGRESS_INTERVAL_MS}. */
  readonly moved: (key: string) => void
  /** Whose turn it is, of all the runs of all kinds. */
  readonly pacer: Pacer
  /** Log streams at once. A run beyond it shows no progress and is otherwise as good as any. Default 200. */
  readonly maxFollowers?: number
}

/** Data that changes all the time has no place in etcd more often than this. */
export const PROGRESS_INTERVAL_MS = 5_000
const MAX_FOLLOWERS = 200
const RECONNECT_BASE_MS = 1_000
const RECONNECT_MAX_MS = 30_000

interface Follower {
  readonly pod: string
  readonly abort: AbortController
  readonly meter: RateMeter
  /** The newest line, known at once. */
  newest?: MeasuredProgress
  /** What reconciles see: changes at most every {@link PROGRESS_INTERVAL_MS}. */
  published?: MeasuredProgress
  publishedAt: number
  /** Takes back the next publication, until it is due and then until its turn comes. */
  cancelNext: () => void
  cancelIdleTimer: () => void
}

/**
 * Follows the logs of running pods, one stream a run, and keeps the newest progress of each. Progress is cumulative, so
 * nothing is lost with a line that was missed, and a stream that breaks is simply opened again.
 */
export class ProgressFollowers {
  readonly #options: FollowersOptions
  readonly #followers = new Map<string, Follower>()

  constructor(options: FollowersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#followers.size
  }

  /** Follows this pod for the run from now on, instead of any other. */
  follow(key: string, pod: ObjectRef): void {
    const name = refKey(pod)
    if (this.#followers.get(key)?.pod === name) return
    this.stop(key)
    if (this.#followers.size >= (this.#options.maxFollowers ?? MAX_FOLLOWERS)) return
    const follower: Follower = {
      pod: name,
      abort: new AbortController(),
      meter: new RateMeter(),
      publishedAt: Number.NEGATIVE_INFINITY,
      cancelNext: () => undefined,
      cancelIdleTimer: () => undefined,
    }
    this.#followers.set(key, follower)
    void this.#run(key, pod, follower)
  }

  stop(key: string): void {
    const follower = this.#followers.get(key)
    if (follower === undefined) return
    this.#followers.delete(key)
    follower.cancelNext()
    follower.cancelIdleTimer()
    follower.abort.abort(new Error('the pod is not followed any more'))
  }

  stopAll(): void {
    for (const key of [...this.#followers.keys()]) this.stop(key)
  }

  /** The progress of the run's pod, if it is the one that is followed. */
  progressOf(key: string, pod: ObjectRef): MeasuredProgress | undefined {
    const follower = this.#followers.get(key)
    return follower?.pod === refKey(pod) ? follower.published : undefined
  }

  /** Does not reject: what goes wrong is logged, and the stream is opened again until somebody stops it. */
  async #run(key: string, pod: ObjectRef, follower: Follower): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = follower.abort
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        for await (const line of splitLines(await this.#options.logs(pod, signal))) {
          failures = 0
          this.#take(key, follower, decodeProgress(line))
        }
      } catch (error) {
        if (!signal.aborted) log.debug({ ...pod, reason: errorMessage(error) }, 'log stream ended with an error')
      }
      await sleep(clock, jitteredBackoff(failures, RECONNECT_BASE_MS, RECONNECT_MAX_MS, Math.random), signal)
    }
  }

  #take(key: string, follower: Follower, progress: Progress | undefined): void {
    if (progress === undefined || this.#followers.get(key) !== follower) return
    const { clock } = this.#options
    const rate = follower.meter.measure(clock.now(), toCount(progress.bytes))
    const waiting = follower.newest !== follower.published
    follower.cancelIdleTimer()
    // Who moves nothing says nothing: its rate would stand for ever.
    follower.cancelIdleTimer = clock.setTimeout(() => this.#stalled(key, follower), RATE_WINDOW_MS)
    if (!waiting && !hasMoved(follower.published, progress)) return
    follower.newest = rate === undefined ? progress : { ...progress, bytesPerSecond: rate }
    if (waiting) return
    const due = follower.publishedAt + PROGRESS_INTERVAL_MS - clock.now()
    if (due <= 0) this.#queue(key, follower)
    else follower.cancelNext = clock.setTimeout(() => this.#queue(key, follower), due)
  }

  #stalled(key: string, follower: Follower): void {
    if (!follower.newest?.bytesPerSecond) return
    follower.newest = { ...follower.newest, bytesPerSecond: 0 }
    this.#queue(key, follower)
  }

  #queue(key: string, follower: Follower): void {
    follower.cancelNext()
    follower.cancelNext = this.#options.pacer.enqueue(() => this.#publish(key, follower))
  }

  #publish(key: string, follower: Follower): void {
    if (follower.newest === undefined) return
    follower.published = follower.newest
    follower.publishedAt = this.#options.clock.now()
    this.#options.moved(key)
  }
}

function hasMoved(before: Progress | undefined, after: Progress): boolean {
  const of = ({ objectsDone, rows, bytes, storedBytes, percent }: Progress): string =>
    [objectsDone, rows, bytes, storedBytes, percent].join()
  return before === undefined || of(before) !== of(after)
}

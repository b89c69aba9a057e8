/** Time as the manager sees it. Injected, so that tests move it by hand. */
export interface Clock {
  /** Milliseconds since an arbitrary moment; never goes back, whatever happens to the time of day. */
  now(): number
  /** The time of day, only for what others read (Lease, Event); never compared with a deadline. */
  date(): Date
  /** Calls `callback` once after `ms` milliseconds. The returned function cancels it. */
  setTimeout(callback: () => void, ms: number): () => void
}

/** Node fires a longer timer after 1 ms (its delay is a signed 32-bit integer). */
export const MAX_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  setTimeout(callback, ms) {
    let timer: NodeJS.Timeout
    const arm = (left: number): void => {
      timer =
        left > MAX_TIMER_MS
          ? setTimeout(() => arm(left - MAX_TIMER_MS), MAX_TIMER_MS)
          : setTimeout(callback, Math.max(0, left))
    }
    arm(ms)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted; the caller looks at the signal. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const end = (): void => {
      cancel()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.setTimeout(end, ms)
    signal?.addEventListener('abort', end)
  })
}

/** An abort controller that also follows another signal and a deadline, and lets go of both. */
export interface Deadline {
  readonly signal: AbortSignal
  abort(reason: unknown): void
  /** Starts the time again, as after a sign of life. */
  extend(): void
  /** Stops the timer and forgets the parent, so that a long-lived parent keeps nothing alive. */
  release(): void
}

/** `reason()` makes what the signal is aborted with when the time is over. */
export function createDeadline(
  clock: Clock,
  ms: number | undefined,
  reason: () => unknown,
  parent?: AbortSignal,
): Deadline {
  const controller = new AbortController()
  const abort = (cause: unknown): void => controller.abort(cause)
  const follow = (): void => abort(parent?.reason)
  let cancel = (): void => undefined
  const arm = (): void => {
    cancel()
    if (ms !== undefined) cancel = clock.setTimeout(() => abort(reason()), ms)
  }
  arm()
  if (parent?.aborted) follow()
  parent?.addEventListener('abort', follow)
  return {
    signal: controller.signal,
    abort,
    extend: arm,
    release() {
      cancel()
      parent?.removeEventListener('abort', follow)
    },
  }
}

/** Exponential backoff with jitter: between half and all of `baseMs * 2^failures`, at most `maxMs`. */
export function jitteredBackoff(failures: number, baseMs: number, maxMs: number, random: () => number): number {
  // 2^failures overflows to Infinity, which min() caps
  return Math.min(maxMs, baseMs * 2 ** failures) * (0.5 + random() / 2)
}

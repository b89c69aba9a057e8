import type { Clock } from './clock.ts'

/** Says how long a key has to wait before it is tried again (client-go's workqueue.RateLimiter). */
export interface RateLimiter {
  /** Milliseconds to wait; counts as one more failure of the key. */
  when(key: string): number
  /** The key succeeded: its next failure is its first. */
  forget(key: string): void
  /** Failures since the last {@link forget}. */
  failures(key: string): number
}

export interface BackoffOptions {
  readonly baseMs?: number
  readonly maxMs?: number
}

/** `baseMs * 2^failures` for each key on its own; client-go's defaults, 5 ms to 1000 s. */
export function createExponentialRateLimiter({ baseMs = 5, maxMs = 1_000_000 }: BackoffOptions = {}): RateLimiter {
  const failures = new Map<string, number>()
  return {
    when(key) {
      const count = failures.get(key) ?? 0
      failures.set(key, count + 1)
      return Math.min(maxMs, baseMs * 2 ** count)
    },
    forget: (key) => void failures.delete(key),
    failures: (key) => failures.get(key) ?? 0,
  }
}

export interface BucketOptions {
  readonly clock: Clock
  /** Tokens that come back each second. */
  readonly perSecond: number
  /** Tokens the full bucket holds. */
  readonly burst: number
}

/** A bucket of tokens that refills with time. */
export class TokenBucket {
  readonly #options: BucketOptions
  #tokens: number
  #refilledAt: number

  constructor(options: BucketOptions) {
    this.#options = options
    this.#tokens = options.burst
    this.#refilledAt = options.clock.now()
  }

  /** Takes a token if there is one. */
  tryTake(): boolean {
    this.#refill()
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  #refill(): void {
    const now = this.#options.clock.now()
    const { perSecond, burst } = this.#options
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#refilledAt) / 1000) * perSecond)
    this.#refilledAt = now
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { isTransient, S3Failure } from './errors.ts'

/** When and how often a request that failed is sent again. Time and chance are given, so that tests own them. */
export interface RetryPolicy {
  /** Requests in all without progress, the first included. */
  readonly attempts: number
  readonly baseMs: number
  readonly capMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Rejects when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

/** About half a minute of patience on average: a store that restarts is worth waiting for, a wrong endpoint is not. */
export const DEFAULT_RETRIES: RetryPolicy = {
  attempts: 10,
  baseMs: 200,
  capMs: 15_000,
  random: Math.random,
  sleep: (ms, signal) => delay(ms, undefined, { signal }),
}

/**
 * Milliseconds before the next request after `failures` failures: exponential with full jitter, so that many clients of
 * one busy store do not come back at the same moment; at least what the server asked for, within the cap.
 */
export function backoff(failures: number, policy: RetryPolicy, error?: unknown): number {
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** (failures - 1))
  const asked = error instanceof S3Failure ? Math.min(error.retryAfterMs ?? 0, policy.capMs) : 0
  return Math.max(policy.random() * ceiling, asked)
}

export interface RetryHooks {
  /** A count that grows with every byte gained: a request that gained some starts a new series of attempts. */
  readonly progress?: () => number
  readonly onRetry?: (error: unknown, failures: number, delayMs: number) => void
}

/** Runs `attempt` until it resolves, fails for good, or the policy or the signal ends it; throws the last error. */
export async function retrying<T>(
  attempt: (failures: number) => Promise<T>,
  policy: RetryPolicy,
  signal: AbortSignal,
  hooks: RetryHooks = {},
): Promise<T> {
  let failures = 0
  let reached = hooks.progress?.() ?? 0
  for (;;) {
    signal.throwIfAborted()
    try {
      return await attempt(failures)
    } catch (error) {
      const now = hooks.progress?.() ?? 0
      failures = now > reached ? 1 : failures + 1
      reached = now
      if (signal.aborted || failures >= policy.attempts || !isTransient(error)) throw error
      const ms = backoff(failures, policy, error)
      hooks.onRetry?.(error, failures, ms)
      await orThrow(policy.sleep(ms, signal), error)
    }
  }
}

/** A wait that was cut short tells less than the failure that was waited out. */
async function orThrow(wait: Promise<void>, error: unknown): Promise<void> {
  const [{ status }] = await Promise.allSettled([wait])
  if (status === 'rejected') throw error
}

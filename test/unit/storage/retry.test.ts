import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { S3Failure } from '../../../src/storage/errors.ts'
import { backoff, DEFAULT_RETRIES, type RetryPolicy, retrying } from '../../../src/storage/retry.ts'

const cut = Object.assign(new Error('cut'), { code: 'ECONNRESET' })
const denied = new S3Failure(403, 'AccessDenied', '')
const never = () => new AbortController().signal

function policy(changes: Partial<RetryPolicy> = {}): RetryPolicy & { slept: number[] } {
  const slept: number[] = []
  const sleep = async (ms: number, signal: AbortSignal) => {
    signal.throwIfAborted()
    slept.push(ms)
  }
  return { ...DEFAULT_RETRIES, random: () => 0.5, sleep, slept, ...changes }
}

describe('backoff', () => {
  it('doubles its ceiling up to the cap, and takes any part of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (failures, random) => {
          const ms = backoff(failures, policy({ random: () => random }))
          expect(ms).toBeGreaterThanOrEqual(0)
          expect(ms).toBeLessThanOrEqual(Math.min(15_000, 200 * 2 ** (failures - 1)))
        },
      ),
    )
    expect(backoff(1, policy())).toBe(100)
    expect(backoff(2, policy())).toBe(200)
    expect(backoff(50, policy())).toBe(7_500)
  })

  it('waits at least as long as the server asks, within the cap', () => {
    const busy = (retryAfterMs: number) => new S3Failure(503, 'SlowDown', '', { retryAfterMs })
    expect(backoff(1, policy(), busy(3_000))).toBe(3_000)
    expect(backoff(1, policy(), busy(3_600_000))).toBe(15_000)
    expect(backoff(1, policy(), busy(1))).toBe(100)
  })
})

describe('retrying', () => {
  it('tries again until it works, and tells of each failure', async () => {
    const used = policy()
    const told: unknown[] = []
    const attempt = async (failures: number) => {
      if (failures < 3) throw cut
      return failures
    }
    const onRetry = (...args: unknown[]) => told.push(args)
    expect(await retrying(attempt, used, never(), { onRetry })).toBe(3)
    expect(used.slept).toEqual([100, 200, 400])
    expect(told).toEqual([
      [cut, 1, 100],
      [cut, 2, 200],
      [cut, 3, 400],
    ])
  })

  it('throws the last error after the last attempt', async () => {
    const used = policy({ attempts: 4 })
    let calls = 0
    await expect(
      retrying(
        async () => {
          calls++
          throw cut
        },
        used,
        never(),
      ),
    ).rejects.toBe(cut)
    expect(calls).toBe(4)
  })

  it('does not repeat what cannot help', async () => {
    const used = policy()
    await expect(retrying(() => Promise.reject(denied), used, never())).rejects.toBe(denied)
    expect(used.slept).toEqual([])
  })

  it('starts to count anew when bytes were gained', async () => {
    let at = 0
    const attempt = async () => {
      at += 1
      if (at < 50) throw cut
    }
    await retrying(attempt, policy({ attempts: 2 }), never(), { progress: () => at })
    expect(at).toBe(50)
  })

  it('tells why it failed when the signal ends the wait', async () => {
    const controller = new AbortController()
    const onRetry = () => controller.abort()
    await expect(retrying(() => Promise.reject(cut), policy(), controller.signal, { onRetry })).rejects.toBe(cut)
  })

  it('does not begin under a signal that has fired', async () => {
    const reason = new Error('stop')
    await expect(retrying(async () => 1, policy(), AbortSignal.abort(reason))).rejects.toBe(reason)
  })
})

import { describe, expect, it } from '@jest/globals'
import { createExponentialRateLimiter, TokenBucket } from '../../../../src/operator/manager/ratelimiter.ts'
import { FakeClock } from './fakeclock.ts'

describe('createExponentialRateLimiter', () => {
  it('doubles from 5 ms to 1000 s, as client-go does', () => {
    const limiter = createExponentialRateLimiter()
    const waits = Array.from({ length: 20 }, () => limiter.when('a'))
    expect(waits.slice(0, 4)).toEqual([5, 10, 20, 40])
    expect(waits.at(-1)).toBe(1_000_000)
  })

  it('stays at its maximum after thousands of failures', () => {
    const limiter = createExponentialRateLimiter({ baseMs: 1, maxMs: 50 })
    for (let i = 0; i < 5000; i++) limiter.when('a')
    expect(limiter.when('a')).toBe(50)
  })

  it('counts each key on its own and forgets one without the other', () => {
    const limiter = createExponentialRateLimiter()
    limiter.when('a')
    limiter.when('a')
    limiter.when('b')
    limiter.forget('a')
    expect(limiter.failures('a')).toBe(0)
    expect(limiter.failures('b')).toBe(1)
    expect(limiter.when('a')).toBe(5)
  })
})

describe('TokenBucket', () => {
  it('gives its burst, then as many as come back', async () => {
    const clock = new FakeClock()
    const bucket = new TokenBucket({ clock, perSecond: 10, burst: 2 })
    expect([bucket.tryTake(), bucket.tryTake(), bucket.tryTake()]).toEqual([true, true, false])
    await clock.advance(100)
    expect([bucket.tryTake(), bucket.tryTake()]).toEqual([true, false])
  })

  it('never holds more than its burst', async () => {
    const clock = new FakeClock()
    const bucket = new TokenBucket({ clock, perSecond: 10, burst: 1 })
    await clock.advance(60_000)
    expect([bucket.tryTake(), bucket.tryTake()]).toEqual([true, false])
  })
})

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import {
  createDeadline,
  jitteredBackoff,
  MAX_TIMER_MS,
  sleep,
  systemClock,
} from '../../../../src/operator/manager/clock.ts'
import { FakeClock, settle } from './fakeclock.ts'

describe('systemClock', () => {
  beforeEach(() => {
    jest.useFakeTimers()
  })

  afterEach(() => {
    jest.useRealTimers()
  })

  it('fires a timer beyond the range of 32 bits at its time, not after 1 ms', () => {
    const fired = jest.fn()
    systemClock.setTimeout(fired, MAX_TIMER_MS + 1000)
    jest.advanceTimersByTime(MAX_TIMER_MS)
    expect(fired).not.toHaveBeenCalled()
    jest.advanceTimersByTime(1000)
    expect(fired).toHaveBeenCalledTimes(1)
  })

  it('cancels a long timer in its second half, too', () => {
    const fired = jest.fn()
    const cancel = systemClock.setTimeout(fired, MAX_TIMER_MS + 1000)
    jest.advanceTimersByTime(MAX_TIMER_MS)
    cancel()
    jest.advanceTimersByTime(MAX_TIMER_MS)
    expect(fired).not.toHaveBeenCalled()
    expect(jest.getTimerCount()).toBe(0)
  })

  it('fires a negative delay at once', () => {
    const fired = jest.fn()
    systemClock.setTimeout(fired, -5)
    jest.advanceTimersByTime(1)
    expect(fired).toHaveBeenCalledTimes(1)
  })
})

describe('sleep', () => {
  it('ends with the time', async () => {
    const clock = new FakeClock()
    const woke = jest.fn()
    const sleeping = sleep(clock, 100).then(woke)
    await clock.advance(99)
    expect(woke).not.toHaveBeenCalled()
    await clock.advance(1)
    expect(woke).toHaveBeenCalledTimes(1)
    await sleeping
  })

  it('ends with the signal and leaves no timer', async () => {
    const clock = new FakeClock()
    const stop = new AbortController()
    const sleeping = sleep(clock, 100, stop.signal)
    stop.abort()
    await sleeping
    expect(clock.timers).toBe(0)
  })

  it('does not start when the signal is aborted', async () => {
    const clock = new FakeClock()
    await sleep(clock, 100, AbortSignal.abort())
    expect(clock.timers).toBe(0)
  })
})

describe('createDeadline', () => {
  it('aborts with its reason when the time is over', async () => {
    const clock = new FakeClock()
    const deadline = createDeadline(clock, 100, () => 'late')
    await clock.advance(100)
    expect(deadline.signal.reason).toBe('late')
  })

  it('starts again with each sign of life', async () => {
    const clock = new FakeClock()
    const deadline = createDeadline(clock, 100, () => 'late')
    await clock.advance(80)
    deadline.extend()
    await clock.advance(80)
    expect(deadline.signal.aborted).toBe(false)
    await clock.advance(20)
    expect(deadline.signal.aborted).toBe(true)
  })

  it('follows its parent, also one that is aborted already', () => {
    const parent = new AbortController()
    const running = createDeadline(new FakeClock(), 100, () => 'late', parent.signal)
    parent.abort('stopped')
    expect(running.signal.reason).toBe('stopped')
    expect(createDeadline(new FakeClock(), 100, () => 'late', parent.signal).signal.reason).toBe('stopped')
  })

  it('lets go of timer and parent when it is released', async () => {
    const clock = new FakeClock()
    const parent = new AbortController()
    const deadline = createDeadline(clock, 100, () => 'late', parent.signal)
    deadline.release()
    parent.abort()
    await settle()
    expect(clock.timers).toBe(0)
    expect(deadline.signal.aborted).toBe(false)
  })
})

describe('jitteredBackoff', () => {
  it.each([
    [0, 0, 50],
    [0, 1, 100],
    [3, 1, 800],
    [10, 1, 1000],
    [5000, 0, 500],
  ])('after %d failures, at %d of the jitter, is %d ms', (failures, random, expected) => {
    expect(jitteredBackoff(failures, 100, 1000, () => random)).toBe(expected)
  })
})

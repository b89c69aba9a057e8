import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Pacer } from '../../../../src/operator/controllers/pacer.ts'
import { FakeClock } from '../manager/fakeclock.ts'

const PAUSE_MS = 100

function setUp() {
  const clock = new FakeClock()
  const pacer = new Pacer(clock, PAUSE_MS)
  const done: string[] = []
  const enqueue = (name: string) => pacer.enqueue(() => void done.push(`${name} at ${clock.now()}`))
  return { clock, done, enqueue }
}

describe('a pacer', () => {
  it('does what comes alone at once', () => {
    const { clock, done, enqueue } = setUp()
    enqueue('a')
    clock.freeze(PAUSE_MS)
    enqueue('b')
    expect(done).toEqual(['a at 0', 'b at 100'])
    expect(clock.timers).toBe(0)
  })

  it('lets what comes together wait for its turn, in order', async () => {
    const { clock, done, enqueue } = setUp()
    for (const name of ['a', 'b', 'c']) enqueue(name)
    await clock.advance(30)
    enqueue('d')
    await clock.advance(1_000)
    expect(done).toEqual(['a at 0', 'b at 100', 'c at 200', 'd at 300'])
    expect(clock.timers).toBe(0)
  })

  it('leaves out what is taken back, and then waits for nothing', async () => {
    const { clock, done, enqueue } = setUp()
    enqueue('a')
    const takeBack = enqueue('b')
    takeBack()
    expect(clock.timers).toBe(0)
    enqueue('c')
    takeBack()
    await clock.advance(1_000)
    expect(done).toEqual(['a at 0', 'c at 100'])
  })

  it('goes on when what it does asks for more', async () => {
    const { clock, done } = setUp()
    const pacer = new Pacer(clock, PAUSE_MS)
    const again = (left: number): void => {
      done.push(`${left} at ${clock.now()}`)
      if (left > 0) pacer.enqueue(() => again(left - 1))
    }
    pacer.enqueue(() => again(2))
    await clock.advance(1_000)
    expect(done).toEqual(['2 at 0', '1 at 100', '0 at 200'])
  })

  it('does everything once, and never two things within its pause, whenever they come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 250 }), { maxLength: 40 }), (waits) => {
        const clock = new FakeClock()
        const pacer = new Pacer(clock, PAUSE_MS)
        const times: number[] = []
        const order: number[] = []
        for (const [index, wait] of waits.entries()) {
          clock.advanceNow(wait)
          pacer.enqueue(() => {
            times.push(clock.now())
            order.push(index)
          })
        }
        clock.advanceNow(waits.length * PAUSE_MS)
        expect(order).toEqual(waits.map((_, index) => index))
        for (const [index, time] of times.entries()) {
          if (index > 0) expect(time - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(PAUSE_MS)
        }
      }),
    )
  })
})

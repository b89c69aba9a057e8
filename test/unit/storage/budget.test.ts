import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Budget, type Release } from '../../../src/storage/budget.ts'

const never = () => new AbortController().signal

/** Lets promises that can settle do so. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a budget', () => {
  it('holds at most so many at once, and lets the next in, in order', async () => {
    const budget = new Budget(2, 100)
    const releases: Release[] = []
    const order: number[] = []
    const work = [0, 1, 2, 3].map(async (n) => {
      releases.push(await budget.acquire(1, never()))
      order.push(n)
    })
    await turn()
    expect(order).toEqual([0, 1])
    releases[0]?.()
    await turn()
    expect(order).toEqual([0, 1, 2])
    releases[1]?.()
    await Promise.all(work)
    expect(order).toEqual([0, 1, 2, 3])
  })

  it('lets more in at once when more are allowed, and fewer as those that are in end', async () => {
    const budget = new Budget(1, 100)
    const releases: Release[] = []
    const work = [0, 1, 2, 3].map(async () => releases.push(await budget.acquire(1, never())))
    budget.count = 3
    await turn()
    expect(releases).toHaveLength(3)
    budget.count = 2
    releases[0]?.()
    await turn()
    expect(releases).toHaveLength(3)
    releases[1]?.()
    await Promise.all(work)
    expect(releases).toHaveLength(4)
  })

  it('counts bytes too, and lets one that is larger than all of it run alone', async () => {
    const budget = new Budget(4, 100)
    const small = await budget.acquire(60, never())
    const order: string[] = []
    const large = budget.acquire(1000, never()).then((release) => {
      order.push('large')
      return release
    })
    const late = budget.acquire(10, never()).then(() => order.push('late'))
    await turn()
    // The late one would fit, but those that wait longer would starve.
    expect(order).toEqual([])
    small()
    const release = await large
    await turn()
    expect(order).toEqual(['large'])
    release()
    await late
    expect(order).toEqual(['large', 'late'])
  })

  it('lets a waiter leave by its signal, and those behind it move up', async () => {
    const budget = new Budget(2, 100)
    const first = await budget.acquire(50, never())
    const leaving = new AbortController()
    const gone = budget.acquire(80, leaving.signal)
    const behind = budget.acquire(50, never())
    leaving.abort(new Error('left'))
    await expect(gone).rejects.toThrow('left')
    await behind
    first()
    expect(() => budget.acquire(1, leaving.signal)).toThrow('left')
  })

  it('takes a place back once, however often it is given', async () => {
    const budget = new Budget(1, 100)
    const first = await budget.acquire(1, never())
    first()
    first()
    await budget.acquire(1, never())
    let third = false
    void budget.acquire(1, never()).then(() => {
      third = true
    })
    await turn()
    expect(third).toBe(false)
  })

  it('never exceeds its limits and serves everybody', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 30 }), async (sizes) => {
        const budget = new Budget(3, 100)
        let count = 0
        let bytes = 0
        await Promise.all(
          sizes.map(async (size) => {
            const release = await budget.acquire(size, never())
            count++
            bytes += Math.min(size, 100)
            expect(count).toBeLessThanOrEqual(3)
            expect(bytes).toBeLessThanOrEqual(100)
            await turn()
            count--
            bytes -= Math.min(size, 100)
            release()
          }),
        )
        expect(count).toBe(0)
      }),
      { numRuns: 50 },
    )
  })
})

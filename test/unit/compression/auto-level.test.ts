import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { AutoLevel } from '../../../src/compression/auto-level.ts'

const WINDOW = 16

/** Tells of so many windows of chunks with one share of running compressions. */
function feed(auto: AutoLevel, share: number, windows: number): number {
  for (let chunk = 0; chunk < windows * WINDOW; chunk++) auto.observe(share)
  return auto.level
}

describe('AutoLevel', () => {
  it('begins with the default level, and keeps it until a window is over', () => {
    const auto = new AutoLevel()
    for (let chunk = 0; chunk < WINDOW - 1; chunk++) auto.observe(1)
    expect(auto.level).toBe(3)
    auto.observe(1)
    expect(auto.level).toBe(2)
  })

  it('goes down to 1 and no further while the queue is full', () => {
    expect(feed(new AutoLevel(), 1, 10)).toBe(1)
  })

  it('goes up to 9 and no further while the queue is empty', () => {
    expect(feed(new AutoLevel(), 0, 20)).toBe(9)
  })

  it('stays where it is while the queue is neither', () => {
    expect(feed(new AutoLevel(), 0.5, 20)).toBe(3)
  })

  it('judges by the mean of the window, not by its last chunk', () => {
    const auto = new AutoLevel()
    for (let chunk = 0; chunk < WINDOW; chunk++) auto.observe(chunk < WINDOW / 2 ? 1 : 0)
    expect(auto.level).toBe(3)
  })

  it('does not try a level again at once that was too slow', () => {
    const auto = new AutoLevel()
    feed(auto, 1, 1)
    expect(feed(auto, 0, 3)).toBe(2)
    expect(feed(auto, 0, 1)).toBe(3)
  })

  it('tries a level ever more seldom that is too slow again and again', () => {
    const auto = new AutoLevel()
    const pauses = [0, 0, 0, 0].map(() => {
      feed(auto, 1, 1)
      let windows = 0
      while (auto.level < 3) {
        feed(auto, 0, 1)
        windows += 1
      }
      return windows
    })
    expect(pauses).toEqual([4, 8, 16, 32])
  })

  it('finds the highest level that keeps up, for any source and any cost of levels', () => {
    const costs = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 9, maxLength: 9 })
    fc.assert(
      fc.property(costs, fc.integer({ min: 5, max: 100 }), (steps, interval) => {
        const cost = steps.map((_, index) => steps.slice(0, index + 1).reduce((sum, step) => sum + step, 0))
        const auto = new AutoLevel()
        const levels: number[] = []
        for (let window = 0; window < 2000; window++) {
          feed(auto, Math.min(1, (cost[auto.level - 1] ?? 0) / interval / 2), 1)
          levels.push(auto.level)
        }
        const late = levels.slice(1000)
        const tooSlow = late.filter((level) => level > 1 && (cost[level - 1] ?? 0) / interval / 2 >= 0.75)
        expect(tooSlow.length).toBeLessThan(late.length / 20)
      }),
    )
  })
})

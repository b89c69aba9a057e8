import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { FrameIndexBuilder } from '../../../src/pgpack/frame-index.ts'

describe('FrameIndexBuilder', () => {
  it('keeps each frame while there is room', () => {
    const builder = new FrameIndexBuilder(4)
    for (let frame = 0; frame < 4; frame++) builder.add([frame * 10, frame * 5, frame * 100])
    expect(builder.build()).toEqual({
      every: 1,
      entries: [
        [0, 0, 0],
        [10, 5, 100],
        [20, 10, 200],
        [30, 15, 300],
      ],
    })
  })

  it('never holds more than its limit, and each every-th frame from the first on', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3000 }), fc.constantFrom(2, 5, 64), (frames, limit) => {
        const builder = new FrameIndexBuilder(limit)
        for (let frame = 0; frame < frames; frame++) builder.add([frame, frame, frame])
        const { every, entries } = builder.build()
        expect(entries.length).toBeLessThanOrEqual(limit)
        expect(Number.isInteger(Math.log2(every))).toBe(true)
        expect(entries).toEqual(
          Array.from({ length: Math.ceil(frames / every) }, (_, index) => [
            index * every,
            index * every,
            index * every,
          ]),
        )
        if (frames > limit) expect(entries.length).toBeGreaterThanOrEqual(limit / 2)
      }),
    )
  })
})

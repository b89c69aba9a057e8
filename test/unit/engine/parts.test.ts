import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { planParts } from '../../../src/engine/parts.ts'

const MIB = 1024 * 1024

/** An object whose frames hold 1 MiB and 1000 rows each, stored in a tenth. */
function objectOf(frames: number, granularity = 1) {
  const index: [number, number, number][] = []
  for (let frame = 0; frame < frames; frame += granularity) {
    index.push([frame * 100_000, frame * 1000, frame * MIB])
  }
  return {
    bodyOffset: 50,
    rows: String(frames * 1000),
    rawBytes: String(frames * MIB),
    storedBytes: String(50 + frames * 100_000),
    frames: { granularity, index },
  }
}

describe('the parts of a file', () => {
  it('are one for one connection, whatever its size', () => {
    expect(planParts(objectOf(500), 1)).toEqual([
      { storedOffset: 0, storedLength: 50_000_000, rows: 500_000, rawBytes: 500 * MIB, first: true, last: true },
    ])
  })

  it('are one for a file without an index', () => {
    const { frames: _, ...object } = objectOf(500)
    expect(planParts(object, 8)).toHaveLength(1)
  })

  it('are about as large as each other', () => {
    const parts = planParts(objectOf(10), 2)
    expect(parts.map(({ rows, first, last }) => ({ rows, first, last }))).toEqual([
      { rows: 5000, first: true, last: false },
      { rows: 5000, first: false, last: true },
    ])
  })

  it('stay small enough in a large file that connections finish together', () => {
    const parts = planParts(objectOf(1024), 2)
    expect(parts).toHaveLength(16)
    expect(Math.max(...parts.map(({ rawBytes }) => rawBytes))).toBeLessThanOrEqual(65 * MIB)
  })

  it('are no more than there are places to begin at', () => {
    expect(planParts(objectOf(3), 8)).toHaveLength(3)
    expect(planParts(objectOf(1), 8)).toHaveLength(1)
    expect(planParts({ ...objectOf(0), rawBytes: '21', storedBytes: '80' }, 8)).toHaveLength(1)
  })

  it('together are the file, once, in its order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 1, max: 64 }),
        (frames, granularity, connections) => {
          const object = objectOf(frames, granularity)
          const parts = planParts(object, connections)
          let offset = 0
          for (const part of parts) {
            expect(part.storedOffset).toBe(offset)
            expect(part.storedLength).toBeGreaterThan(0)
            offset += part.storedLength
          }
          expect(offset).toBe(Number(object.storedBytes) - object.bodyOffset)
          expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(Number(object.rows))
          expect(parts.reduce((sum, { rawBytes }) => sum + rawBytes, 0)).toBe(Number(object.rawBytes))
          expect(parts.filter(({ first }) => first)).toEqual(parts.slice(0, 1))
          expect(parts.filter(({ last }) => last)).toEqual(parts.slice(-1))
        },
      ),
    )
  })
})

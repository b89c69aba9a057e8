import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type BlockRange, keyCondition, planKeyRanges, planRanges } from '../../../src/engine/plan.ts'

const postgres = { versionNumber: 180_000, flavour: 'PostgreSQL' } as const
const table = (pages: number) => ({ kind: 'r', pages })
const whole = [undefined]

const anyPages = fc.oneof(
  fc.integer({ min: 0, max: 50 }),
  fc.integer({ min: 0, max: 2 ** 32 - 2 }).map((n) => Math.floor(n / 500)),
)
const anyConnections = fc.integer({ min: 2, max: 64 })

function split(pages: number, connections: number): BlockRange[] {
  return planRanges(table(pages), postgres, connections).map((range) => {
    if (range === undefined) throw new Error('was not split')
    return range
  })
}

describe('a plain table that several connections read', () => {
  it('is split into ranges that follow one another from block 0, so that each block is read once', () => {
    fc.assert(
      fc.property(anyPages, anyConnections, (pages, connections) => {
        const ranges = split(pages, connections)
        expect([...ranges.map(({ from }) => from), undefined]).toEqual([0, ...ranges.map(({ to }) => to)])
        expect(ranges.filter(({ from, to }) => to !== undefined && to <= from)).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it('ends with one open range, for the blocks that were added since they were counted', () => {
    fc.assert(
      fc.property(anyPages, anyConnections, (pages, connections) => {
        const open = split(pages, connections).map(({ to }) => to === undefined)
        expect(open.filter(Boolean)).toHaveLength(1)
        expect(open.at(-1)).toBe(true)
      }),
    )
  })

  it('has no range that lies wholly behind its end', () => {
    fc.assert(
      fc.property(anyPages, anyConnections, (pages, connections) => {
        expect(split(pages, connections).every(({ from }) => from === 0 || from < pages)).toBe(true)
      }),
    )
  })

  it('gives every connection something to do, as far as there are blocks', () => {
    expect(split(12, 3)).toEqual([
      { from: 0, to: 4 },
      { from: 4, to: 8 },
      { from: 8, to: undefined },
    ])
    expect(split(2, 64)).toHaveLength(2)
    expect(split(0, 64)).toEqual([{ from: 0, to: undefined }])
    expect(split(1, 2)).toEqual([{ from: 0, to: undefined }])
  })

  it('is cut into ranges of 64 MiB and less, so that the connections finish together', () => {
    fc.assert(
      fc.property(anyPages, anyConnections, (pages, connections) => {
        const ranges = split(pages, connections)
        for (const { from, to } of ranges) expect((to ?? pages) - from).toBeLessThanOrEqual(8192)
        expect(ranges.length).toBeLessThanOrEqual(Math.max(connections, Math.ceil(pages / 8192)) + 1)
      }),
    )
  })
})

describe('a relation is read as a whole', () => {
  it('by one connection', () => {
    expect(planRanges(table(100_000), postgres, 1)).toEqual(whole)
  })

  it.each(['v', 'f'])('when its relkind is %s, which has no blocks of its own', (kind) => {
    expect(planRanges({ kind, pages: 1000 }, postgres, 4)).toEqual(whole)
  })

  it('on Greenplum, where the same ctid stands on every segment', () => {
    expect(planRanges(table(1000), { versionNumber: 140_000, flavour: 'Greenplum' }, 4)).toEqual(whole)
  })

  it('before PostgreSQL 14, where a ctid condition reads the whole table', () => {
    expect(planRanges(table(1000), { ...postgres, versionNumber: 139_999 }, 4)).toEqual(whole)
    expect(planRanges(table(1000), { ...postgres, versionNumber: 140_000 }, 4)).toHaveLength(4)
  })
})

describe('a partitioned table', () => {
  it('is split by the blocks of its largest partition, into as many ranges as all of them make', () => {
    const ranges = planRanges({ kind: 'p', pages: 1000, totalPages: 80_000 }, postgres, 2)
    expect(ranges).toHaveLength(10)
    expect(ranges[0]).toEqual({ from: 0, to: 100 })
    expect(ranges.at(-1)).toEqual({ from: 900, to: undefined })
  })
})

describe('the ranges of a whole number', () => {
  const anyBounds = fc
    .tuple(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
    .map(([one, other]) => (one < other ? { min: one, max: other } : { min: other, max: one }))
  const anySize = fc.integer({ min: 0, max: 100 * 64 * 1024 * 1024 })

  it('follow one another and are open at both ends, so that each value is in one of them', () => {
    fc.assert(
      fc.property(anyBounds, anySize, anyConnections, (bounds, size, connections) => {
        const ranges = planKeyRanges(bounds, size, connections)
        expect(ranges[0]?.from).toBeUndefined()
        expect(ranges.at(-1)?.to).toBeUndefined()
        for (const [index, { to }] of ranges.entries()) {
          expect(ranges[index + 1]?.from).toBe(to)
          if (to !== undefined) expect(to > bounds.min && to <= bounds.max).toBe(true)
        }
      }),
    )
  })

  it('are as many as there are connections, or 64 MiB of table, or values', () => {
    const hundred = { min: 1n, max: 100n }
    expect(planKeyRanges(hundred, 0, 4)).toHaveLength(4)
    expect(planKeyRanges(hundred, 10 * 64 * 1024 * 1024, 4)).toHaveLength(10)
    expect(planKeyRanges({ min: 5n, max: 7n }, 0, 8)).toHaveLength(3)
    expect(planKeyRanges({ min: 5n, max: 5n }, 0, 8)).toEqual([{ from: undefined, to: undefined }])
  })

  it('are of one width', () => {
    expect(planKeyRanges({ min: 0n, max: 99n }, 0, 4).map(({ from }) => from)).toEqual([undefined, 25n, 50n, 75n])
  })

  it('become conditions on the quoted column', () => {
    expect(keyCondition('a"b', { from: -5n, to: 7n })).toBe('"a""b" >= -5 AND "a""b" < 7')
    expect(keyCondition('id', { from: undefined, to: 7n })).toBe('"id" < 7')
    expect(keyCondition('id', { from: undefined, to: undefined })).toBeUndefined()
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type BlockRange, planRanges } from '../../../src/engine/plan.ts'

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
        let next: number | undefined = 0
        for (const { from, to } of split(pages, connections)) {
          expect(from).toBe(next)
          if (to !== undefined) expect(to).toBeGreaterThan(from)
          next = to
        }
        expect(next).toBeUndefined()
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

  it.each(['p', 'v', 'm', 'f'])('when its relkind is %s, which has no blocks of its own or no TID scan', (kind) => {
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

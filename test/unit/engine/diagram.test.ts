import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type DiagramObject, type TransferPlan, transferDiagram } from '../../../src/engine/diagram.ts'

const columns = [
  { name: 'id', type: 'bigint' },
  { name: 'price', type: 'numeric(8,2)' },
]

const orders: DiagramObject = {
  source: { name: 'public.orders', columns },
  target: { name: 'archive.orders', columns: [{ name: 'id', type: 'bigint' }] },
  rows: 5000n,
  bytes: 1_300_000n,
}

const plan = (...objects: DiagramObject[]): TransferPlan => ({
  source: 'db:5432/app',
  target: 's3://bucket/x',
  objects,
})

describe('a transfer diagram', () => {
  it('shows both ends with their columns and types, and the arrow between their names', () => {
    expect(transferDiagram(plan(orders)).full).toBe(
      [
        '┌─────────────────────┐      ┌────────────────┐',
        '│ db:5432/app         │      │ s3://bucket/x  │',
        '│ public.orders       │ ───► │ archive.orders │',
        '├─────────────────────┤      ├────────────────┤',
        '│ id     bigint       │      │ id  bigint     │',
        '│ price  numeric(8,2) │      └────────────────┘',
        '└─────────────────────┘',
        '  2 columns, about 5,000 rows, 1.2 MiB',
      ].join('\n'),
    )
  })

  it('has a short form with a line an object', () => {
    expect(transferDiagram(plan(orders)).short).toBe(
      'db:5432/app → s3://bucket/x\npublic.orders → archive.orders: 2 columns, about 5,000 rows, 1.2 MiB',
    )
  })

  it('lists what is made beside a table, a line each, and how many it leaves out', () => {
    const { full, short } = transferDiagram(plan({ ...orders, beside: ['schema archive', 'type archive.mood'] }))
    expect(full.split('\n').slice(-3)).toEqual([
      '  2 columns, about 5,000 rows, 1.2 MiB',
      '  makes schema archive',
      '  makes type archive.mood',
    ])
    expect(short).not.toContain('makes')
    const many = transferDiagram(plan({ ...orders, beside: Array.from({ length: 50 }, (_, i) => `type t${i}`) }))
    expect(many.full.split('\n').slice(-2)).toEqual(['  makes type t39', '  … and 10 more objects'])
  })

  it('says nothing of sizes that nobody knows', () => {
    const { rows: _rows, bytes: _bytes, ...unknown } = orders
    expect(transferDiagram(plan(unknown)).short).toMatch(/: 2 columns$/)
  })

  it('says how many columns it leaves out', () => {
    const many = Array.from({ length: 100 }, (_, index) => ({ name: `c${index}`, type: 'text' }))
    const { full } = transferDiagram(plan({ ...orders, source: { name: 'wide', columns: many } }))
    expect(full).toContain('c39 ')
    expect(full).not.toContain('c40 ')
    expect(full).toContain('… and 60 more columns')
  })

  it('says how many objects it leaves out, in both forms', () => {
    const { short, full } = transferDiagram(plan(...Array.from({ length: 1500 }, () => orders)))
    const left = (text: string) => Number(/… and ([\d,]+) more objects$/.exec(text)?.[1]?.replace(',', ''))
    expect(left(short) + short.split('\n').length - 2).toBe(1500)
    expect(left(full) + full.split('───►').length - 1).toBe(1500)
  })

  it('keeps its bounds, its boxes closed and the terminal unharmed, whatever the names hold', () => {
    const anyText = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: 'grapheme', maxLength: 80 }),
    )
    const anyEnd = fc.record({
      name: anyText,
      columns: fc.array(fc.record({ name: anyText, type: anyText }), { maxLength: 60 }),
    })
    const anyObject = fc.record({
      source: anyEnd,
      target: anyEnd,
      rows: fc.option(fc.bigInt({ min: 0n, max: 2n ** 63n }), { nil: undefined }),
    })
    fc.assert(
      fc.property(anyText, anyText, fc.array(anyObject, { maxLength: 5 }), (source, target, objects) => {
        const { short, full } = transferDiagram({ source, target, objects })
        expect(short.length).toBeLessThanOrEqual(1000)
        expect(Buffer.byteLength(full)).toBeLessThanOrEqual(16 * 1024)
        expect(/[^\P{Cc}\n]/u.test(short + full)).toBe(false)
        for (const line of full.split('\n')) {
          expect([...line].length).toBeLessThanOrEqual(120)
        }
        expect(full.match(/^┌/gm)?.length).toBe(full.match(/^└/gm)?.length)
      }),
      { numRuns: 200 },
    )
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { PgpackError } from '../../../../src/errors.ts'
import type { PGPackColumn } from '../../../../src/pgpack/columns.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../../../../src/pgpack/pgcopy.ts'
import { BUILTIN_REGISTRY } from '../../../../src/pgpack/rows/registry.ts'
import { type Row, RowDecoder } from '../../../../src/pgpack/rows/row-decoder.ts'
import { inPieces, pieceSizes } from '../../../support/chunks.ts'
import { COLUMNS, int4, rows as makeRows, pgcopy, tuple } from '../../../support/pgpack.ts'

async function decode(
  body: Buffer,
  options: { columns?: readonly PGPackColumn[]; sizes?: readonly number[]; maxRowBytes?: number } = {},
): Promise<Row[]> {
  const decoder = new RowDecoder(options.columns ?? COLUMNS, BUILTIN_REGISTRY, options.maxRowBytes)
  const rows: Row[] = []
  for await (const piece of inPieces(body, options.sizes)) {
    decoder.push(piece)
    decoder.next(rows, Number.POSITIVE_INFINITY)
  }
  decoder.end()
  return rows
}

async function faultOf(body: Buffer, options: Parameters<typeof decode>[1] = {}): Promise<PgpackError> {
  try {
    await decode(body, options)
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error('expected an error')
}

describe('rows', () => {
  it('are the same whatever the borders of the pieces', async () => {
    const body = pgcopy(makeRows(200), tuple(null, 'ü'), tuple(-1, null), tuple(7, ''))
    const whole = await decode(body)
    expect(whole).toHaveLength(203)
    expect(whole.slice(199)).toEqual([
      [199, 'row number 199'],
      [null, 'ü'],
      [-1, null],
      [7, ''],
    ])
    await fc.assert(
      fc.asyncProperty(pieceSizes, async (sizes) => {
        expect(await decode(body, { sizes })).toEqual(whole)
      }),
    )
  })

  it('come as many at a time as are asked for', () => {
    const decoder = new RowDecoder(COLUMNS, BUILTIN_REGISTRY)
    decoder.push(pgcopy(makeRows(5)))
    const counts = [2, 2, 2, 2].map((limit) => {
      const rows: Row[] = []
      decoder.next(rows, limit)
      return rows.length
    })
    expect(counts).toEqual([2, 2, 1, 0])
    expect(decoder.rows).toBe(5)
    decoder.end()
  })

  it('larger than many pieces are put together once, not for each piece anew', async () => {
    const text = 'x'.repeat(8 * 1024 * 1024)
    const start = performance.now()
    const rows = await decode(pgcopy(tuple(1, text)), { sizes: [1024] })
    expect(rows[0]?.[1]).toHaveLength(text.length)
    expect(performance.now() - start).toBeLessThan(5000)
  })

  it('stand behind a header extension', async () => {
    const header = Buffer.concat([PGCOPY_HEADER.subarray(0, 15), int4(3), Buffer.from('ext')])
    const body = Buffer.concat([header, makeRows(2), PGCOPY_TRAILER])
    expect(await decode(body, { sizes: [5] })).toHaveLength(2)
  })

  it('with OIDs give the columns without them', async () => {
    const header = Buffer.from(PGCOPY_HEADER)
    header.writeInt32BE(1 << 16, 11)
    const withOid = (row: Buffer, oid: number) =>
      Buffer.concat([row.subarray(0, 2), int4(4), int4(oid), row.subarray(2)])
    const body = Buffer.concat([header, withOid(tuple(1, 'a'), 16384), withOid(tuple(2, 'b'), 16385), PGCOPY_TRAILER])
    expect(await decode(body, { sizes: [3] })).toEqual([
      [1, 'a'],
      [2, 'b'],
    ])
    const wrong = Buffer.concat([header, withOid(tuple(1, 'a'), 1), PGCOPY_TRAILER])
    wrong.writeInt32BE(3, 21)
    expect((await faultOf(wrong)).code).toBe('PGPACK_ROW_MALFORMED')
  })

  it('of unknown types pass as bytes', async () => {
    const columns = [{ name: 'x', oid: 99999, length: -1, scale: 0, nested: 0 }]
    expect(await decode(pgcopy(tuple(Buffer.of(1, 2))), { columns })).toEqual([[Buffer.of(1, 2)]])
  })
})

describe('a fault', () => {
  it('in a value names row, column, type and the offset in the body, whatever the pieces', async () => {
    const first = tuple(1, 'a')
    const body = pgcopy(first, tuple(2, Buffer.from('\xff', 'latin1')))
    const offset = PGCOPY_HEADER.length + first.length + 2 + 4 + 4 + 4
    for (const sizes of [[], [1], [20], [37]]) {
      const error = await faultOf(body, { sizes })
      expect(error).toMatchObject({ code: 'PGPACK_VALUE', details: { offset, expected: 'UTF-8 text' } })
      expect(error.message).toContain(`row 2, column "name" (text), at byte ${offset}`)
      expect(error.cause).toBeInstanceOf(PgpackError)
    }
  })

  it('in a fixed length says both lengths', async () => {
    const error = await faultOf(pgcopy(tuple(Buffer.alloc(8), 'a')))
    expect(error.details).toEqual({ offset: 25, expected: '4 bytes', found: '8 bytes' })
  })

  it('in the count of fields says what generated columns may have to do with it', async () => {
    const error = await faultOf(pgcopy(tuple(1)))
    expect(error).toMatchObject({ code: 'PGPACK_ROW_MALFORMED', details: { offset: 19, expected: '2 fields' } })
    expect(error.message).toContain('bodyColumns')
    const later = await faultOf(pgcopy(tuple(1, 'a'), tuple(1)))
    expect(later.message).not.toContain('bodyColumns')
  })

  it('in a length, the header or the end is a code of its own', async () => {
    const length = pgcopy(tuple(1, 'a'))
    length.writeInt32BE(-2, 21)
    expect((await faultOf(length)).code).toBe('PGPACK_ROW_MALFORMED')
    length.writeInt32BE(0x7fffffff, 21)
    expect((await faultOf(length)).code).toBe('PGPACK_ROW_MALFORMED')
    expect((await faultOf(Buffer.alloc(40))).code).toBe('PGPACK_ROW_MALFORMED')
    const extension = pgcopy()
    extension.writeInt32BE(-1, 15)
    expect((await faultOf(extension)).code).toBe('PGPACK_ROW_MALFORMED')
    expect((await faultOf(pgcopy(tuple(1, 'a')).subarray(0, -2))).code).toBe('PGPACK_TRUNCATED')
    expect((await faultOf(PGCOPY_HEADER.subarray(0, 10))).code).toBe('PGPACK_TRUNCATED')
  })

  it('is a row above the limit, before its bytes are waited for', async () => {
    const body = pgcopy(tuple(1, 'x'.repeat(2000)))
    const error = await faultOf(body.subarray(0, 100), { maxRowBytes: 1000 })
    expect(error).toMatchObject({ code: 'PGPACK_LIMIT', details: { offset: 19, expected: '1000 bytes at most' } })
  })
})

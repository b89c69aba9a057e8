import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { PgpackError } from '../../../src/errors.ts'
import { PGCopyChecker } from '../../../src/pgpack/checker.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../../../src/pgpack/pgcopy.ts'
import { pieceSizes } from '../../support/chunks.ts'
import { int4, pgcopy, rows, tuple } from '../../support/pgpack.ts'

function check(body: Buffer, sizes: readonly number[] = [], maxFields = 2): PGCopyChecker {
  const checker = new PGCopyChecker(maxFields)
  for (let at = 0, index = 0; at < body.length; index++) {
    const size = sizes[index % sizes.length] ?? body.length
    checker.update(body.subarray(at, at + size))
    at += size
  }
  checker.end()
  return checker
}

function faultIn(body: Buffer, sizes: readonly number[] = [], maxFields = 2): PgpackError {
  try {
    check(body, sizes, maxFields)
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error('expected a PgpackError')
}

function header(flags: number, extension: Buffer): Buffer {
  const bytes = Buffer.concat([PGCOPY_HEADER, extension])
  bytes.writeUInt32BE(flags, 11)
  bytes.writeInt32BE(extension.length, 15)
  return bytes
}

describe('PGCopyChecker', () => {
  it('counts rows and fields whatever the pieces', () => {
    const field = fc.option(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      { freq: 4 },
    )
    const table = fc
      .integer({ min: 0, max: 3 })
      .chain((width) => fc.array(fc.array(field, { minLength: width, maxLength: width })))
    fc.assert(
      fc.property(table, pieceSizes, (list, sizes) => {
        const body = pgcopy(...list.map((values) => tuple(...values)))
        const checker = check(body, sizes, 3)
        expect(checker.rows).toBe(list.length)
        expect(checker.fields).toBe(list[0]?.length)
        expect(checker.hasOids).toBe(false)
      }),
    )
  })

  it('passes over a header extension and ignores flags that may be ignored', () => {
    const body = Buffer.concat([header(0x0000ffff, Buffer.from('an extension')), rows(3), PGCOPY_TRAILER])
    for (const size of [1, 2, 3, 7, 20, 1000]) expect(check(body, [size]).rows).toBe(3)
  })

  it('knows that a field count leaves an OID field out', () => {
    const row = Buffer.concat([Buffer.of(0, 1), int4(4), int4(16_384), int4(4), int4(7)])
    const checker = check(Buffer.concat([header(1 << 16, Buffer.alloc(0)), row, row, PGCOPY_TRAILER]), [5], 1)
    expect(checker).toMatchObject({ rows: 2, fields: 1, hasOids: true })
  })

  it('takes rows with fewer fields than columns: generated ones are not in the body', () => {
    expect(check(pgcopy(tuple(1), tuple(2))).fields).toBe(1)
  })

  it('notices every place at which a body can be cut', () => {
    const body = pgcopy(tuple(1, 'one'), tuple(2, null), tuple(null, ''))
    for (let end = 0; end < body.length; end++) {
      expect(faultIn(body.subarray(0, end))).toMatchObject({ code: 'PGPACK_TRUNCATED', details: { offset: end } })
      expect(faultIn(body.subarray(0, end), [1]).code).toBe('PGPACK_TRUNCATED')
    }
  })

  it.each([
    ['a byte', Buffer.of(0)],
    ['a second trailer', PGCOPY_TRAILER],
    ['rows', rows(1)],
  ])('refuses %s behind the trailer', (_name, more) => {
    const body = pgcopy(rows(2))
    for (const sizes of [[], [1], [body.length]]) {
      expect(faultIn(Buffer.concat([body, more]), sizes)).toMatchObject({
        code: 'PGPACK_TRAILING_DATA',
        details: { offset: body.length },
      })
    }
  })

  const long = pgcopy(rows(3))
  const behind = (length: number) => PGCOPY_HEADER.length + length
  it.each([
    ['another signature', Buffer.concat([Buffer.from('PGCOPX'), long.subarray(6)]), 0, /expected the signature/],
    ['an unknown critical flag', Buffer.concat([header(1 << 17, Buffer.alloc(0)), PGCOPY_TRAILER]), 11, /0x20000/],
    ['a negative extension', Buffer.concat([PGCOPY_HEADER.subarray(0, 15), int4(-1), PGCOPY_TRAILER]), 15, /found -1/],
    ['more fields than columns', pgcopy(tuple(1, 'a', 'b')), behind(0), /found 3 fields, expected 0 to 2 fields/],
    ['a negative field count', pgcopy(Buffer.from('fffe', 'hex')), behind(0), /found -2 fields/],
    [
      'a row of another width',
      pgcopy(tuple(1, 'a'), tuple(1)),
      behind(tuple(1, 'a').length),
      /2 fields as in the first/,
    ],
    ['a negative field length', pgcopy(tuple(1, 'a'), Buffer.from('0002fffffffe', 'hex')), behind(17), /found -2/],
    ['a field above 1 GiB', pgcopy(tuple(1, 'a'), Buffer.from('000240000000', 'hex')), behind(17), /1073741824/],
  ])('refuses %s', (_name, body, offset, message) => {
    for (const sizes of [[], [1], [3]]) {
      const fault = faultIn(body, sizes)
      expect(fault.message).toMatch(message)
      expect(fault).toMatchObject({ code: 'PGPACK_ROW_MALFORMED', details: { offset } })
    }
  })

  it('takes a field of exactly 1 GiB - 1 as the longest', () => {
    const checker = new PGCopyChecker(1)
    checker.update(Buffer.concat([PGCOPY_HEADER, Buffer.from('00013fffffff', 'hex')]))
    const piece = Buffer.alloc(0x1000000)
    let left = 0x3fffffff
    for (; left > 0; left -= Math.min(left, piece.length))
      checker.update(piece.subarray(0, Math.min(left, piece.length)))
    checker.update(PGCOPY_TRAILER)
    checker.end()
    expect(checker.rows).toBe(1)
  })
})

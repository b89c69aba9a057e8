import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { columnProblems, type SourceColumn } from '../../../src/engine/preflight.ts'
import { throwProblems } from '../../../src/engine/preflight-report.ts'
import { PgpackError } from '../../../src/errors.ts'
import type { ColumnInfo, RelationInfo } from '../../../src/postgres/types.ts'

const OID = {
  bool: 16,
  int8: 20,
  int4: 23,
  text: 25,
  float8: 701,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  timetz: 1266,
  bit: 1560,
  varbit: 1562,
  numeric: 1700,
  interval: 1186,
  varcharArray: 1015,
} as const

type Typed = Pick<ColumnInfo, 'typeOid' | 'typeName' | 'typmod'>

const type = (typeOid: number, typeName: string, typmod = -1): Typed => ({ typeOid, typeName, typmod })
const int4 = type(OID.int4, 'integer')
const text = type(OID.text, 'text')
const varchar = (length?: number) =>
  length === undefined
    ? type(OID.varchar, 'character varying')
    : type(OID.varchar, `character varying(${length})`, length + 4)
const char = (length: number) => type(OID.bpchar, `character(${length})`, length + 4)
const varbit = (length: number) => type(OID.varbit, `bit varying(${length})`, length)
const numeric = (precision?: number, scale = 0) =>
  precision === undefined
    ? type(OID.numeric, 'numeric')
    : type(OID.numeric, `numeric(${precision},${scale})`, ((precision << 16) | (scale & 0x7ff)) + 4)
const timestamp = (precision?: number) =>
  precision === undefined
    ? type(OID.timestamp, 'timestamp without time zone')
    : type(OID.timestamp, `timestamp(${precision}) without time zone`, precision)

function column(name: string, typed: Typed, extra: Partial<ColumnInfo> = {}): ColumnInfo {
  return {
    name,
    ...typed,
    typeLength: -1,
    dimensions: 0,
    typeKind: 'b',
    notNull: false,
    hasDefault: false,
    generated: false,
    identity: undefined,
    ...extra,
  }
}

const target = (...columns: ColumnInfo[]): RelationInfo => ({
  oid: 1,
  schema: 'public',
  name: 'orders',
  kind: 'r',
  columns,
  primaryKey: [],
  estimatedRows: 0,
  sizeBytes: 0,
  pages: 0,
})

const from = (name: string, typed: Typed): SourceColumn => ({ name, ...typed })
/** What a bare file knows: name and OID. */
const bare = (name: string, { typeOid }: Typed): SourceColumn => ({ name, typeOid })

function refusal(source: readonly SourceColumn[], table: RelationInfo): PgpackError | undefined {
  try {
    const about = { code: 'TARGET_MISMATCH', object: 'public.orders', table: `${table.schema}.${table.name}` } as const
    throwProblems(columnProblems(source, table, { binary: true }).map((text) => ({ ...about, text })))
    return undefined
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
}

const fits = (source: Typed, wanted: Typed) => refusal([from('a', source)], target(column('a', wanted))) === undefined

describe('columns that fit', () => {
  it('are equal ones, in whatever order', () => {
    expect(refusal([from('b', text), from('a', int4)], target(column('a', int4), column('b', text)))).toBeUndefined()
  })

  it('are a subset, where the rest may be NULL or has a value of its own', () => {
    const table = target(
      column('a', int4),
      column('nullable', text),
      column('defaulted', text, { notNull: true, hasDefault: true }),
      column('computed', int4, { notNull: true, generated: true }),
      column('numbered', int4, { notNull: true, identity: 'Always' }),
      column('counted', int4, { notNull: true, identity: 'ByDefault' }),
    )
    expect(refusal([from('a', int4)], table)).toBeUndefined()
  })

  it('are matched by their exact names', () => {
    const table = target(column('Order ID', int4), column('größe', int4))
    expect(refusal([from('Order ID', int4), from('größe', int4)], table)).toBeUndefined()
    expect(refusal([from('order id', int4)], table)?.message).toContain(
      'column "order id" is in the file but not in the table',
    )
  })

  it("take an identity column's values, which COPY writes even where they are always generated", () => {
    expect(
      refusal([from('id', int4)], target(column('id', int4, { notNull: true, identity: 'Always' }))),
    ).toBeUndefined()
  })
})

describe('a refusal', () => {
  it.each<[problem: string, source: SourceColumn, wanted: ColumnInfo, message: string]>([
    [
      'a column that the table lacks',
      from('b', int4),
      column('a', int4),
      'column "b" is in the file but not in the table',
    ],
    [
      'a generated column',
      from('a', int4),
      column('a', int4, { generated: true }),
      'column "a" is generated in the table and takes no value',
    ],
    [
      'another type',
      from('a', int4),
      column('a', type(OID.float8, 'double precision')),
      'column "a" is integer in the file but double precision in the table',
    ],
    [
      'another type, known by its OID only',
      bare('a', int4),
      column('a', text),
      'column "a" is of type OID 23 in the file but text in the table',
    ],
    [
      'a shorter type',
      from('a', varchar(20)),
      column('a', varchar(10)),
      'column "a" is character varying(20) in the file and may not fit character varying(10) in the table',
    ],
  ])('names the column and both types: %s', (_, source, wanted, message) => {
    const error = refusal([source], target(wanted))
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false, reason: 'ColumnMismatch' })
    expect(error?.message).toBe(`public.orders does not fit table public.orders: ${message}`)
  })

  it('names a NOT NULL column that nothing fills', () => {
    const error = refusal([from('a', int4)], target(column('a', int4), column('b', text, { notNull: true })))
    expect(error?.message).toContain('column "b" of the table is NOT NULL without a default and not in the file')
  })

  it('tells all problems at once', () => {
    const error = refusal(
      [from('gone', int4), from('typed', int4), from('long', varchar(20)), from('computed', int4), from('fine', int4)],
      target(
        column('typed', text),
        column('long', varchar(10)),
        column('computed', int4, { generated: true }),
        column('required', text, { notNull: true }),
        column('fine', int4),
      ),
    )
    for (const name of ['gone', 'typed', 'long', 'computed', 'required'])
      expect(error?.message).toContain(`column "${name}"`)
    expect(error?.message).not.toContain('"fine"')
    expect(error?.message.split('; ')).toHaveLength(5)
  })
})

describe('types', () => {
  it('of the server itself are compared by OID', () => {
    expect(fits(int4, type(OID.int8, 'bigint'))).toBe(false)
    expect(fits(type(OID.timestamptz, 'timestamp with time zone'), timestamp())).toBe(false)
    expect(fits(type(OID.int8, 'bigint'), type(OID.float8, 'double precision'))).toBe(false)
  })

  it('of users are compared by name, as their OIDs differ from server to server', () => {
    expect(fits(type(16_500, 'public.mood'), type(99_000, 'public.mood'))).toBe(true)
    expect(fits(type(16_500, 'public.mood'), type(16_500, 'public.color'))).toBe(false)
  })

  it('of users cannot be compared for a bare file, and pass', () => {
    expect(refusal([bare('a', type(16_500, ''))], target(column('a', type(99_000, 'public.mood'))))).toBeUndefined()
  })

  it('of users never pass for types of the server', () => {
    expect(fits(type(16_500, 'public.mood'), text)).toBe(false)
    expect(fits(text, type(16_500, 'public.mood'))).toBe(false)
    expect(refusal([bare('a', type(16_500, ''))], target(column('a', text)))).toBeDefined()
    expect(fits(type(16_384, 'public.first'), type(16_383, 'last'))).toBe(false)
  })
})

describe('text', () => {
  it('and varchar have one binary form', () => {
    expect(fits(varchar(), text)).toBe(true)
    expect(fits(varchar(10), text)).toBe(true)
    expect(fits(text, varchar())).toBe(true)
    expect(fits(text, char(10))).toBe(false)
    expect(fits(char(10), text)).toBe(false)
  })

  it('of any length may not fit a limited column', () => {
    expect(fits(text, varchar(10))).toBe(false)
    expect(fits(varchar(), varchar(10))).toBe(false)
    expect(fits(type(OID.bpchar, 'bpchar'), char(10))).toBe(false)
  })

  it('of a bare file is not measured, as nothing is known of its length', () => {
    expect(refusal([bare('a', text)], target(column('a', varchar(10))))).toBeUndefined()
  })

  it.each([
    ['varchar', varchar],
    ['char', char],
    ['varbit', varbit],
  ] as const)('%s fits where the target is as long', (_, make) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 10_000 }), (a, b) => {
        expect(fits(make(a), make(b))).toBe(a <= b)
      }),
    )
  })

  it('with a limit fits one without', () => {
    expect(fits(varchar(10), varchar())).toBe(true)
    expect(fits(varbit(10), type(OID.varbit, 'bit varying'))).toBe(true)
  })
})

/** The values of numeric(p,s) are the multiples of 10^-s below 10^(p-s). */
const numericHolds = (to: { p: number; s: number }, source: { p: number; s: number }) =>
  to.s >= source.s && to.p - to.s >= source.p - source.s

describe('numeric', () => {
  const modifier = fc.record({ p: fc.integer({ min: 1, max: 1000 }), s: fc.integer({ min: -1000, max: 1000 }) })
  const near = fc.record({ p: fc.integer({ min: 1, max: 12 }), s: fc.integer({ min: -6, max: 6 }) })

  it('fits where the target keeps the digits on both sides of the point', () => {
    fc.assert(
      fc.property(fc.oneof(modifier, near), fc.oneof(modifier, near), (a, b) => {
        expect(fits(numeric(a.p, a.s), numeric(b.p, b.s))).toBe(numericHolds(b, a))
      }),
      { numRuns: 1000 },
    )
  })

  it.each<[source: Typed, wanted: Typed, fit: boolean]>([
    [numeric(8, 2), numeric(8, 2), true],
    [numeric(8, 2), numeric(10, 2), true],
    [numeric(8, 2), numeric(10, 4), true],
    [numeric(8, 2), numeric(9, 4), false],
    [numeric(8, 2), numeric(8, 1), false],
    [numeric(8, 2), numeric(8, 3), false],
    [numeric(8, 2), numeric(), true],
    [numeric(), numeric(1000, 500), false],
    [numeric(5, -3), numeric(8, 0), true],
    [numeric(5, -3), numeric(8, -3), true],
    [numeric(5, -3), numeric(7, 0), false],
    [numeric(5, -3), numeric(5, -2), false],
    [numeric(5, -2), numeric(5, -3), false],
    [numeric(3, 5), numeric(2, 4), false],
    [numeric(3, 5), numeric(4, 6), true],
    [numeric(2, -1000), numeric(2, -1000), true],
    [numeric(3, 5), numeric(3, -5), false],
  ])('%j into %j: %s', (source, wanted, fit) => {
    expect(fits(source, wanted)).toBe(fit)
  })
})

describe('times', () => {
  it.each([
    ['time', OID.time],
    ['timestamp', OID.timestamp],
    ['timestamptz', OID.timestamptz],
    ['timetz', OID.timetz],
  ] as const)('of %s keep their microseconds or are refused, as the server would round them', (name, oid) => {
    const of = (precision: number) => type(oid, `${name}(${precision})`, precision)
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 6 }), fc.integer({ min: -1, max: 6 }), (a, b) => {
        const digits = (precision: number) => (precision === -1 ? 6 : precision)
        expect(fits(of(a), of(b))).toBe(digits(a) <= digits(b))
      }),
    )
  })
})

/** interval's typmod: its fields as bits, and digits of a second; 0x7fff and 0xffff for all of them. */
const interval = (fields = 0x7fff, digits = 0xffff) => type(OID.interval, 'interval', (fields << 16) | digits)
const [YEAR, MONTH, DAY, HOUR, MINUTE, SECOND] = [1 << 2, 1 << 1, 1 << 3, 1 << 10, 1 << 11, 1 << 12] as const

describe('intervals', () => {
  it('fit where the target keeps the finest field of the source', () => {
    expect(fits(interval(YEAR), interval(YEAR | MONTH))).toBe(true)
    expect(fits(interval(DAY), interval(HOUR | MINUTE))).toBe(true)
    expect(fits(interval(HOUR | MINUTE), interval(HOUR))).toBe(false)
    expect(fits(interval(), interval(DAY | HOUR | MINUTE | SECOND))).toBe(true)
    expect(fits(type(OID.interval, 'interval'), interval(MONTH))).toBe(false)
  })

  it('fit where the target keeps the digits of a second', () => {
    expect(fits(interval(0x7fff, 2), interval(0x7fff, 3))).toBe(true)
    expect(fits(interval(0x7fff, 3), interval(0x7fff, 2))).toBe(false)
    expect(fits(type(OID.interval, 'interval'), interval(0x7fff, 6))).toBe(true)
    expect(fits(type(OID.interval, 'interval'), interval(0x7fff, 5))).toBe(false)
    expect(fits(interval(DAY), interval(0x7fff, 0))).toBe(true)
  })
})

describe('arrays', () => {
  it('are measured by their elements, to which the server hands the modifier on', () => {
    const varchars = (length: number) => type(OID.varcharArray, `character varying(${length})[]`, length + 4)
    expect(fits(varchars(5), varchars(6))).toBe(true)
    expect(fits(varchars(6), varchars(5))).toBe(false)
    expect(fits(type(OID.varcharArray, 'character varying[]'), varchars(5))).toBe(false)
  })
})

describe('other modifiers', () => {
  it('are refused where they differ, since nothing is known of them', () => {
    const bit = (length: number) => type(OID.bit, `bit(${length})`, length)
    expect(fits(bit(5), bit(5))).toBe(true)
    expect(fits(bit(5), bit(6))).toBe(false)
  })

  it('pass where the target has none', () => {
    expect(fits(type(OID.interval, 'interval(3)', 3), type(OID.interval, 'interval'))).toBe(true)
    expect(
      fits(type(OID.varcharArray, 'character varying(5)[]', 9), type(OID.varcharArray, 'character varying[]')),
    ).toBe(true)
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Part } from '../../../src/engine/load.ts'
import { type OidTree, oidTrees, TypeOidRewriter, withTargetOids } from '../../../src/engine/target-oids.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../../../src/pgpack/pgcopy.ts'
import type { UserType } from '../../../src/postgres/catalog-types.ts'

/** A type, by its OIDs in the source and in the target. */
type Shape =
  | { readonly kind: 'scalar'; readonly source: number; readonly target: number }
  | { readonly kind: 'array'; readonly of: Shape; readonly source: number; readonly target: number }
  | { readonly kind: 'composite'; readonly fields: readonly Shape[]; readonly source: number; readonly target: number }
  | { readonly kind: 'range'; readonly of: Shape; readonly source: number; readonly target: number }

/** The server's own are the same in both. */
const oids = fc.oneof(
  fc.record({
    source: fc.integer({ min: 16_384, max: 2 ** 32 - 1 }),
    target: fc.integer({ min: 16_384, max: 2 ** 32 - 1 }),
  }),
  fc.constantFrom(23, 25, 1700).map((oid) => ({ source: oid, target: oid })),
)
const users = fc.record({
  source: fc.integer({ min: 16_384, max: 99_999 }),
  target: fc.integer({ min: 16_384, max: 99_999 }),
})

const { shape } = fc.letrec<{ shape: Shape }>((tie) => ({
  shape: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'types' },
    oids.map((oid): Shape => ({ kind: 'scalar', ...oid })),
    fc.tuple(tie('shape'), users).map(([of, oid]): Shape => ({ kind: 'array', of, ...oid })),
    fc
      .tuple(fc.array(tie('shape'), { maxLength: 3 }), users)
      .map(([fields, oid]): Shape => ({ kind: 'composite', fields, ...oid })),
    fc.tuple(tie('shape'), users).map(([of, oid]): Shape => ({ kind: 'range', of, ...oid })),
  ),
}))

function treeOf(type: Shape): OidTree | undefined {
  switch (type.kind) {
    case 'scalar':
      return undefined
    case 'array':
      return { kind: 'array', element: type.of.target, of: treeOf(type.of) }
    case 'composite':
      return { kind: 'composite', fields: type.fields.map((field) => ({ oid: field.target, of: treeOf(field) })) }
    case 'range': {
      const of = treeOf(type.of)
      return of && { kind: 'range', of }
    }
  }
}

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}
const field = (value: Buffer | null) => Buffer.concat([int32(value?.length ?? -1), value ?? Buffer.alloc(0)])

/** A value's bytes with the OIDs of either side. */
type Encode = (side: 'source' | 'target') => Buffer | null

function cellOf(type: Shape): fc.Arbitrary<Encode> {
  const nothing = fc.constant<Encode>(() => null)
  return fc.oneof({ weight: 1, arbitrary: nothing }, { weight: 5, arbitrary: presentValue(type) })
}

function presentValue(type: Shape): fc.Arbitrary<Encode> {
  switch (type.kind) {
    case 'scalar':
      return fc.uint8Array({ maxLength: 9 }).map((bytes) => () => Buffer.from(bytes))
    case 'array':
      return fc.tuple(fc.array(cellOf(type.of), { maxLength: 4 }), fc.integer({ min: 1, max: 6 })).map(
        ([values, dimensions]) =>
          (side) =>
            encodeArray(values, dimensions, type.of[side], side),
      )
    case 'composite':
      return fc.tuple(...type.fields.map(cellOf)).map((values) => (side) => {
        const fields = values.map((value, index) => [int32(type.fields[index]?.[side] ?? 0), field(value(side))])
        return Buffer.concat([int32(values.length), ...fields.flat()])
      })
    case 'range':
      return fc
        .tuple(presentValue(type.of), presentValue(type.of), fc.constantFrom(0x01, 0x02, 0x0a, 0x10, 0x18, 0x06))
        .map(
          ([lower, upper, flags]) =>
            (side) =>
              encodeRange(flags, lower(side), upper(side)),
        )
  }
}

/** One row of elements, in an array of so many dimensions. */
function encodeArray(values: readonly Encode[], dimensions: number, element: number, side: 'source' | 'target') {
  const count = values.length === 0 ? 0 : dimensions
  const sizes = Array.from({ length: count }, (_, dimension) => [int32(dimension === 0 ? values.length : 1), int32(1)])
  return Buffer.concat([
    int32(count),
    int32(0),
    int32(element),
    ...sizes.flat(),
    ...values.map((value) => field(value(side))),
  ])
}

function encodeRange(flags: number, lower: Buffer | null, upper: Buffer | null): Buffer {
  const empty = (flags & 0x01) !== 0
  const bounds = [
    ...(empty || (flags & 0x08) !== 0 ? [] : [field(lower)]),
    ...(empty || (flags & 0x10) !== 0 ? [] : [field(upper)]),
  ]
  return Buffer.concat([Buffer.of(flags), ...bounds])
}

function stream(rows: readonly (readonly (Buffer | null)[])[], header: Buffer = PGCOPY_HEADER): Buffer {
  const tuples = rows.map((row) => {
    const count = Buffer.alloc(2)
    count.writeInt16BE(row.length)
    return Buffer.concat([count, ...row.map(field)])
  })
  return Buffer.concat([header, ...tuples, PGCOPY_TRAILER])
}

/** The whole stream, which comes in pieces cut at these places. */
function rewrite(bytes: Buffer, trees: readonly (OidTree | undefined)[], cuts: readonly number[] = []): Buffer {
  const rewriter = new TypeOidRewriter(trees)
  const places = [0, ...[...cuts].sort((one, other) => one - other), bytes.length]
  // The pieces are overwritten, so each is a copy.
  const pieces = places.slice(1).map((end, index) => Buffer.from(bytes.subarray(places[index], end)))
  const done = Buffer.concat(pieces.map((piece) => Buffer.from(rewriter.update(piece))))
  rewriter.end()
  return done
}

const tables = fc.array(shape, { minLength: 1, maxLength: 4 }).chain((columns) =>
  fc.record({
    columns: fc.constant(columns),
    rows: fc.array(fc.tuple(...columns.map(cellOf)), { maxLength: 5 }),
    cuts: fc.array(fc.nat({ max: 800 }), { maxLength: 12 }),
  }),
)

describe('the OIDs of types in binary values', () => {
  it("become the target's, in whatever the types stand on one another and wherever the stream is cut", () => {
    fc.assert(
      fc.property(tables, ({ columns, rows, cuts }) => {
        const side = (which: 'source' | 'target') => stream(rows.map((row) => row.map((value) => value(which))))
        const source = side('source')
        const inside = cuts.filter((cut) => cut <= source.length)
        expect(rewrite(source, columns.map(treeOf), inside).equals(side('target'))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  const moods: Shape = {
    kind: 'array',
    of: { kind: 'scalar', source: 20_001, target: 30_001 },
    source: 20_002,
    target: 30_002,
  }
  const element = (oid: number, dimensions = 1) => encodeArray([() => Buffer.from('ok')], dimensions, oid, 'source')
  const moodsAndMore = Buffer.concat([encodeArray([() => null], 1, 20_001, 'source'), Buffer.alloc(3)])

  it('survive a piece for each byte, an extension of the header, and rows with OIDs', () => {
    const header = Buffer.concat([PGCOPY_HEADER, Buffer.from('extra')])
    header.writeInt32BE(1 << 16, 11)
    header.writeInt32BE(5, 15)
    const withOids = (oid: number) => {
      const tuple = Buffer.concat([Buffer.of(0, 1), field(int32(7)), field(element(oid))])
      return Buffer.concat([header, tuple, tuple, PGCOPY_TRAILER])
    }
    const cuts = Array.from({ length: withOids(20_001).length }, (_, index) => index)
    expect(rewrite(withOids(20_001), [treeOf(moods)], cuts)).toEqual(withOids(30_001))
  })

  it("stay where they are the server's own, on which it insists itself", () => {
    expect(rewrite(stream([[element(25)]]), [treeOf(moods)])).toEqual(stream([[element(25)]]))
    const integers: OidTree = { kind: 'array', element: 23, of: undefined }
    expect(rewrite(stream([[element(20_001)]]), [integers])).toEqual(stream([[element(20_001)]]))
  })

  it('stay in a composite of another number of fields, which the server refuses', () => {
    const pair: OidTree = { kind: 'composite', fields: [{ oid: 30_001, of: undefined }] }
    const value = Buffer.concat([int32(2), int32(20_001), field(null), int32(20_001), field(null)])
    expect(rewrite(stream([[value], [null]]), [pair])).toEqual(stream([[value], [null]]))
  })

  it.each([
    ['a row of another number of fields', stream([[null, null]]), 'PGPACK_ROW_MALFORMED', 'expected 1 fields'],
    ['an array of 7 dimensions', stream([[element(7, 7)]]), 'PGPACK_ROW_MALFORMED', 'found 7'],
    ['a value with bytes behind its end', stream([[moodsAndMore]]), 'PGPACK_ROW_MALFORMED', 'the end of a value'],
    [
      'a value shorter than its head',
      stream([[Buffer.alloc(8)], [null]]),
      'PGPACK_ROW_MALFORMED',
      'the end of a value',
    ],
    ['a value that ends in its head', stream([[element(20_001).subarray(0, 12)]]), 'PGPACK_TRUNCATED', 'trailer'],
  ] as const)('are refused in %s', (_, bytes, code, message) => {
    const nested: OidTree = { kind: 'array', element: 30_001, of: { kind: 'array', element: 30_001, of: undefined } }
    const refused = expect.objectContaining({ code, message: expect.stringContaining(message) })
    expect(() => rewrite(bytes, [nested])).toThrow(refused)
  })

  it('are refused in rows that end before the trailer', () => {
    const whole = stream([[element(20_001)]])
    const work = () => rewrite(whole.subarray(0, -2), [treeOf(moods)])
    expect(work).toThrow(expect.objectContaining({ code: 'PGPACK_TRUNCATED' }))
  })
})

describe('a part for another database', () => {
  it('passes on how many rows each piece holds, its memory, and what it stands for in the store', async () => {
    const released: string[] = []
    const part: Part = {
      storedBytes: 7n,
      async *read() {
        yield { data: stream([[int32(1)]]), rows: 1, release: () => released.push('one') }
      },
    }
    const fitted = withTargetOids(part, [undefined])
    expect(fitted.storedBytes).toBe(7n)
    for await (const { data, rows, release } of fitted.read({ number: 0, signal: new AbortController().signal })) {
      expect({ data, rows }).toEqual({ data: stream([[int32(1)]]), rows: 1 })
      release?.()
    }
    expect(released).toEqual(['one'])
  })
})

describe('the trees of types', () => {
  const named = (kind: UserType['kind'], oid: number, rest: Partial<UserType> = {}): UserType => {
    return { kind, oid, schema: 'public', name: `t${oid}`, arrayOid: oid + 1, ...rest }
  }
  const mood = named('enum', 30_000)
  const list = named('domain', 30_010, { base: 30_001 })
  const pair = named('composite', 30_020, {
    fields: [
      { name: 'a', oid: 25, type: 'text' },
      { name: 'b', oid: 30_010, type: 'public.t30010' },
    ],
  })
  const plain = named('composite', 30_030, { fields: [{ name: 'a', oid: 25, type: 'text' }] })
  const spans = named('range', 30_040, { subtype: 30_020 })
  const dates = named('range', 30_050, { subtype: 1082, arrayOid: 0 })
  const types = [mood, list, pair, plain, spans, dates]
  const moods: OidTree = { kind: 'array', element: 30_000, of: undefined }
  const pairs: OidTree = {
    kind: 'composite',
    fields: [
      { oid: 25, of: undefined },
      { oid: 30_010, of: moods },
    ],
  }

  it.each([
    ["the server's own type", 25, undefined],
    ['an enum', 30_000, undefined],
    ['an array of enums', 30_001, moods],
    ['a domain over such an array', 30_010, moods],
    ['an array of domains', 30_011, { kind: 'array', element: 30_010, of: moods }],
    ['a composite', 30_020, pairs],
    ["a composite of the server's own types", 30_030, undefined],
    ['a range of composites', 30_040, { kind: 'range', of: pairs }],
    ['a range of dates', 30_050, undefined],
    ['no array where a type has none', 0, undefined],
  ] as const)('hold the OIDs of %s', (_, oid, expected) => {
    expect(oidTrees(types, [oid])).toEqual([expected])
  })
})

import { describe, expect, it } from '@jest/globals'
import { PgpackError } from '../../../../src/errors.ts'
import { lowerBoundsOf, withLowerBounds } from '../../../../src/pgpack/rows/array.ts'
import { Bytes, ByteWriter } from '../../../../src/pgpack/rows/bytes.ts'
import { encodeValue, fromJSON, toJSON } from '../../../../src/pgpack/rows/codec.ts'
import { parseColumnType } from '../../../../src/pgpack/rows/column-spec.ts'
import { INTERVAL_INFINITY } from '../../../../src/pgpack/rows/interval.ts'
import { EMPTY_RANGE } from '../../../../src/pgpack/rows/range.ts'
import { BUILTIN_REGISTRY } from '../../../../src/pgpack/rows/registry.ts'
import { SAMPLES } from './samples.ts'

const codecOf = (type: string) => BUILTIN_REGISTRY.codec(parseColumnType(type).oid)

function encode(type: string, value: unknown): Buffer {
  const out = new ByteWriter()
  encodeValue(codecOf(type), value, out)
  return out.take()
}

const decode = (type: string, bytes: Buffer) => codecOf(type).decode(new Bytes(bytes), 0, bytes.length)
const roundTrip = (type: string, value: unknown) => decode(type, encode(type, value))

function faultOf(work: () => unknown): PgpackError {
  try {
    work()
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error('expected an error')
}

describe('values in JavaScript', () => {
  it.each<[type: string, text: string, value: unknown]>([
    ['bool', 'yes', true],
    ['int4', ' +7 ', 7],
    ['int8', '9007199254740993', 9007199254740993n],
    ['money', '-$1,234.5', -123450n],
    ['numeric', '1.50', '1.50'],
    ['numeric', '1.5e3', '1500'],
    ['numeric', '15e-3', '0.015'],
    ['numeric', '-0', '0'],
    ['numeric', '-inf', '-Infinity'],
    ['float4', '0.1', Math.fround(0.1)],
    ['bytea', 'a\\\\\\000', Buffer.from('a\\\0')],
    ['uuid', '{F47AC10B58CC4372A5670E02B2C3D479}', 'f47ac10b-58cc-4372-a567-0e02b2c3d479'],
    ['date', '2024-02-29', '2024-02-29'],
    ['timestamp', '2024-02-29T04:05', '2024-02-29 04:05:00'],
    ['timestamptz', '2024-02-29 04:05:06.7+05:30', '2024-02-28 22:35:06.7+00'],
    ['timestamptz', '2024-02-29T04:05:06Z', '2024-02-29 04:05:06+00'],
    ['interval', '1 year -3 days', { months: 12, days: -3, microseconds: 0n }],
    ['interval', 'infinity', INTERVAL_INFINITY],
    ['point', '(1, 2)', { x: 1, y: 2 }],
    ['box', '(1,2),(3,0)', { first: { x: 3, y: 2 }, second: { x: 1, y: 0 } }],
    ['path', '[(1,2)]', { closed: false, points: [{ x: 1, y: 2 }] }],
    ['circle', '<(1,2),3>', { x: 1, y: 2, radius: 3 }],
    ['int4range', 'EMPTY', EMPTY_RANGE],
    ['int4range', '[1,)', { empty: false, lower: 1, upper: null, lowerInclusive: true, upperInclusive: false }],
    ['int4[]', '{}', []],
    [
      'int4[]',
      '{{1,NULL},{3,4}}',
      [
        [1, null],
        [3, 4],
      ],
    ],
    ['text[]', '{"a\\"b", "NULL", NULL, c d }', ['a"b', 'NULL', null, 'c d']],
    ['int2vector', '1 2', Int16Array.of(1, 2)],
    ['regclass', '-', 0],
  ])('of type %s are read from %j', (type, text, value) => {
    expect(codecOf(type).parse(text)).toEqual(type === 'numeric' || /date|time|uuid/.test(type) ? text : value)
    expect(roundTrip(type, text)).toEqual(value)
  })

  it('may be numbers where bigints or decimals are meant, and the other way round', () => {
    expect(roundTrip('int8', 5)).toBe(5n)
    expect(roundTrip('int4', 5n)).toBe(5)
    expect(roundTrip('numeric', 1.5)).toBe('1.5')
    expect(roundTrip('numeric', 10n ** 30n)).toBe(`1${'0'.repeat(30)}`)
  })

  it.each([
    ['int2', 32768],
    ['int4', 1.5],
    ['int4', '1.5'],
    ['int4', true],
    ['int8', 2n ** 63n],
    ['int8', 2 ** 53],
    ['oid', -1],
    ['xid8', -1n],
    ['bool', 'perhaps'],
    ['bool', 1],
    ['float8', '1,5'],
    ['float8', 'x'],
    ['numeric', '1.2.3'],
    ['numeric', '.'],
    ['numeric', '1e999999'],
    ['numeric', {}],
    ['money', '1.234'],
    ['"char"', 'ab'],
    ['"char"', 'é'],
    ['bytea', '\\x0'],
    ['bytea', '\\9'],
    ['bytea', 5],
    ['uuid', 'f47ac10b'],
    ['text', 5],
    ['date', '2023-02-29'],
    ['date', '2024-13-01'],
    ['date', '0000-01-01'],
    ['date', '5874898-01-01'],
    ['time', '24:00:01'],
    ['time', '12:60'],
    ['timetz', '12:00'],
    ['timetz', '12:00+16'],
    ['timestamp', '2024-01-01 00:00+00'],
    ['timestamptz', '2024-01-01 00:00'],
    ['timestamp', '294277-01-01 00:00'],
    ['interval', ''],
    ['interval', '1 fortnight'],
    ['interval', { months: 1 }],
    ['interval', '200000000 years'],
    ['bit', '102'],
    ['inet', '1.2.3'],
    ['inet', '1.2.3.4/33'],
    ['inet', '::1%eth0'],
    ['cidr', '::/129'],
    ['macaddr', '08:00:2b:01:02'],
    ['point', '(1,2,3)'],
    ['point', { x: 1 }],
    ['polygon', '(1,2,3)'],
    ['polygon', 7],
    ['tid', '(1,65536)'],
    ['pg_lsn', '1-2'],
    ['pg_snapshot', '1:2'],
    ['int4range', '[1 2]'],
    ['int4range', 5],
    ['int4multirange', '[1,2)'],
    ['int4multirange', {}],
    ['tsquery', "'a' &"],
    ['tsquery', "( 'a'"],
    ['tsquery', "'a' 'b'"],
    ['tsquery', "'a' )"],
    ['tsquery', '0 & 0 !0 &'],
    ['tsquery', '()'],
    ['tsquery', '!'],
    ['tsvector', "'open"],
    ['int4[]', '{1,{2}}'],
    ['int4[]', '{{1},2}'],
    ['int4[]', '{{1,2},{3}}'],
    ['int4[]', '{1,}'],
    ['int4[]', '{1'],
    ['int4[]', '{1} x'],
    ['int4[]', '[1:3]={1,2}'],
    ['int4[]', '{{{{{{{1}}}}}}}'],
    ['int4[]', [[1], [2, 3]]],
    ['int4[]', [1, [2]]],
    ['int4[]', 5],
    ['int2vector', [1]],
  ])('that type %s cannot hold are refused: %p', (type, value) => {
    const error = faultOf(() => encode(type, value))
    expect(error).toMatchObject({ code: 'PGPACK_VALUE', retryable: false })
    expect(error.details.expected).toBeTruthy()
  })

  it('of every type come back the same by their text and by JSON', () => {
    for (const [oid, text] of SAMPLES) {
      const codec = BUILTIN_REGISTRY.codec(oid)
      const value = codec.parse(text)
      expect(codec.format(value)).toBe(text)
      const json = toJSON(codec, value)
      JSON.parse(json)
      expect(codec.format(fromJSON(codec, json))).toBe(text)
    }
  })
})

describe('JSON', () => {
  it.each([
    ['int8', 9007199254740991n, '9007199254740991'],
    ['int8', 9007199254740992n, '"9007199254740992"'],
    ['numeric', '1.50', '"1.50"'],
    ['float8', 1.5, '1.5'],
    ['float8', Number.NaN, '"NaN"'],
    ['float8', -0, '"-0"'],
    ['bool', true, 'true'],
    ['jsonb', '{"a": 1.10}', '{"a": 1.10}'],
    ['json', '[1,\n2]', '[1, 2]'],
    ['json[]', ['null', null], '["null",null]'],
    ['int4[]', [[1, null]], '[[1,null]]'],
    ['int4[]', withLowerBounds([1], [0]), '"[0:0]={1}"'],
    ['bytea', Buffer.of(255), '"\\\\xff"'],
  ])('of type %s: %p is %s', (type, value, json) => {
    expect(toJSON(codecOf(type), value)).toBe(json)
  })

  it('keeps all digits of a number that is read', () => {
    expect(fromJSON(codecOf('numeric'), '123456789012345678901234567890.10')).toBe('123456789012345678901234567890.10')
    expect(fromJSON(codecOf('int8'), '9223372036854775807')).toBe(9223372036854775807n)
  })
})

describe('arrays', () => {
  it('keep lower bounds that are not 1, which copies of them do not', () => {
    const array = roundTrip('int4[]', '[0:1][-2:-1]={{1,2},{3,4}}') as number[][]
    expect(array).toEqual([
      [1, 2],
      [3, 4],
    ])
    expect(lowerBoundsOf(array)).toEqual([0, -2])
    expect(lowerBoundsOf([...array])).toBeUndefined()
    expect(lowerBoundsOf(withLowerBounds([1], [1]))).toBeUndefined()
  })

  it('refuse bounds that do not fit their dimensions', () => {
    expect(faultOf(() => encode('int4[]', withLowerBounds([1], [0, 0]))).code).toBe('PGPACK_VALUE')
  })

  it('refuse elements of another type than the column has', () => {
    const error = faultOf(() => decode('int8[]', encode('int4[]', [1])))
    expect(error.details).toMatchObject({ offset: 8, expected: 'elements of type OID 20', found: 'type OID 23' })
  })

  it('of an empty dimension are empty', () => {
    expect(roundTrip('int4[]', [[]])).toEqual([])
  })
})

describe('bytes', () => {
  it.each([
    ['int4', '00'],
    ['bool', '0000'],
    ['uuid', '00'],
    ['numeric', '0001000000000000'],
    ['numeric', '0001000000000000ffff'],
    ['numeric', '0000000012340000'],
    ['numeric', '000000000000ffff'],
    ['text', 'ff'],
    ['jsonb', '027b7d'],
    ['jsonb', ''],
    ['date', '7ffffffe'],
    ['time', 'ffffffffffffffff'],
    ['timestamp', '8000000000000001'],
    ['timetz', '00000000000000000000e101'],
    ['inet', '02210004'],
    ['inet', '0221000401020304'],
    ['inet', '0420000401020304'],
    ['bit', '00000009ff'],
    ['polygon', '00000000'],
    ['point', '00'],
    ['int4range', '00'],
    ['int4range', '00ffffffff'],
    ['int4[]', '00000007000000000000001700'],
    ['tsquery', '00000001020200'],
    ['tsquery', '000000020101'],
    ['tsquery', '00000001030000'],
    ['tsvector', '0000000161'],
    ['int2vector', '000000010000000000000015000000010000000000000002'],
    ['int4[]', '00000000000000000000001700'],
  ])('that are no %s are refused: %s', (type, hex) => {
    const error = faultOf(() => decode(type, Buffer.from(hex, 'hex')))
    expect(error.code).toBe('PGPACK_VALUE')
    expect(error.details).toEqual({
      offset: expect.any(Number),
      expected: expect.any(String),
      found: expect.any(String),
    })
  })

  it('of bytea are a copy, which does not keep the file in memory', () => {
    const bytes = Buffer.from('abcdef')
    const value = codecOf('bytea').decode(new Bytes(bytes), 1, 3)
    bytes.fill(0)
    expect(value).toEqual(Buffer.from('bc'))
  })

  it('of text in another encoding are refused, while the replacement character itself is text', () => {
    expect(roundTrip('text', 'a\ufffdb')).toBe('a\ufffdb')
    expect(faultOf(() => decode('text', Buffer.from('na\xefve', 'latin1'))).details).toMatchObject({
      expected: 'UTF-8 text',
    })
  })
})

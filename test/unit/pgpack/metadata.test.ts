import { deflateSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { METADATA_SPELLINGS, type PGPackColumn } from '../../../src/pgpack/columns.ts'
import { DEFAULT_LIMITS } from '../../../src/pgpack/limits.ts'
import { decodeMetadata, encodeMetadata, type Metadata, metadataJSON } from '../../../src/pgpack/metadata.ts'
import { faultOf } from '../../support/chunks.ts'

const columns: readonly PGPackColumn[] = [
  { name: 'id', oid: 23, length: 4, scale: 0, nested: 0 },
  { name: 'n', oid: 1700, length: 8, scale: 2, nested: 0 },
  { name: 'naïve Ж', oid: 1043, length: 10, scale: 0, nested: 0 },
]

function read(json: string | Buffer): Promise<Metadata> {
  return decodeMetadata(deflateSync(json), DEFAULT_LIMITS)
}

const anyColumn = fc.record({
  name: fc.string({ unit: 'binary', maxLength: 30 }),
  oid: fc.nat({ max: 0xffffffff }),
  length: fc.integer({ min: -1, max: 0x7fffffff }),
  scale: fc.integer({ min: -1000, max: 2047 }),
  nested: fc.nat({ max: 6 }),
})

describe('metadataJSON', () => {
  it('has the bytes that the released reference writes', () => {
    expect(metadataJSON(columns, 'released')).toBe(
      '[[1, ["id", 23, 4, 0, 0]], [2, ["n", 1700, 8, 2, 0]], [3, ["naïve Ж", 1043, 10, 0, 0]]]',
    )
  })

  it('has the bytes that the development head writes', () => {
    expect(metadataJSON(columns.slice(0, 2), 'development')).toBe(
      '[{"id": {"oid": 23, "length": 4, "scale": 0, "nested": 0}}, {"n": {"oid": 1700, "length": 8, "scale": 2, "nested": 0}}]',
    )
  })

  it('escapes quotes, backslashes and control characters and nothing else', () => {
    const name = '"\\/\t\n\u0001\u007f\u2028\'%{}😀'
    expect(metadataJSON([{ name, oid: 25, length: -1, scale: 0, nested: 0 }], 'released')).toBe(
      '[[1, ["\\"\\\\/\\t\\n\\u0001\u007f\u2028\'%{}😀", 25, -1, 0, 0]]]',
    )
  })
})

describe('decodeMetadata', () => {
  it.each(['released', 'development'] as const)('reads what encodeMetadata writes, %s spelling', async (spelling) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyColumn, { minLength: 1, maxLength: 8 }), async (list) => {
        expect(await decodeMetadata(encodeMetadata(list, spelling), DEFAULT_LIMITS)).toEqual({
          columns: list,
          spelling,
        })
      }),
    )
  })

  const json = metadataJSON(columns, 'released')
  it.each([
    ['compact', JSON.stringify(JSON.parse(json))],
    ['pretty', JSON.stringify(JSON.parse(json), null, 4)],
    ['with escapes', json.replace('ï', '\\u00ef').replace('Ж', '\\u0416')],
    ['with a byte order mark', `\ufeff${json}`],
    ['in UTF-16, little-endian', Buffer.from(json, 'utf16le')],
    ['in UTF-16 with a mark', Buffer.from(`\ufeff${json}`, 'utf16le')],
    ['in UTF-16, big-endian', Buffer.from(json, 'utf16le').swap16()],
    ['with whole numbers as floats', json.replace('23,', '23.0,')],
    ['in another order', '[[3, ["naïve Ж", 1043, 10, 0, 0]], [1, ["id", 23, 4, 0, 0]], [2, ["n", 1700, 8, 2, 0]]]'],
  ])('reads JSON %s', async (_name, text) => {
    expect(await read(text)).toEqual({ columns, spelling: 'released' })
  })

  it('takes null for length, scale and dimensions', async () => {
    expect((await read('[[1, ["a", 25, null, null, null]]]')).columns).toEqual([
      { name: 'a', oid: 25, length: -1, scale: 0, nested: 0 },
    ])
  })

  it('reads an empty list of columns', async () => {
    expect((await read('[]')).columns).toEqual([])
  })

  it('reads any zlib level and ignores what follows the zlib stream', async () => {
    for (const level of [0, 1, 9]) {
      const packed = Buffer.concat([deflateSync(json, { level }), Buffer.from('garbage')])
      expect((await decodeMetadata(packed, DEFAULT_LIMITS)).columns).toEqual(columns)
    }
  })

  it('keeps a column named __proto__', async () => {
    const hostile = [{ name: '__proto__', oid: 25, length: -1, scale: 0, nested: 0 }]
    expect((await read(metadataJSON(hostile, 'development'))).columns).toEqual(hostile)
  })

  it.each([
    ['no JSON', 'null and void', /expected JSON/],
    ['bytes that are no text', Buffer.of(0x5b, 0xff, 0x5d), /expected utf-8 text/],
    ['no list', '{"columns": []}', /expected a list of columns/],
    ['null', 'null', /expected a list of columns/],
    ['four elements in a column', '[[1, ["a", 25, -1, 0]]]', /expected \[number, \[name/],
    ['six elements in a column', '[[1, ["a", 25, -1, 0, 0, 0]]]', /expected \[number, \[name/],
    ['a third element beside a column', '[[1, ["a", 25, -1, 0, 0], 3]]', /expected \[number, \[name/],
    ['a number from 0', '[[0, ["a", 25, -1, 0, 0]]]', /numbered from 1 to 1; /],
    ['a gap in the numbers', '[[1, ["a", 25, -1, 0, 0]], [3, ["b", 25, -1, 0, 0]]]', /found number 3/],
    ['one number twice', '[[1, ["a", 25, -1, 0, 0]], [1, ["b", 25, -1, 0, 0]]]', /found number 1/],
    ['a number as text', '[["1", ["a", 25, -1, 0, 0]]]', /found number '1'/],
    ['an oid as text', '[[1, ["a", "25", -1, 0, 0]]]', /a type oid for column a/],
    ['a negative oid', '[[1, ["a", -1, -1, 0, 0]]]', /a type oid for column a/],
    ['an oid above 32 bits', '[[1, ["a", 4294967296, -1, 0, 0]]]', /a type oid for column a/],
    ['no name', '[[1, [null, 25, -1, 0, 0]]]', /a column name/],
    ['half a length', '[[1, ["a", 25, 0.5, 0, 0]]]', /a whole number for the length of column a/],
    ['an empty object', '[{}]', /expected {name: {oid/],
    ['two columns in an object', '[{"a": {}, "b": {}}]', /expected {name: {oid/],
    ['a column without fields', '[{"a": 23}]', /expected {oid, length, scale, nested}/],
    ['a missing scale', '[{"a": {"oid": 23, "length": 4, "nested": 0}}]', /the scale of column a/],
    ['both spellings', '[[1, ["a", 25, -1, 0, 0]], {"b": {"oid": 23}}]', /expected {name/],
  ])('refuses %s', async (_name, text, message) => {
    const fault = await faultOf(read(text))
    expect(fault.code).toBe('PGPACK_METADATA')
    expect(fault.message).toMatch(message)
  })

  it('refuses what is no zlib stream', async () => {
    expect((await faultOf(decodeMetadata(Buffer.from(json), DEFAULT_LIMITS))).code).toBe('PGPACK_METADATA')
    expect((await faultOf(decodeMetadata(deflateSync(json).subarray(0, -8), DEFAULT_LIMITS))).code).toBe(
      'PGPACK_METADATA',
    )
  })

  it('refuses metadata that decompress to more than the limit', async () => {
    const bomb = deflateSync(Buffer.alloc(1_000_000, ' '))
    const fault = await faultOf(decodeMetadata(bomb, { ...DEFAULT_LIMITS, metadataRawBytes: 999_999 }))
    expect(fault).toMatchObject({ code: 'PGPACK_LIMIT', details: { expected: '999999 bytes at most' } })
  })

  it.each([
    ['lists', `${'['.repeat(200_000)}${']'.repeat(200_000)}`],
    ['objects', '{"a":'.repeat(100_000)],
    ['a list for a length', '[[1, ["a", 23, [4], 0, 0]]]'],
  ])('refuses deep JSON before it is parsed: %s', async (_name, deep) => {
    const fault = await faultOf(read(deep))
    expect(fault).toMatchObject({ code: 'PGPACK_METADATA', details: { found: 'deeper ones' } })
  })

  it('refuses more columns than a row can count before they are parsed, and takes as many', async () => {
    const list = (count: number) => `[${'{},'.repeat(count - 1)}{}]`
    expect(await faultOf(read(list(65_535)))).toMatchObject({ details: { expected: '32767 columns at most' } })
    expect((await faultOf(read(list(65_534)))).message).toContain('expected {name: {oid')
    const most = Array.from({ length: 32_767 }, () => '{"a":{"oid":23,"length":4}}').join()
    expect((await faultOf(read(`[${most}]`))).message).toContain('the scale of column a')
  })

  it.each(['[[[[', '{[{[', '\\"[[[[', '\\\\', '"'])('takes the name %s for a name, not for nesting', async (name) => {
    const odd = [{ name, oid: 25, length: -1, scale: 0, nested: 0 }]
    for (const spelling of METADATA_SPELLINGS) expect((await read(metadataJSON(odd, spelling))).columns).toEqual(odd)
  })

  it('says what is wrong in a message of bounded length', async () => {
    const name = 'n'.repeat(500_000)
    for (const json of [
      `[[1, ["${name}", -5, 4, 0, 0]]]`,
      `[[1, ["${name}", 5, "${name}", 0, 0]]]`,
      `[{"${name}": 1}]`,
      `["${name}"]`,
      name,
    ]) {
      const fault = await faultOf(read(json))
      expect(fault.code).toBe('PGPACK_METADATA')
      expect(fault.message.length).toBeLessThan(500)
    }
  })

  it('ends in a coded error or a result for any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        const result = await read(text).catch((error: unknown) => error)
        if (!(typeof result === 'object' && result !== null && 'columns' in result)) {
          expect(result).toMatchObject({ code: 'PGPACK_METADATA' })
        }
      }),
    )
  })
})

import { describe, expect, it } from '@jest/globals'
import { Bytes, ByteWriter } from '../../../../src/pgpack/rows/bytes.ts'
import { encodeValue } from '../../../../src/pgpack/rows/codec.ts'
import { parseColumns, parseColumnType } from '../../../../src/pgpack/rows/column-spec.ts'
import { parseTypeDefinitions, type TypeDefinition } from '../../../../src/pgpack/rows/definitions.ts'
import { TypeRegistry } from '../../../../src/pgpack/rows/registry.ts'

const definitions: readonly TypeDefinition[] = [
  { oid: 20001, arrayOid: 20002, name: 'mood', kind: 'enum', labels: ['sad', 'ok'] },
  { oid: 20003, name: 'positive', kind: 'domain', base: 23 },
  {
    oid: 20004,
    arrayOid: 20005,
    name: 'pair',
    kind: 'composite',
    fields: [
      { name: 'mood', oid: 20001 },
      { name: 'n', oid: 20003 },
    ],
  },
  { oid: 20006, name: 'moodrange', kind: 'range', subtype: 20001 },
  { oid: 20007, name: 'moodmultirange', kind: 'multirange', range: 20006 },
  { oid: 20008, name: 'hstore', kind: 'base', like: 'hstore' },
  { oid: 20009, arrayOid: 20010, name: 'list', kind: 'domain', base: 1007 },
]
const registry = new TypeRegistry(definitions)

function roundTrip(oid: number, value: unknown): unknown {
  const codec = registry.codec(oid)
  const out = new ByteWriter()
  encodeValue(codec, value, out)
  const bytes = out.take()
  return codec.decode(new Bytes(bytes), 0, bytes.length)
}

describe('types of users', () => {
  it.each<[oid: number, value: unknown]>([
    [20001, 'ok'],
    [20002, ['ok', null]],
    [20003, 5],
    [20004, { mood: 'sad', n: null }],
    [20005, [{ mood: null, n: 1 }]],
    [20006, { empty: false, lower: 'sad', upper: 'ok', lowerInclusive: true, upperInclusive: false }],
    [
      20008,
      new Map([
        ['a', '1'],
        ['b', null],
      ]),
    ],
    [20009, [1, 2]],
    [20010, ['{1,2}', null]],
  ])('of OID %d keep %p', (oid, value) => {
    expect(roundTrip(oid, value)).toEqual(value)
  })

  it('are read from text', () => {
    expect(roundTrip(20004, '(ok,7)')).toEqual({ mood: 'ok', n: 7 })
    expect(roundTrip(20007, '{[sad,ok)}')).toMatchObject({ ranges: [{ lower: 'sad', upper: 'ok' }] })
    expect(roundTrip(20008, 'a=>1, "b c"=>NULL, a=>2')).toEqual(
      new Map([
        ['a', '1'],
        ['b c', null],
      ]),
    )
  })

  it.each([
    [20001, 'happy'],
    [20004, '(ok)'],
    [20004, 'ok,7'],
    [20004, 5],
    [20008, 'a=1'],
    [20008, 5],
    [2249, '(1)'],
    [2249, {}],
  ])('of OID %d refuse %p', (oid, value) => {
    expect(() => roundTrip(oid, value)).toThrow(expect.objectContaining({ code: 'PGPACK_VALUE' }))
  })

  it('refuse a composite whose fields have other types than were defined', () => {
    const out = new ByteWriter()
    registry.codec(2249).encode({ oids: [25, 23], values: ['ok', 7] }, out)
    const bytes = out.take()
    expect(() => registry.codec(20004).decode(new Bytes(bytes), 0, bytes.length)).toThrow(
      /fields of the types 20001, 20003/,
    )
  })

  it('are bytes where nobody has defined them, with the text of bytea', () => {
    const codec = new TypeRegistry().codec(20001)
    const value = codec.decode(new Bytes(Buffer.from('ok')), 0, 2)
    expect(value).toEqual(Buffer.from('ok'))
    expect(codec.format(value)).toBe('\\x6f6b')
    expect([registry.knows(20001), registry.knows(20002), new TypeRegistry().knows(20001)]).toEqual([true, true, false])
  })

  it('cannot stand on themselves', () => {
    const circle = new TypeRegistry([
      { oid: 1, name: 'a', kind: 'domain', base: 2 },
      { oid: 2, name: 'b', kind: 'domain', base: 1 },
    ])
    expect(() => circle.codec(1)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(() => new TypeRegistry([{ oid: 1, name: 'a', kind: 'base', like: 'cube' }]).codec(1)).toThrow(/like cube/)
  })
})

describe('definitions in JSON', () => {
  it('are those that were written', () => {
    expect(parseTypeDefinitions(JSON.stringify(definitions))).toEqual(definitions)
  })

  it('leave out what is like no known type', () => {
    const cube = { kind: 'base', oid: 20_500, name: 'cube', arrayOid: 20_501, like: null }
    expect(parseTypeDefinitions(JSON.stringify([cube, ...definitions]))).toEqual(definitions)
  })

  it.each([
    '',
    '{}',
    '[1]',
    '[{}]',
    '[{"kind":"enum"}]',
    '[{"kind":"toString","oid":1,"name":"a"}]',
    '[{"kind":"domain","oid":1,"name":"a"}]',
    '[{"kind":"composite","oid":1,"name":"a","fields":[{"name":"x"}]}]',
    '[{"kind":"enum","oid":1,"name":"a","labels":[1]}]',
    '[{"kind":"range","oid":1,"name":"a"}]',
    '[{"kind":"multirange","oid":1,"name":"a"}]',
    '[{"kind":"base","oid":1,"name":"a"}]',
    '[{"kind":"enum","oid":1,"name":"a","arrayOid":"x"}]',
  ])('are refused when they are none: %s', (json) => {
    expect(() => parseTypeDefinitions(json)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

describe('columns as text', () => {
  it('are names and types as in CREATE TABLE', () => {
    expect(
      parseColumns(
        'id int8, "Full, ""name""" varchar(40),price numeric(8, 2), tags text[] , at timestamp(3) with time zone',
      ),
    ).toEqual([
      { name: 'id', oid: 20, length: 8, scale: 0, nested: 0 },
      { name: 'Full, "name"', oid: 1043, length: 40, scale: 0, nested: 0 },
      { name: 'price', oid: 1700, length: 8, scale: 2, nested: 0 },
      { name: 'tags', oid: 1009, length: -1, scale: 0, nested: 1 },
      { name: 'at', oid: 1184, length: -1, scale: 0, nested: 0 },
    ])
  })

  it.each(['id', 'id int9', 'id int4(3)', 'id mood', 'id int4 not null'])('are refused: %s', (text) => {
    expect(() => parseColumns(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it('know the type that is called "char" apart from char', () => {
    expect([parseColumnType('"char"').oid, parseColumnType('char').oid]).toEqual([18, 1042])
  })
})

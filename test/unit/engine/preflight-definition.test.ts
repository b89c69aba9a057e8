import { describe, expect, it } from '@jest/globals'
import { definitionProblems } from '../../../src/engine/preflight-definition.ts'
import type { UserType } from '../../../src/postgres/catalog-types.ts'

type Rest = Partial<UserType>
const type = (kind: UserType['kind'], oid: number, rest: Rest): UserType => {
  return { kind, oid, schema: 'public', name: 't', arrayOid: oid + 1, ...rest }
}

/** What is said of a column of the type, whose OID is another one in the target. */
function problem(kind: UserType['kind'], source: Rest, target: Rest & { readonly kind?: UserType['kind'] }) {
  const columns = [{ name: 'a', typeName: 'public.t', typeOid: 20_000 }]
  const found = definitionProblems(columns, [type(kind, 20_000, source)], [type(kind, 30_000, target)])
  expect(found.length).toBeLessThanOrEqual(1)
  return found[0]
}

const text = { oid: 25, type: 'text' }
const fields = (...names: string[]) => ({ fields: names.map((name) => ({ name, ...text })) })

describe('types of the same name', () => {
  it.each([
    ['enum', { labels: ['a', 'b'] }, { labels: ['c', 'b', 'a'] }],
    ['enum', { labels: null }, { labels: ['a'] }],
    ['domain', { base: 1700, baseType: 'numeric(8,2)' }, { base: 1700, baseType: 'numeric(8,2)' }],
    ['domain', { base: 1700, baseType: 'numeric(8,2)' }, { base: 1700, baseType: 'numeric' }],
    ['domain', { base: 1043, baseType: 'character varying(3)' }, { base: 25, baseType: 'text' }],
    ['domain', { base: 20_500, baseType: 'public.d' }, { base: 30_500, baseType: 'public.d' }],
    ['composite', fields('a', 'b'), fields('a', 'b')],
    ['range', { subtype: 1082, subtypeName: 'date' }, { subtype: 1082, subtypeName: 'date' }],
    ['base', { like: null }, { like: 'text' }],
  ] as const)('fit: %s, %j into %j', (kind, source, target) => {
    expect(problem(kind, source, target)).toBeUndefined()
  })

  it.each([
    ['enum', { labels: ['a', "b'"] }, { labels: ['a'] }, "lacks 'b''' in the target: add what is missing"],
    ['enum', { labels: ['a'] }, { kind: 'range' }, 'is of kind enum in the source and range in the target'],
    [
      'domain',
      { base: 23, baseType: 'integer' },
      { base: 20, baseType: 'bigint' },
      'is over integer in the source and over',
    ],
    [
      'domain',
      { base: 1700, baseType: 'numeric' },
      { base: 1700, baseType: 'numeric(8,2)' },
      'over numeric(8,2) in the',
    ],
    ['domain', { base: 20_500, baseType: 'public.d' }, { base: 30_500, baseType: 'public.e' }, 'over public.e in the'],
    [
      'composite',
      fields('a', 'b'),
      fields('b', 'a'),
      'the fields (a text, b text) in the source and (b text, a text) in',
    ],
    ['composite', fields('a', 'b'), fields('a'), 'and (a text) in the target'],
    ['composite', fields('a'), fields('a', 'b'), 'and (a text, b text) in the target'],
    [
      'range',
      { subtype: 1082, subtypeName: 'date' },
      { subtype: 20, subtypeName: 'bigint' },
      'is of date in the source and of bigint',
    ],
  ] as const)('do not fit: %s, %j into %j', (kind, source, target, message) => {
    const found = problem(kind, source, target)
    expect(found).toContain('column "a" is public.t: public.t ')
    expect(found).toContain(message)
  })

  it('are compared wherever a column stands on them, and only where the target has them', () => {
    const mood = type('enum', 20_000, { name: 'mood', labels: ['a'] })
    const pair = type('composite', 20_010, {
      name: 'pair',
      fields: [{ name: 'm', oid: 20_001, type: 'public.mood[]' }],
    })
    const columns = [
      { name: 'a', typeName: 'public.pair[]', typeOid: 20_011 },
      { name: 'b', typeName: 'integer', typeOid: 23 },
    ]
    const empty = { ...mood, oid: 30_000, arrayOid: 30_001, labels: [] }
    expect(definitionProblems(columns, [mood, pair], [empty])).toEqual([
      `column "a" is public.pair[]: public.mood lacks 'a' in the target: add what is missing (ALTER TYPE … ADD VALUE)`,
    ])
    expect(definitionProblems(columns, [mood, pair], [])).toEqual([])
  })

  it('name some of many labels', () => {
    const labels = Array.from({ length: 13 }, (_, index) => `l${index}`)
    expect(problem('enum', { labels }, { labels: null })).toContain("'l9' and 3 more in the target")
  })
})

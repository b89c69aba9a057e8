import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { checkKey, escapeObjectName, joinKey, MAX_OBJECT_NAME } from '../../../src/storage/keys.ts'

/** PostgreSQL identifiers: any valid Unicode but NUL, up to 63 bytes; longer ones come from other builds and queries. */
const identifier = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }),
    fc.string({
      unit: fc.constantFrom('a', '.', '%', '/', '~', '2', 'E', '-', '_', ' ', 'ж'),
      minLength: 1,
      maxLength: 12,
    }),
  )
  .filter((text) => text.isWellFormed())

describe('escapeObjectName', () => {
  it('leaves plain names as they are', () => {
    expect(escapeObjectName('public', 'orders_2024')).toBe('public.orders_2024')
    expect(escapeObjectName(undefined, 'top-customers')).toBe('top-customers')
  })

  it('makes everything else visible', () => {
    expect(escapeObjectName('a.b', 'c/d')).toBe('a%2Eb.c%2Fd')
    expect(escapeObjectName('Ж', '..')).toBe('%D0%96.%2E%2E')
    expect(escapeObjectName('s', 'tab\tnew\nline')).toBe('s.tab%09new%0Aline')
    expect(escapeObjectName('s', '100%~')).toBe('s.100%25%7E')
    expect(escapeObjectName('s', '🐘')).toBe('s.%F0%9F%90%98')
  })

  it('gives different tables different names', () => {
    fc.assert(
      fc.property(identifier, identifier, identifier, identifier, (s1, t1, s2, t2) => {
        fc.pre(s1 !== s2 || t1 !== t2)
        expect(escapeObjectName(s1, t1)).not.toBe(escapeObjectName(s2, t2))
      }),
      { numRuns: 2000 },
    )
  })

  it('gives a query never the name of a table', () => {
    fc.assert(
      fc.property(identifier, identifier, identifier, (query, schema, table) => {
        expect(escapeObjectName(undefined, query)).not.toBe(escapeObjectName(schema, table))
      }),
    )
    expect(escapeObjectName(undefined, 'a.b')).not.toBe(escapeObjectName('a', 'b'))
  })

  it('tells names apart that differ only where they are cut', () => {
    const long = 'x'.repeat(400)
    const names = [`${long}1`, `${long}2`, long].map((name) => escapeObjectName('s', name))
    expect(new Set(names).size).toBe(3)
    for (const name of names) expect(name).toHaveLength(MAX_OBJECT_NAME)
  })

  it('gives one file name: short enough, in ASCII, that every store takes', () => {
    fc.assert(
      fc.property(identifier, identifier, (schema, table) => {
        const name = escapeObjectName(schema, table)
        expect(name).toMatch(/^[A-Za-z0-9_%~.-]+$/)
        expect(name.length).toBeLessThanOrEqual(MAX_OBJECT_NAME)
        expect(checkKey(`${name}.pgpack`)).toBe(`${name}.pgpack`)
      }),
    )
  })

  it('can be read back by decoding when it was not cut', () => {
    fc.assert(
      fc.property(identifier, identifier, (schema, table) => {
        const name = escapeObjectName(schema, table)
        fc.pre(!name.includes('~'))
        expect(name.split('.').map(decodeURIComponent)).toEqual([schema, table])
      }),
    )
  })
})

describe('checkKey', () => {
  it('takes what it gives back', () => {
    for (const key of ['a', 'a/b', 'a..b', '.hidden', 'ünï/cödé', 'x'.repeat(1024)]) expect(checkKey(key)).toBe(key)
  })

  it.each(['', '/', 'a/', '/a', 'a//b', '.', '..', 'a/../b', './a', 'a\u007f', 'a\u0000', '\ud800', 'ж'.repeat(513)])(
    'refuses what could leave the root or cannot be named (%#)',
    (key) => {
      expect(() => checkKey(key)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    },
  )

  it('a prefix is joined by one slash, and none when there is none', () => {
    expect(joinKey('', 'k')).toBe('k')
    expect(joinKey('p/q', 'k')).toBe('p/q/k')
  })
})

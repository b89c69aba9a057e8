import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { globToRegex } from '../../../src/postgres/catalog-patterns.ts'

const fits = (glob: string, name: string) => new RegExp(globToRegex(glob), 'su').test(name)

describe('a pattern of names', () => {
  it.each([
    ['*', 'anything at all', true],
    ['*', '', true],
    ['order*', 'orders', true],
    ['order*', 'Orders', false],
    ['order*', 'my_orders', false],
    ['order?', 'orders', true],
    ['order?', 'order', false],
    ['t[0-9]', 't7', true],
    ['t[0-9]', 'tx', false],
    ['t[!0-9]', 'tx', true],
    ['t[!0-9]', 't7', false],
    ['t[]]', 't]', true],
    ['t[-a]', 't-', true],
    ['t[a^]', 't^', true],
    ['t[', 't[', true],
    ['t[]', 't[]', true],
    ['a.b', 'a.b', true],
    ['a.b', 'axb', false],
    ['[*]', '*', true],
    ['[*]', 'x', false],
    [String.raw`a\d`, String.raw`a\d`, true],
    [String.raw`a\d`, 'a1', false],
    ['two\nlines*', 'two\nlines and more', true],
    ['?', '🐘', true],
  ])('%j and the name %j: %s', (glob, name, expected) => {
    expect(fits(glob, name)).toBe(expected)
  })

  it('without wildcards fits its own name and no other', () => {
    const anyPlain = fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => !/[*?[]/.test(text))
    fc.assert(
      fc.property(anyPlain, anyPlain, (one, other) => {
        expect(fits(one, one)).toBe(true)
        expect(fits(one, other)).toBe(one === other)
      }),
    )
  })

  it('fits what begins and ends as it does, around a *', () => {
    const anyPart = fc.string({ unit: fc.constantFrom('a', 'b', '.', '\\', '$', '|', '(', '\n'), maxLength: 5 })
    fc.assert(
      fc.property(anyPart, anyPart, anyPart, fc.string({ maxLength: 9 }), (start, middle, end, other) => {
        expect(fits(`${start}*${end}`, `${start}${middle}${end}`)).toBe(true)
        const both = other.startsWith(start) && other.endsWith(end) && other.length >= start.length + end.length
        expect(fits(`${start}*${end}`, other)).toBe(both)
      }),
    )
  })

  it('with a range that runs backwards is refused by name', () => {
    expect(() => globToRegex('t[z-a]')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('"t[z-a]"') }),
    )
  })
})

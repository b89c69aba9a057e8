import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parseQualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from '../../../src/postgres/identifiers.ts'

describe('quoting', () => {
  it('quotes identifiers and literals', () => {
    expect(quoteIdentifier('plain')).toBe('"plain"')
    expect(quoteIdentifier('a"b')).toBe('"a""b"')
    expect(quoteQualified({ schema: 'My Schema', name: 'a.b' })).toBe('"My Schema"."a.b"')
    expect(quoteLiteral("it's")).toBe("'it''s'")
    expect(quoteLiteral('a\\b')).toBe(" E'a\\\\b'")
  })

  it('refuses NUL, at which the server would end the statement', () => {
    for (const quote of [quoteIdentifier, quoteLiteral]) {
      expect(() => quote('a\0b')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    }
  })
})

describe('parseQualifiedName', () => {
  it.each([
    ['orders', 'public', 'orders'],
    ['app.orders', 'app', 'orders'],
    ['App.Orders', 'app', 'orders'],
    ['"App"."Orders"', 'App', 'Orders'],
    ['app."a.b"', 'app', 'a.b'],
    ['"say ""hi"""', 'public', 'say "hi"'],
    ['ÄPFEL', 'public', 'Äpfel'],
    ['a$1._b', 'a$1', '_b'],
  ])('reads %s', (text, schema, name) => {
    expect(parseQualifiedName(text)).toEqual({ schema, name })
  })

  it('takes the schema that is the default', () => {
    expect(parseQualifiedName('t', 'app')).toEqual({ schema: 'app', name: 't' })
  })

  it.each(['', '.', 'a.', '.a', 'a.b.c', '"open', 'a b', 'a"b"', '""', '"a"b'])('refuses %j', (text) => {
    expect(() => parseQualifiedName(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it('reads back whatever is quoted', () => {
    const name = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !text.includes('\0'))
    fc.assert(
      fc.property(name, name, (schema, table) => {
        expect(parseQualifiedName(quoteQualified({ schema, name: table }))).toEqual({ schema, name: table })
      }),
    )
  })
})

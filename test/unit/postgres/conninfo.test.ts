import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parseConninfo } from '../../../src/postgres/conninfo.ts'

const quoted = (value: string) => `'${value.replaceAll(/['\\]/g, '\\$&')}'`

describe('parseConninfo', () => {
  it.each<[string, Record<string, string>]>([
    ['host=a', { host: 'a' }],
    [' host = a  user=me ', { host: 'a', user: 'me' }],
    ["password='p w' host=b", { password: 'p w', host: 'b' }],
    ["password='it\\'s' user=a\\ b", { password: "it's", user: 'a b' }],
    ["password='' host=h", { password: '', host: 'h' }],
    // Spaces may follow the equals sign, so that this is what libpq reads, too.
    ['password= host=h', { password: 'host=h' }],
    ['host=a host=b', { host: 'b' }],
    ['host=a,b port=1,2', { host: 'a,b', port: '1,2' }],
    ['password=a=b', { password: 'a=b' }],
  ])('reads %s', (text, expected) => {
    expect(parseConninfo(text)).toEqual(expected)
  })

  it.each(['', ' ', 'host', 'host=a user', "password='open", "password='a'b", 'postgres//me:s3cret=@h', '=x'])(
    'takes %j for something else',
    (text) => {
      expect(parseConninfo(text)).toBeUndefined()
    },
  )

  it('reads back any values that are quoted', () => {
    const settings = fc.dictionary(fc.stringMatching(/^[a-z_]+$/), fc.string({ unit: 'grapheme' }), { minKeys: 1 })
    fc.assert(
      fc.property(settings, (values) => {
        const text = Object.entries(values).map(([name, value]) => `${name}=${quoted(value)}`)
        expect(parseConninfo(text.join(' '))).toEqual({ ...values })
      }),
    )
  })
})

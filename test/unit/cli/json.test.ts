import { describe, expect, it } from '@jest/globals'
import { toJSON } from '../../../src/cli/json.ts'

describe('JSON for scripts', () => {
  it('is one line, with bigints as decimal strings at any depth', () => {
    const text = toJSON({ rows: 2n ** 64n, columns: [{ name: 'a\nb', length: -1, bytes: 0n }] })
    expect(text).not.toContain('\n')
    expect(JSON.parse(text)).toEqual({
      rows: '18446744073709551616',
      columns: [{ name: 'a\nb', length: -1, bytes: '0' }],
    })
  })

  it('leaves out what is undefined', () => {
    expect(toJSON({ fault: undefined, rows: 1 })).toBe('{"rows":1}')
  })
})

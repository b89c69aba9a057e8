import { describe, expect, it } from '@jest/globals'

describe('buffers in expectations', () => {
  const large = Buffer.alloc(16 << 20, 'x')
  const other = Buffer.from(large)
  other[large.length - 1] = 0

  it('are equal when their bytes are, which a test would not live to see byte by byte', () => {
    expect({ data: [Buffer.from(large)] }).toEqual({ data: [large] })
  })

  it('differ by one byte', () => {
    expect(() => expect(other.subarray(-3)).toEqual(large.subarray(-3))).toThrow()
    expect({ data: other }).not.toEqual({ data: large })
    expect(other).not.toStrictEqual(large)
  })

  it('are not equal to bytes of another kind where the kind counts', () => {
    expect(Buffer.from('a')).not.toStrictEqual(new Uint8Array([97]))
  })
})

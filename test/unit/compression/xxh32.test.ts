import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { XXH32, xxh32 } from '../../../src/compression/xxh32.ts'
import { sample } from '../../support/chunks.ts'

describe('xxh32', () => {
  // The first three are in the reference's own tests and documentation, the others by its command line tool.
  it.each([
    ['', 0x02cc5d05],
    ['a', 0x550d7456],
    ['abc', 0x32d153ff],
    ['abcd', 0xa3643705],
    ['Nobody inspects the spammish repetition', 0xe2293b2f],
  ])('hashes %j', (text, expected) => {
    expect(xxh32(Buffer.from(text))).toBe(expected)
  })

  it('gives the same hash whatever the pieces', () => {
    const bytes = sample(300)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 60 })), (sizes) => {
        const hash = new XXH32()
        let at = 0
        for (const size of sizes) {
          hash.update(bytes.subarray(at, at + size))
          at += size
        }
        hash.update(bytes.subarray(at))
        expect(hash.digest()).toBe(xxh32(bytes))
      }),
    )
  })
})

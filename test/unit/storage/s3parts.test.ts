import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  BYTES_IN_FLIGHT,
  FIRST_PART_SIZE,
  MAX_OBJECT_SIZE,
  MAX_PART_SIZE,
  MAX_PARTS,
  MIB,
  MIN_PART_SIZE,
  PARTS_IN_FLIGHT,
  Part,
  PartBuffers,
  partSize,
} from '../../../src/storage/s3parts.ts'

const GIB = 1024 * MIB

/** Bytes that all 10,000 parts hold. */
function capacity(sizeHint?: number): number {
  let sum = 0
  for (let n = 1; n <= MAX_PARTS; n++) sum += partSize(n, sizeHint)
  return sum
}

describe('partSize', () => {
  it.each([0, 1, GIB, 50 * GIB, 500 * GIB, MAX_OBJECT_SIZE, 10 * MAX_OBJECT_SIZE])(
    'lets 5 TiB fit in 10,000 parts, with %i bytes expected',
    (hint) => {
      expect(capacity(hint)).toBeGreaterThanOrEqual(MAX_OBJECT_SIZE)
    },
  )

  it('keeps every part within what S3 takes, and never shrinks', () => {
    for (const hint of [0, 3 * GIB, 100 * GIB, MAX_OBJECT_SIZE]) {
      let last = 0
      for (let n = 1; n <= MAX_PARTS; n++) {
        const size = partSize(n, hint)
        if (size < MIN_PART_SIZE || size > MAX_PART_SIZE || size < last || size % MIB !== 0) {
          throw new Error(`part ${n} with hint ${hint}: ${size} after ${last}`)
        }
        last = size
      }
    }
  })

  it('is 8 MiB for the first 19 GiB, and at most 16 MiB for the first 25', () => {
    let sum = 0
    for (let n = 1; sum < 25 * GIB; n++) {
      const size = partSize(n)
      if (sum < 19 * GIB) expect(size).toBe(FIRST_PART_SIZE)
      expect(size).toBeLessThanOrEqual(16 * MIB)
      sum += size
    }
  })

  it('spreads a known size over half of the parts', () => {
    const hint = 1024 * GIB
    expect(partSize(1, hint) * (MAX_PARTS / 2)).toBeGreaterThanOrEqual(hint)
    expect(partSize(1, hint)).toBeLessThan(211 * MIB)
    expect(partSize(5000, hint)).toBe(partSize(1, hint))
  })

  it('fits four of the first parts into what may be in flight', () => {
    expect(PARTS_IN_FLIGHT * FIRST_PART_SIZE).toBeLessThanOrEqual(BYTES_IN_FLIGHT)
  })
})

describe('a part', () => {
  const hexOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

  it('is its chunks in order, with their SHA-256', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (pieces) => {
        const part = new Part(3, Buffer.alloc(1000, 'x'))
        for (const piece of pieces) part.push(Buffer.from(piece))
        const whole = Buffer.concat(pieces)
        expect(part.size).toBe(whole.length)
        expect(part.room).toBe(1000 - whole.length)
        const sealed = part.seal()
        expect(sealed.data.equals(whole)).toBe(true)
        expect(sealed).toMatchObject({ number: 3, sha256: hexOf(whole) })
      }),
    )
  })

  it('puts a head that comes last at its start', () => {
    const part = new Part(1, Buffer.alloc(100), 4)
    part.push(Buffer.from('body'))
    expect(part.size).toBe(8)
    const sealed = part.seal(Buffer.from('head'))
    expect(sealed.data.toString()).toBe('headbody')
    expect(sealed.sha256).toBe(hexOf(Buffer.from('headbody')))
  })

  it('keeps nothing of its chunks: they may be used again at once', () => {
    const part = new Part(1, Buffer.alloc(10))
    const chunk = Buffer.from('abc')
    part.push(chunk)
    chunk.fill(0)
    expect(part.seal().data.toString()).toBe('abc')
  })

  it('refuses a head of another length', () => {
    const buffer = Buffer.alloc(100)
    expect(() => new Part(1, buffer, 4).seal()).toThrow(RangeError)
    expect(() => new Part(1, buffer, 4).seal(Buffer.alloc(5))).toThrow(RangeError)
    expect(() => new Part(1, buffer).seal(Buffer.alloc(1))).toThrow(RangeError)
  })
})

describe('part buffers', () => {
  it('are used again when the size fits, and not kept when it does not', () => {
    const buffers = new PartBuffers()
    const first = buffers.take(10)
    buffers.give(first)
    expect(buffers.take(10)).toBe(first)
    expect(buffers.take(10)).not.toBe(first)
    buffers.give(first)
    expect(buffers.take(20)).toHaveLength(20)
    expect(buffers.take(10)).not.toBe(first)
  })

  it('that are kept are no more than can be in flight', () => {
    const buffers = new PartBuffers()
    const all = Array.from({ length: PARTS_IN_FLIGHT + 3 }, () => buffers.take(10))
    for (const buffer of all) buffers.give(buffer)
    const again = Array.from({ length: PARTS_IN_FLIGHT + 3 }, () => buffers.take(10))
    expect(again.filter((buffer) => all.includes(buffer))).toHaveLength(PARTS_IN_FLIGHT)
  })
})

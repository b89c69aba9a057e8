import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  BLOCK_SIZE,
  BlockPool,
  BYTES_IN_FLIGHT,
  FIRST_PART_SIZE,
  MAX_OBJECT_SIZE,
  MAX_PART_SIZE,
  MAX_PARTS,
  MAX_PARTS_IN_FLIGHT,
  MIB,
  MIN_PART_SIZE,
  Part,
  partSize,
  partsInFlight,
} from '../../../src/storage/s3parts.ts'
import { pseudoRandomBytes } from '../../support/bytes.ts'

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

  it('is 5 MiB for the first 12 GiB, and at most 16 MiB for the first 20', () => {
    let sum = 0
    for (let n = 1; sum < 20 * GIB; n++) {
      const size = partSize(n)
      if (sum < 12 * GIB) expect(size).toBe(FIRST_PART_SIZE)
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

  it('lets the most parts that may be in flight be there at once while they are small', () => {
    expect(MAX_PARTS_IN_FLIGHT * FIRST_PART_SIZE).toBeLessThanOrEqual(BYTES_IN_FLIGHT)
  })
})

describe('partsInFlight', () => {
  it('is 4 near by, grows with the latency, and ends at 8', () => {
    expect([0, 1, 3.4, 3.5, 15, 28, 300].map(partsInFlight)).toEqual([4, 4, 4, 5, 8, 12, 12])
  })
})

describe('a part', () => {
  const hexOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const newPart = (capacity: number, headLength = 0) => new Part(3, new BlockPool(), capacity, headLength)
  const contentOf = (part: Part, head?: Buffer) => Buffer.concat(part.seal(head).blocks)

  it('is its chunks in order, with their SHA-256', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (pieces) => {
        const part = newPart(1000)
        for (const piece of pieces) part.push(Buffer.from(piece))
        const whole = Buffer.concat(pieces)
        expect(part.size).toBe(whole.length)
        expect(part.room).toBe(1000 - whole.length)
        const sealed = part.seal()
        expect(Buffer.concat(sealed.blocks).equals(whole)).toBe(true)
        expect(sealed).toMatchObject({ number: 3, size: whole.length, sha256: hexOf(whole) })
      }),
    )
  })

  it('is whole wherever chunks and head end within its blocks', () => {
    const near = fc.integer({ min: -2, max: 2 }).map((off) => BLOCK_SIZE + off)
    const length = fc.oneof(near, fc.constant(2 * BLOCK_SIZE), fc.integer({ min: 0, max: 3000 }))
    fc.assert(
      fc.property(length, fc.array(length, { maxLength: 4 }), (headLength, lengths) => {
        const chunks = lengths.map((bytes, index) => pseudoRandomBytes(bytes, index))
        const head = pseudoRandomBytes(headLength, 99)
        const part = newPart(20 * BLOCK_SIZE, headLength)
        for (const chunk of chunks) part.push(chunk)
        const whole = Buffer.concat([head, ...chunks])
        const sealed = part.seal(head)
        expect(Buffer.concat(sealed.blocks).equals(whole)).toBe(true)
        expect(sealed).toMatchObject({ size: whole.length, sha256: hexOf(whole) })
      }),
      { numRuns: 30 },
    )
  })

  it('puts a head that comes last at its start', () => {
    const part = newPart(100, 4)
    part.push(Buffer.from('body'))
    expect(part.size).toBe(8)
    expect(contentOf(part, Buffer.from('head')).toString()).toBe('headbody')
  })

  it('keeps nothing of its chunks: they may be used again at once', () => {
    const part = newPart(10)
    const chunk = Buffer.from('abc')
    part.push(chunk)
    chunk.fill(0)
    expect(contentOf(part).toString()).toBe('abc')
  })

  it('takes no more than it may', () => {
    expect(() => newPart(2).push(Buffer.from('abc'))).toThrow(RangeError)
  })

  it('refuses a head of another length', () => {
    expect(() => newPart(100, 4).seal()).toThrow(RangeError)
    expect(() => newPart(100, 4).seal(Buffer.alloc(5))).toThrow(RangeError)
    expect(() => newPart(100).seal(Buffer.alloc(1))).toThrow(RangeError)
  })
})

describe('the memory of parts', () => {
  it('is taken block by block, and serves the next part', () => {
    const pool = new BlockPool()
    const first = new Part(1, pool, 5 * MIB)
    first.push(Buffer.alloc(BLOCK_SIZE + 1))
    const { blocks } = first.seal()
    expect(blocks.map(({ length }) => length)).toEqual([BLOCK_SIZE, 1])
    first.free()
    first.free()
    const memory = new Set(blocks.map(({ buffer }) => buffer))
    const again = [pool.take(), pool.take(), pool.take()]
    expect(again.filter(({ buffer }) => memory.has(buffer))).toHaveLength(2)
  })

  it('that is kept is no more than may be in flight', () => {
    const pool = new BlockPool()
    const most = BYTES_IN_FLIGHT / BLOCK_SIZE
    const all = Array.from({ length: most + 3 }, () => pool.take())
    pool.give(all)
    pool.give([Buffer.alloc(0)])
    const again = Array.from({ length: most + 3 }, () => pool.take())
    expect(again.filter((block) => all.includes(block))).toHaveLength(most)
  })
})

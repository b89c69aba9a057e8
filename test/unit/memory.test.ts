import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { disown, giveBack, joinPieces, own, PieceCounter } from '../../src/memory.ts'

/** A stream's buffers and the pieces that it cut them into. */
function cut(lengths: readonly (readonly number[])[]): Buffer[][] {
  return lengths.map((pieces) => {
    const buffer = Buffer.allocUnsafeSlow(pieces.reduce((sum, length) => sum + length, 0))
    let at = 0
    return pieces.map((length) => {
      at += length
      return buffer.subarray(at - length, at)
    })
  })
}

describe('giveBack', () => {
  it('frees a buffer of its own at once', () => {
    const buffer = own(Buffer.allocUnsafeSlow(100))
    const { buffer: memory } = buffer
    giveBack(buffer)
    expect(memory.byteLength).toBe(0)
    expect(buffer).toHaveLength(0)
  })

  it('leaves memory alone that nobody counts, such as the pool that small buffers share', () => {
    const buffer = Buffer.from('of the pool')
    giveBack(buffer)
    expect(buffer.toString()).toBe('of the pool')
  })

  it('leaves memory alone that was disowned, for parts of it are elsewhere', () => {
    const buffer = own(Buffer.allocUnsafeSlow(100))
    const part = buffer.subarray(0, 10)
    disown(part)
    giveBack(buffer)
    expect(part).toHaveLength(10)
  })

  it('frees a buffer of several pieces with the last of them, whatever their order', () => {
    const counter = new PieceCounter()
    const [[a, b, c] = []] = cut([[10, 20, 30]])
    if (a === undefined || b === undefined || c === undefined) throw new Error('three pieces')
    for (const piece of [a, b, c]) counter.count(piece)
    giveBack(b)
    giveBack(c)
    expect(a).toHaveLength(10)
    giveBack(a)
    expect([a, b, c].map(({ length }) => length)).toEqual([0, 0, 0])
  })

  it('does not free a buffer that the stream may go on writing to', () => {
    const counter = new PieceCounter()
    const buffer = Buffer.allocUnsafeSlow(100)
    const first = buffer.subarray(0, 40)
    counter.count(first)
    giveBack(first)
    expect(buffer).toHaveLength(100)
    // Another buffer: the stream has left the first.
    counter.count(Buffer.allocUnsafeSlow(10))
    expect(buffer).toHaveLength(0)
  })

  it('frees every buffer but the one in use once all pieces are given back, and none before', () => {
    const buffers = fc.array(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }), { minLength: 1 })
    fc.assert(
      fc.property(buffers, fc.nat({ max: 8 }), (lengths, delay) => {
        const counter = new PieceCounter()
        const waiting: Buffer[] = []
        const all = cut(lengths)
        for (const piece of all.flat()) {
          counter.count(piece)
          waiting.push(piece)
          if (waiting.length <= delay) continue
          const done = waiting.shift()
          expect(done?.length).toBeGreaterThan(0)
          if (done !== undefined) giveBack(done)
          expect(waiting.every(({ length }) => length > 0)).toBe(true)
        }
        for (const piece of waiting) giveBack(piece)
        // Each was cut to its end, so none is in use.
        expect(all.flat().every(({ length }) => length === 0)).toBe(true)
      }),
    )
  })
})

describe('joinPieces', () => {
  it('gives the only piece as it is', () => {
    const piece = own(Buffer.allocUnsafeSlow(10))
    expect(joinPieces([piece])).toBe(piece)
  })

  it('copies several into one that is given back as they are', () => {
    const pieces = [randomBytes(10), randomBytes(7000), randomBytes(0)]
    const expected = Buffer.concat(pieces)
    const sources = pieces.map((piece) => {
      const copy = own(Buffer.allocUnsafeSlow(piece.length))
      piece.copy(copy)
      return copy
    })
    const joined = joinPieces(sources)
    expect(joined.equals(expected)).toBe(true)
    expect(sources.map(({ length }) => length)).toEqual([0, 0, 0])
    giveBack(joined)
    expect(joined).toHaveLength(0)
  })

  it('is empty of nothing', () => {
    expect(joinPieces([])).toHaveLength(0)
  })
})

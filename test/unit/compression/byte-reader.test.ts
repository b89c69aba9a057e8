import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ByteReader } from '../../../src/compression/byte-reader.ts'
import { own } from '../../../src/memory.ts'
import { inPieces, join, pieceSizes, sample } from '../../support/chunks.ts'

/** As a store hands its chunks out: each in memory of its own, which is freed when it was given back. */
async function* ownPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for await (const piece of inPieces(bytes, sizes)) {
    const copy = own(Buffer.allocUnsafeSlow(piece.length))
    piece.copy(copy)
    yield copy
  }
}

describe('ByteReader', () => {
  it('reads, skips and captures the same bytes whatever the pieces', async () => {
    const bytes = sample(500)
    await fc.assert(
      fc.asyncProperty(
        pieceSizes,
        fc.array(fc.tuple(fc.constantFrom('read', 'skip', 'flush'), fc.integer({ min: 0, max: 120 }))),
        async (sizes, steps) => {
          const reader = new ByteReader(ownPieces(bytes, sizes), 7)
          reader.capture()
          let at = 0
          let flushed = 0
          for (const [step, length] of steps) {
            if (step === 'read') expect(await reader.read(length)).toEqual(bytes.subarray(at, at + length))
            if (step === 'skip') expect(await reader.skip(length)).toBe(Math.min(length, bytes.length - at))
            if (step !== 'flush') at = Math.min(bytes.length, at + length)
            expect(reader.position).toBe(7 + at)
            expect(reader.capturedLength).toBe(at - flushed)
            if (step !== 'flush') continue
            expect(reader.flush()).toEqual(bytes.subarray(flushed, at))
            flushed = at
          }
          expect(await reader.atEnd()).toBe(at === bytes.length)
        },
      ),
    )
  })

  it('gives fewer bytes at the end of the source, then none', async () => {
    const reader = new ByteReader(inPieces(Buffer.from('abcde'), [2]))
    expect((await reader.read(9)).toString()).toBe('abcde')
    expect(await reader.read(1)).toHaveLength(0)
    expect(await reader.skip(1)).toBe(0)
    expect(await reader.atEnd()).toBe(true)
  })

  it('hands out a limited number of bytes in the pieces in which they come', async () => {
    const reader = new ByteReader(inPieces(Buffer.from('abcdefgh'), [3]))
    await reader.read(1)
    const pieces: string[] = []
    for await (const piece of reader.pieces(4)) pieces.push(piece.toString())
    expect(pieces).toEqual(['bc', 'de'])
    expect(await join(reader.pieces())).toEqual(Buffer.from('fgh'))
  })

  it('captures a copy, so that its chunk can be freed', async () => {
    const bytes = sample(64)
    const reader = new ByteReader(inPieces(bytes))
    await reader.read(8)
    reader.capture()
    await reader.skip(16)
    const captured = reader.flush()
    const expected = Buffer.from(bytes.subarray(8, 24))
    bytes.fill(0)
    expect(captured).toEqual(expected)
  })

  it('forgets what it captured on release', async () => {
    const reader = new ByteReader(inPieces(sample(64), [5]))
    reader.capture()
    await reader.skip(20)
    reader.release()
    await reader.skip(20)
    expect(reader.capturedLength).toBe(0)
  })

  it('ends its source when it is closed', async () => {
    let ended = false
    async function* source(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield Buffer.from('x')
      } finally {
        ended = true
      }
    }
    const reader = new ByteReader(source())
    await reader.read(1)
    await reader.close()
    expect(ended).toBe(true)
  })
})

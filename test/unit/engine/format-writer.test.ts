import { Readable } from 'node:stream'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { decompress } from '../../../src/compression/decompress.ts'
import { type CompressionOptions, WRITABLE_METHODS } from '../../../src/compression/method.ts'
import { FormatWriter } from '../../../src/engine/format-writer.ts'
import type { PGPackSink } from '../../../src/pgpack/writer.ts'
import { collect, pseudoRandomBytes, sha256 } from '../../support/bytes.ts'

interface MemorySink extends PGPackSink {
  readonly bytes: Buffer
  readonly completed: boolean
}

/** Keeps what it is given; `fails` is the number of the write that it refuses. */
function memorySink(fails = Number.POSITIVE_INFINITY): MemorySink {
  const chunks: Buffer[] = []
  let writing = 0
  let completed = false
  return {
    get bytes() {
      return Buffer.concat(chunks)
    },
    get completed() {
      return completed
    },
    async write(chunk) {
      // A store's upload is told of one chunk at a time.
      expect(writing).toBe(0)
      writing += 1
      await new Promise((resolve) => setImmediate(resolve))
      writing -= 1
      if (chunks.length + 1 >= fails) throw new Error('the sink is full')
      chunks.push(Buffer.from(chunk))
    },
    async complete() {
      completed = true
    },
    async abort() {},
  }
}

const methods: CompressionOptions[] = WRITABLE_METHODS.map((method) => ({ method }))
const unpack = (method: CompressionOptions['method'], bytes: Buffer) =>
  collect(decompress(method, Readable.from([bytes])))

describe.each(methods)('what COPY sends, stored as %j', (compression) => {
  it('follows in the order of the calls, whoever calls, and is all there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 20 }), async (lengths) => {
        const sink = memorySink()
        const writer = new FormatWriter(sink, compression)
        const pieces = lengths.map((length, index) => pseudoRandomBytes(length, index))
        await Promise.all(pieces.map((piece) => writer.write(Buffer.from(piece))))
        const { rawBytes, fileBytes, sha256: hash } = await writer.finish()
        const raw = Buffer.concat(pieces)
        expect((await unpack(compression.method, sink.bytes)).equals(raw)).toBe(true)
        expect([rawBytes, fileBytes]).toEqual([BigInt(raw.length), BigInt(sink.bytes.length)])
        expect(hash).toBe(sha256(sink.bytes))
        expect(writer.storedBytes).toBe(sink.bytes.length)
      }),
      { numRuns: 30 },
    )
  })

  it('gives every piece back once it is no longer looked at', async () => {
    const released: number[] = []
    const writer = new FormatWriter(memorySink(), compression)
    for (let index = 0; index < 20; index += 1) {
      await writer.write(pseudoRandomBytes(100, index), () => released.push(index))
    }
    await writer.finish()
    expect(released.sort((one, other) => one - other)).toEqual([...Array(20).keys()])
  })

  it('needs no further piece to give back a large one, for which COPY may be waiting', async () => {
    const released: number[] = []
    const writer = new FormatWriter(memorySink(), compression)
    for (let index = 0; index < 3; index += 1) {
      await writer.write(Buffer.alloc(17 * 1024 ** 2, index), () => released.push(index))
      expect(released).toHaveLength(index + 1)
    }
    expect((await writer.finish()).rawBytes).toBe(BigInt(3 * 17 * 1024 ** 2))
  })

  it('ends with the error of the sink, and completes nothing', async () => {
    const sink = memorySink(3)
    const writer = new FormatWriter(sink, compression)
    const writeAll = async () => {
      for (let index = 0; index < 20; index += 1) await writer.write(pseudoRandomBytes(100, index))
      await writer.finish()
    }
    await expect(writeAll()).rejects.toThrow('the sink is full')
    expect(sink.completed).toBe(false)
  })

  it('waits for the sink: no more than a few pieces are ahead of it', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const sink = { ...memorySink(), write: () => promise, complete: async () => {} }
    const writer = new FormatWriter(sink, compression)
    let taken = 0
    const writing = (async () => {
      for (; taken < 50; taken += 1) await writer.write(pseudoRandomBytes(10, taken))
    })()
    for (let turn = 0; turn < 50; turn += 1) await new Promise((next) => setTimeout(next, 1))
    expect(taken).toBeLessThan(10)
    resolve()
    await writing
    expect((await writer.finish()).rawBytes).toBe(500n)
  })
})

import { constants, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { compress } from '../../../src/compression/compress.ts'
import { decompress } from '../../../src/compression/decompress.ts'
import type { DecompressOptions, StoredFrame } from '../../../src/compression/limits.ts'
import { faultOf, inPieces, join, pieceSizes, sample } from '../../support/chunks.ts'

const STREAM_ALL: DecompressOptions = { limits: { wholeFrameBytes: 0 } }
const content = sample(400_000)

function read(file: Buffer, options: DecompressOptions = {}, sizes: readonly number[] = []): Promise<Buffer> {
  return join(decompress('Zstd', inPieces(file, sizes), options))
}

function skippable(length: number, variant = 0): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt32LE(0x184d2a50 + variant)
  header.writeUInt32LE(length, 4)
  return Buffer.concat([header, Buffer.alloc(length, 0x28)])
}

/** A frame made by hand: a window descriptor and blocks of [type, size field, bytes]. */
function frame(window: number, ...blocks: readonly (readonly [type: number, size: number, bytes: Buffer])[]): Buffer {
  const parts = blocks.map(([type, size, bytes], index) => {
    const header = Buffer.alloc(3)
    header.writeUIntLE((size << 3) | (type << 1) | Number(index === blocks.length - 1), 0, 3)
    return Buffer.concat([header, bytes])
  })
  return Buffer.concat([Buffer.from('28b52ffd00', 'hex'), Buffer.of(window), ...parts])
}

describe.each([
  ['whole frames', {}],
  ['streamed frames', STREAM_ALL],
])('decompress Zstd, %s', (_, options: DecompressOptions) => {
  it.each([
    ['with a checksum', { [constants.ZSTD_c_checksumFlag]: 1 }],
    ['with a content size', { [constants.ZSTD_c_contentSizeFlag]: 1 }],
    ['at level 22', { [constants.ZSTD_c_compressionLevel]: 22 }],
    ['with a small window', { [constants.ZSTD_c_windowLog]: 10 }],
  ])('reads a frame %s', async (_name, params) => {
    const found = await read(zstdCompressSync(content, { params }), options, [4093])
    expect(found.equals(content)).toBe(true)
  })

  it('reads empty and skippable frames anywhere', async () => {
    const a = await compress(content.subarray(0, 1000), { method: 'Zstd' })
    const b = await compress(content.subarray(1000, 2000), { method: 'Zstd' })
    const empty = await compress(Buffer.alloc(0), { method: 'Zstd' })
    const file = Buffer.concat([skippable(0), a, empty, skippable(9000, 15), b, empty, skippable(4, 3)])
    await fc.assert(
      fc.asyncProperty(pieceSizes, async (sizes) => {
        expect((await read(file, options, sizes)).equals(content.subarray(0, 2000))).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  it('reads raw and RLE blocks', async () => {
    const file = frame(0x50, [0, 3, Buffer.from('abc')], [1, 70_000, Buffer.from('z')], [0, 0, Buffer.alloc(0)])
    expect((await read(file, options)).toString()).toBe(`abc${'z'.repeat(70_000)}`)
  })

  it('ends with a coded error when the file is cut at any byte', async () => {
    const first = zstdCompressSync(content.subarray(0, 300), { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
    const file = Buffer.concat([first, skippable(20), first])
    const ends = new Set([0, first.length, first.length + 28])
    for (let end = 0; end < file.length; end++) {
      const cut = read(file.subarray(0, end), { ...options, offset: 1000 })
      if (ends.has(end)) await expect(cut).resolves.toBeDefined()
      else expect(await faultOf(cut)).toMatchObject({ code: 'PGPACK_TRUNCATED', details: { offset: 1000 + end } })
    }
  })

  it('notices a wrong checksum and names the frame', async () => {
    const good = await compress(content.subarray(0, 500), { method: 'Zstd' })
    const bad = zstdCompressSync(content.subarray(0, 500), { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
    bad.writeUInt8(bad.readUInt8(bad.length - 1) ^ 1, bad.length - 1)
    const fault = await faultOf(read(Buffer.concat([good, bad]), options))
    expect(fault).toMatchObject({ code: 'PGPACK_FRAME_CORRUPT', details: { offset: good.length } })
  })

  it.each([
    ['bytes that are no frame', Buffer.from('PGCOPY\n'), /found 0x5047434f, expected a frame/],
    ['a reserved block type', frame(0x50, [3, 0, Buffer.alloc(0)]), /expected block type 0 to 2/],
    ['a block beyond the window', frame(0x00, [0, 2000, Buffer.alloc(2000)]), /a block of 1024 bytes at most/],
    ['a block beyond 128 KiB', frame(0x70, [0, 131_073, Buffer.alloc(131_073)]), /a block of 131072 bytes at most/],
    ['a reserved header bit', Buffer.from('28b52ffd0850010000', 'hex'), /reserved bit 3 clear/],
    ['a dictionary', Buffer.from('28b52ffd015007010000', 'hex'), /found dictionary id 0x07/],
  ])('refuses %s', async (_name, file, message) => {
    const fault = await faultOf(read(file, options))
    expect(fault.code).toBe('PGPACK_FRAME_CORRUPT')
    expect(fault.message).toMatch(message)
  })

  it('ends in a coded error or a correct read for any flipped bit of a frame with a checksum', async () => {
    const original = content.subarray(0, 200)
    const good = zstdCompressSync(original, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Buffer.from(good)
      bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      const result = await read(bad, options).catch((error: unknown) => error)
      if (Buffer.isBuffer(result)) expect([0, original.length]).toContain(result.length)
      else expect(result).toMatchObject({ code: expect.stringMatching(/^PGPACK_(FRAME_CORRUPT|TRUNCATED|LIMIT)$/) })
    }
  })
})

describe('decompress Zstd', () => {
  it('refuses a window above the limit and takes one at it', async () => {
    const at = frame(0x88, [0, 3, Buffer.from('abc')])
    const above = frame(0x89, [0, 3, Buffer.from('abc')])
    expect((await read(at)).toString()).toBe('abc')
    expect(await faultOf(read(above))).toMatchObject({
      code: 'PGPACK_LIMIT',
      details: { offset: 0, expected: '134217728 bytes at most', found: '150994944 bytes' },
    })
    expect((await read(frame(0x58, [0, 3, Buffer.from('abc')]), { limits: { zstdWindowLog: 21 } })).toString()).toBe(
      'abc',
    )
    expect((await faultOf(read(frame(0x60, [0, 0, Buffer.alloc(0)]), { limits: { zstdWindowLog: 21 } }))).code).toBe(
      'PGPACK_LIMIT',
    )
  })

  it('streams one giant frame in pieces of bounded size', async () => {
    const giant = sample(9_000_000)
    const file = zstdCompressSync(giant, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
    let length = 0
    let largest = 0
    for await (const piece of decompress('Zstd', inPieces(file, [65_536]))) {
      expect(piece.equals(giant.subarray(length, length + piece.length))).toBe(true)
      length += piece.length
      largest = Math.max(largest, piece.length)
    }
    expect(length).toBe(giant.length)
    expect(largest).toBeLessThanOrEqual(262_144)
  })

  it('streams a bomb instead of decompressing it whole', async () => {
    const blocks = Array.from({ length: 2000 }, () => [1, 131_072, Buffer.from('0')] as const)
    let largest = 0
    let length = 0
    for await (const piece of decompress('Zstd', inPieces(frame(0x70, ...blocks)))) {
      largest = Math.max(largest, piece.length)
      length += piece.length
    }
    expect(length).toBe(2000 * 131_072)
    expect(largest).toBeLessThanOrEqual(262_144)
  })

  it('tells where each frame lies, skippable ones left out', async () => {
    const a = await compress(content.subarray(0, 1000), { method: 'Zstd' })
    const frames: StoredFrame[] = []
    await read(Buffer.concat([a, skippable(10), a]), { offset: 50, onFrame: (found) => frames.push(found) })
    expect(frames).toEqual([
      { offset: 50, storedBytes: a.length },
      { offset: 50 + a.length + 18, storedBytes: a.length },
    ])
  })

  it('reads no further than a few frames ahead of a slow reader', async () => {
    const chunk = await compress(content.subarray(0, 1000), { method: 'Zstd' })
    let given = 0
    async function* source(): AsyncGenerator<Buffer> {
      for (; given < 100; given++) yield chunk
    }
    const output = decompress('Zstd', source(), { inFlight: 3 })
    await output.next()
    expect(given).toBeLessThanOrEqual(4)
    await output.return(undefined)
  })

  it.each([{}, STREAM_ALL])('ends the source when the reader leaves early (%j)', async (options) => {
    const chunk = await compress(content, { method: 'Zstd' })
    let ended = false
    async function* source(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield chunk
      } finally {
        ended = true
      }
    }
    for await (const piece of decompress('Zstd', source(), options)) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    expect(ended).toBe(true)
  })

  it.each([{}, STREAM_ALL])('passes on the error of its source (%j)', async (options) => {
    const chunk = await compress(content, { method: 'Zstd' })
    async function* source(): AsyncGenerator<Buffer> {
      yield chunk.subarray(0, 1000)
      throw new Error('the store is gone')
    }
    await expect(join(decompress('Zstd', source(), options))).rejects.toThrow('the store is gone')
  })
})

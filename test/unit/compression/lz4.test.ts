import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { compressFrameSync, decompressFrameSync } from 'lz4-napi'
import { decompress } from '../../../src/compression/decompress.ts'
import type { DecompressOptions, StoredFrame } from '../../../src/compression/limits.ts'
import { lz4BlockLength } from '../../../src/compression/lz4-block.ts'
import { xxh32 } from '../../../src/compression/xxh32.ts'
import { faultOf, inPieces, join, pieceSizes, sample } from '../../support/chunks.ts'
import { type LZ4FrameOptions, lz4Frame, lz4Skippable } from '../../support/lz4.ts'

const content = sample(300_000)

function read(file: Buffer, sizes: readonly number[] = [], options: DecompressOptions = {}): Promise<Buffer> {
  return join(decompress('LZ4', inPieces(file, sizes), options))
}

describe('decompress LZ4', () => {
  const features = fc.record<LZ4FrameOptions>({
    blockCode: fc.integer({ min: 4, max: 7 }),
    linked: fc.boolean(),
    blockChecksums: fc.boolean(),
    contentChecksum: fc.boolean(),
    contentSize: fc.boolean(),
    someUncompressed: fc.boolean(),
    blockBytes: fc.constantFrom(7, 1000, 30_000, 65_536),
  })

  it('reads frames with any features, one after another', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(features, fc.nat({ max: 9000 })), { maxLength: 4 }),
        pieceSizes,
        async (list, sizes) => {
          const frames = list.map(([options, length]) => lz4Frame(content.subarray(0, length), options))
          const expected = list.map(([, length]) => content.subarray(0, length))
          expect(await read(Buffer.concat(frames), sizes)).toEqual(Buffer.concat(expected))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('reads linked blocks that refer 64 KiB back, over several small blocks', async () => {
    for (const blockBytes of [65_536, 20_000, 999]) {
      const repeated = Buffer.concat([
        content.subarray(0, 60_000),
        content.subarray(0, 60_000),
        content.subarray(0, 60_000),
      ])
      const file = lz4Frame(repeated, { linked: true, blockBytes, contentChecksum: true })
      expect(file.length).toBeLessThan(80_000)
      expect(await read(file, [4096])).toEqual(repeated)
    }
  })

  it('remembers linked blocks itself: who has taken one may write over it', async () => {
    const raw = Buffer.concat(Array.from({ length: 8 }, () => sample(50_000)))
    const file = lz4Frame(raw, { linked: true, blockBytes: 64 * 1024, contentChecksum: true })
    const taken: Buffer[] = []
    for await (const piece of decompress('LZ4', inPieces(file))) {
      taken.push(Buffer.from(piece))
      piece.fill(0xff)
    }
    expect(Buffer.concat(taken).equals(raw)).toBe(true)
  })

  it('makes frames of its test support that the package reads as well', () => {
    for (const linked of [false, true]) {
      const file = lz4Frame(content, { linked, contentChecksum: true, blockChecksums: true, contentSize: true })
      expect(decompressFrameSync(file)).toEqual(content)
    }
  })

  it('reads empty and skippable frames anywhere', async () => {
    const a = compressFrameSync(content.subarray(0, 1000))
    const empty = compressFrameSync(Buffer.alloc(0))
    const file = Buffer.concat([lz4Skippable(0), empty, a, lz4Skippable(9000), a, empty, lz4Skippable(3)])
    const frames: StoredFrame[] = []
    const expected = Buffer.concat([content.subarray(0, 1000), content.subarray(0, 1000)])
    expect(await read(file, [11], { offset: 100, onFrame: (frame) => frames.push(frame) })).toEqual(expected)
    expect(frames.map(({ storedBytes }) => storedBytes)).toEqual([empty.length, a.length, a.length, empty.length])
    expect(frames[1]?.offset).toBe(100 + 8 + empty.length)
  })

  it.each<LZ4FrameOptions>([{}, { linked: true, blockChecksums: true, contentChecksum: true, contentSize: true }])(
    'ends with a coded error when the file is cut at any byte (%j)',
    async (options) => {
      const first = lz4Frame(content.subarray(0, 200), { ...options, blockBytes: 90 })
      const file = Buffer.concat([first, lz4Skippable(5), first])
      const ends = new Set([0, first.length, first.length + 13])
      for (let end = 0; end < file.length; end++) {
        const cut = read(file.subarray(0, end))
        if (ends.has(end)) await expect(cut).resolves.toBeDefined()
        else expect(await faultOf(cut)).toMatchObject({ code: 'PGPACK_TRUNCATED', details: { offset: end } })
      }
    },
  )

  it('ends in a coded error or a correct read for any flipped bit of a frame with checksums', async () => {
    const original = content.subarray(0, 200)
    const good = lz4Frame(original, { linked: true, contentChecksum: true, contentSize: true, blockBytes: 90 })
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Buffer.from(good)
      bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      const result = await read(bad).catch((error: unknown) => error)
      if (Buffer.isBuffer(result)) expect([0, original.length]).toContain(result.length)
      else expect(result).toMatchObject({ code: expect.stringMatching(/^PGPACK_(FRAME_CORRUPT|TRUNCATED)$/) })
    }
  })

  const good = lz4Frame(content.subarray(0, 90), { blockChecksums: true, contentChecksum: true, contentSize: true })
  it.each([
    ['bytes that are no frame', 0, 0xff, /found 0xfb224d18, expected a frame/],
    ['another version', 4, 0x80, /expected a version 01 frame/],
    ['a dictionary', 4, 0x01, /without dictionary/],
    ['a reserved block size', 5, 0x40, /expected a version 01 frame/],
    ['a wrong header checksum', 14, 0x01, /header checksum/],
    ["a block above its frame's limit", 17, 0x10, /65536 bytes at most/],
    ['a wrong block checksum', good.length - 9, 0x01, /block checksum/],
    ['a wrong content checksum', good.length - 1, 0x01, /content checksum/],
  ])('refuses %s', async (_name, at, mask, message) => {
    const bad = Buffer.from(good)
    bad.writeUInt8(bad.readUInt8(at) ^ mask, at)
    const fault = await faultOf(read(bad))
    expect(fault.code).toBe('PGPACK_FRAME_CORRUPT')
    expect(fault.message).toMatch(message)
  })

  it('refuses a frame with less content than it declares', async () => {
    const bad = Buffer.from(lz4Frame(content.subarray(0, 90), { contentSize: true }))
    bad.writeBigUInt64LE(91n, 6)
    bad.writeUInt8((xxh32(bad.subarray(4, 14)) >>> 8) & 0xff, 14)
    expect(await faultOf(read(bad))).toMatchObject({ details: { expected: '91 bytes of content', found: '90' } })
  })

  it('refuses a block that decompresses to more than its frame allows', async () => {
    const bomb = lz4Frame(Buffer.alloc(1_000_000), { blockCode: 6 })
    bomb.writeUInt8(0x40, 5)
    bomb.writeUInt8((xxh32(bomb.subarray(4, 6)) >>> 8) & 0xff, 6)
    const fault = await faultOf(read(bomb))
    expect(fault).toMatchObject({
      code: 'PGPACK_FRAME_CORRUPT',
      details: { expected: '65536 bytes at most', offset: 7 },
    })
  })

  it('refuses a copy from before the start', async () => {
    const block = Buffer.of(0x10, 0x41, 0x05, 0x00, 0x50, 0x41, 0x41, 0x41, 0x41, 0x41)
    const descriptor = Buffer.of(0x60, 0x40)
    const header = Buffer.concat([
      Buffer.from('04224d18', 'hex'),
      descriptor,
      Buffer.of((xxh32(descriptor) >>> 8) & 0xff),
    ])
    const file = Buffer.concat([header, Buffer.of(block.length, 0, 0, 0), block, Buffer.alloc(4)])
    expect(await faultOf(read(file))).toMatchObject({ code: 'PGPACK_FRAME_CORRUPT', details: { offset: 7 } })
  })
})

describe('lz4BlockLength', () => {
  it('is the length of the content', () => {
    fc.assert(
      fc.property(fc.nat({ max: 70_000 }), fc.integer({ min: 1, max: 40_000 }), (from, length) => {
        const raw = content.subarray(from, from + length)
        expect(lz4BlockLength(lz4Frame(raw, { blockCode: 7 }).subarray(11, -4))).toBe(raw.length)
      }),
      { numRuns: 30 },
    )
    expect(lz4BlockLength(lz4Frame(Buffer.alloc(100_000), { blockCode: 7 }).subarray(11, -4))).toBe(100_000)
  })

  it('ends for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        expect(lz4BlockLength(bytes)).toBeGreaterThanOrEqual(0)
      }),
    )
  })
})

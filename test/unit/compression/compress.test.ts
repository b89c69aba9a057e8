import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { decompress as decompressByLibzstd } from '@mongodb-js/zstd'
import fc from 'fast-check'
import { Compressor, checkCompression, compress } from '../../../src/compression/compress.ts'
import { decompress } from '../../../src/compression/decompress.ts'
import { type CompressionOptions, WRITABLE_METHODS } from '../../../src/compression/method.ts'
import { compressFrame, decompressFrame } from '../../../src/compression/zstd-contexts.ts'
import { inPieces, join, pieceSizes, sample } from '../../support/chunks.ts'

describe('compress', () => {
  it.each(WRITABLE_METHODS)(
    'makes %s frames whose sequence reads back as the content, whatever the pieces',
    async (method) => {
      const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 })
      await fc.assert(
        fc.asyncProperty(chunks, pieceSizes, fc.integer({ min: 1, max: 5 }), async (content, sizes, inFlight) => {
          const frames = await Promise.all(content.map((chunk) => compress(Buffer.from(chunk), { method })))
          const read = await join(decompress(method, inPieces(Buffer.concat(frames), sizes), { inFlight }))
          expect(read).toEqual(Buffer.concat(content))
        }),
      )
    },
  )

  it('makes zstd frames that libzstd reads by itself, at every kind of level', async () => {
    const chunk = sample(1 << 18)
    for (const level of [1, 3, 19]) {
      expect(await decompressByLibzstd(await compress(chunk, { method: 'Zstd', level }))).toEqual(chunk)
    }
  })

  it('makes smaller zstd frames at a higher level', async () => {
    const chunk = sample(1 << 20)
    const lengths = await Promise.all(
      [1, 19].map(async (level) => (await compress(chunk, { method: 'Zstd', level })).length),
    )
    expect(lengths[1]).toBeLessThan(lengths[0] ?? 0)
  })

  it('takes zstd level 3 when none is given', async () => {
    const chunk = sample(1 << 18)
    expect(await compress(chunk, { method: 'Zstd' })).toEqual(await compress(chunk, { method: 'Zstd', level: 3 }))
  })

  it('gives the chunk itself for None', async () => {
    const chunk = sample(100)
    expect(await compress(chunk, { method: 'None' })).toBe(chunk)
  })

  it.each<CompressionOptions>([
    { method: 'Zstd', level: 0 },
    { method: 'Zstd', level: 23 },
    { method: 'Zstd', level: 1.5 },
    { method: 'LZ4', level: 1 },
    { method: 'None', level: 'Auto' },
    { method: 'None', level: 3 },
  ])('refuses $method with level $level', (options) => {
    expect(() => checkCompression(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it.each<CompressionOptions>([
    { method: 'Zstd', level: 22 },
    { method: 'Zstd', level: 'Auto' },
    { method: 'Zstd' },
    { method: 'LZ4' },
  ])('accepts $method with level $level', (options) => {
    expect(() => checkCompression(options)).not.toThrow()
  })
})

describe('compressFrame', () => {
  it('makes the same frame whatever its context did before', async () => {
    const chunk = sample(300_000)
    const alone = await compressFrame(chunk, 5)
    for (const before of [sample(1 << 21), Buffer.alloc(0), randomBytes(100_000)]) await compressFrame(before, 5)
    expect(await compressFrame(chunk, 5)).toEqual(alone)
  })

  it('uses the level that is asked for, also when contexts of another are idle', async () => {
    const chunk = sample(1 << 20)
    const fast = await compressFrame(chunk, 1)
    expect((await compressFrame(chunk, 19)).length).toBeLessThan(fast.length)
    expect(await compressFrame(chunk, 1)).toEqual(fast)
  })

  it('takes chunks far above what its stream buffers, many at once', async () => {
    const chunks = [sample(8 << 20), randomBytes(6 << 20), ...Array.from({ length: 12 }, () => randomBytes(1 << 20))]
    const frames = await Promise.all(chunks.map((chunk) => compressFrame(chunk, 1)))
    const contents = await Promise.all(frames.map(async (frame) => Buffer.concat(await decompressFrame(frame))))
    expect(contents.map((content, index) => content.equals(chunks[index] ?? content))).not.toContain(false)
  })
})

describe('decompressFrame', () => {
  it('goes on with good frames after it has refused a bad one', async () => {
    const chunk = sample(200_000)
    const frame = await compressFrame(chunk, 3)
    const bad = Buffer.from(frame)
    bad.fill(0xff, 9, 2000)
    await expect(decompressFrame(bad)).rejects.toMatchObject({ code: expect.stringMatching(/^ZSTD_/) })
    for (let round = 0; round < 5; round++) expect(Buffer.concat(await decompressFrame(frame))).toEqual(chunk)
  })
})

describe('Compressor', () => {
  it('compresses more as long as it keeps up, with level Auto', async () => {
    const compressor = new Compressor({ method: 'Zstd', level: 'Auto' }, 4)
    const chunk = sample(1 << 16)
    const lengths: number[] = []
    for (let count = 0; count < 200; count++) lengths.push((await compressor.compress(chunk)).length)
    expect(lengths[0]).toBe((await compressFrame(chunk, 3)).length)
    expect(lengths.at(-1)).toBe((await compressFrame(chunk, 9)).length)
  })

  it('compresses less when chunks come faster than it works, with level Auto', async () => {
    const compressor = new Compressor({ method: 'Zstd', level: 'Auto' }, 4)
    const chunk = sample(1 << 16)
    const running: Promise<Buffer>[] = []
    for (let count = 0; count < 64; count++) {
      running.push(compressor.compress(chunk))
      if (running.length > 4) await running[count - 4]
    }
    const lengths = (await Promise.all(running)).map(({ length }) => length)
    expect(lengths[0]).toBe((await compressFrame(chunk, 3)).length)
    // Not the last one for certain: meanwhile the compressor may have caught up.
    expect(lengths).toContain((await compressFrame(chunk, 1)).length)
  })

  it('refuses a level that the method does not have', () => {
    expect(() => new Compressor({ method: 'LZ4', level: 'Auto' }, 4)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { nodeZstd, zstd } from '../../../src/compression/codecs.ts'
import { checkCompression, compress } from '../../../src/compression/compress.ts'
import { decompress } from '../../../src/compression/decompress.ts'
import { type CompressionOptions, WRITABLE_METHODS } from '../../../src/compression/method.ts'
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
    { method: 'None', level: 3 },
  ])('refuses $method with level $level', (options) => {
    expect(() => checkCompression(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it.each<CompressionOptions>([{ method: 'Zstd', level: 22 }, { method: 'Zstd' }, { method: 'LZ4' }])(
    'accepts $method with level $level',
    (options) => {
      expect(() => checkCompression(options)).not.toThrow()
    },
  )
})

describe('the zstd codecs', () => {
  it('read each other', async () => {
    const chunk = sample(300_000)
    for (const [from, to] of [
      [zstd, nodeZstd],
      [nodeZstd, zstd],
      [nodeZstd, nodeZstd],
    ] as const) {
      expect(await to.decompress(await from.compress(chunk, 3), chunk.length)).toEqual(chunk)
    }
  })

  it('use the package where it has a binary', () => {
    expect(zstd.name).toBe('@mongodb-js/zstd')
  })

  it('use levels in Node as well', async () => {
    const chunk = sample(1 << 20)
    const [fast, small] = await Promise.all([nodeZstd.compress(chunk, 1), nodeZstd.compress(chunk, 19)])
    expect(small.length).toBeLessThan(fast.length)
  })
})

import { ByteReader } from './byte-reader.ts'
import { decompressGzip } from './gzip.ts'
import { type DecompressOptions, decompressSettings } from './limits.ts'
import { decompressLZ4 } from './lz4.ts'
import type { CompressionMethod } from './method.ts'
import { decompressSnappy } from './snappy.ts'
import { decompressZstd } from './zstd.ts'

/**
 * The content of a compressed body: any number of frames, skippable and empty ones among them, of any size. Memory is
 * bounded by the limits, never by the frames. Leaving the loop early ends the source.
 * @throws PgpackError PGPACK_FRAME_CORRUPT, PGPACK_TRUNCATED, PGPACK_LIMIT; and what the source throws
 */
export async function* decompress(
  method: CompressionMethod,
  source: AsyncIterable<Uint8Array>,
  options: DecompressOptions = {},
): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source, options.offset)
  const settings = decompressSettings(options)
  try {
    switch (method) {
      case 'None':
        yield* reader.pieces()
        break
      case 'LZ4':
        yield* decompressLZ4(reader, settings)
        break
      case 'Zstd':
        yield* decompressZstd(reader, settings)
        break
      case 'Gzip':
        yield* decompressGzip(reader)
        break
      case 'Snappy':
        yield* decompressSnappy(reader, settings)
        break
    }
  } finally {
    await reader.close()
  }
}

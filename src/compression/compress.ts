import { compressFrameSync } from 'lz4-napi'
import { PgpackError } from '../errors.ts'
import { zstd } from './codecs.ts'
import type { CompressionOptions } from './method.ts'

/** zstd's own default. */
export const DEFAULT_ZSTD_LEVEL = 3

/** @throws CONFIG_INVALID for a level that zstd does not have */
export function checkCompression({ method, level }: CompressionOptions): void {
  if (level === undefined) return
  if (method === 'Zstd' && Number.isInteger(level) && level >= 1 && level <= 22) return
  const expected = method === 'Zstd' ? 'a whole number from 1 to 22' : `no level, as ${method} has none`
  throw new PgpackError(
    'CONFIG_INVALID',
    `compression level ${level} does not fit ${method}: expected ${expected}; change or remove the level`,
    { expected, found: String(level) },
  )
}

/**
 * One complete, independent frame of `chunk`; `None` gives the chunk itself. Zstd works on the thread pool, and the chunk
 * must not be changed before the promise resolves. LZ4 is done on the main thread: it is faster than COPY sends, and on the pool its
 * package's allocator keeps some 60 MiB more, one heap for each thread.
 */
export function compress(chunk: Buffer, { method, level }: CompressionOptions): Promise<Buffer> {
  switch (method) {
    case 'None':
      return Promise.resolve(chunk)
    case 'LZ4':
      return compressLZ4(chunk)
    case 'Zstd':
      return zstd.compress(chunk, level ?? DEFAULT_ZSTD_LEVEL)
  }
}

/** In a turn of the event loop of its own: between turns the memory of frames that are written already is given back. */
function compressLZ4(chunk: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(compressFrameSync(chunk))
      } catch (error) {
        reject(error)
      }
    })
  })
}

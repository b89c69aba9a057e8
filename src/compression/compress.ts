import { PgpackError } from '../errors.ts'
import { AutoLevel } from './auto-level.ts'
import { lz4 } from './lz4-package.ts'
import type { CompressionOptions } from './method.ts'
import { compressFrame } from './zstd-contexts.ts'

/** zstd's own default. */
export const DEFAULT_ZSTD_LEVEL = 3

/** @throws CONFIG_INVALID for a level that zstd does not have */
export function checkCompression({ method, level }: CompressionOptions): void {
  if (level === undefined) return
  const exists = level === 'Auto' || (Number.isInteger(level) && level >= 1 && level <= 22)
  if (method === 'Zstd' && exists) return
  const expected = method === 'Zstd' ? 'a whole number from 1 to 22, or Auto' : `no level, as ${method} has none`
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
 * @param options `Auto` is for a `Compressor`, which knows what else runs; here it is the default level
 */
export function compress(chunk: Buffer, { method, level }: CompressionOptions): Promise<Buffer> {
  switch (method) {
    case 'None':
      return Promise.resolve(chunk)
    case 'LZ4':
      return compressLZ4(chunk)
    case 'Zstd':
      return compressFrame(chunk, typeof level === 'number' ? level : DEFAULT_ZSTD_LEVEL)
  }
}

/** The frames of one file: as `compress`, with a level that follows the queue where it is `Auto`. */
export class Compressor {
  readonly #options: CompressionOptions
  readonly #inFlight: number
  readonly #auto: AutoLevel | undefined
  #running = 0

  /**
   * @param inFlight compressions at the same time that the caller allows itself
   * @throws CONFIG_INVALID for a level that the method does not have
   */
  constructor(options: CompressionOptions, inFlight: number) {
    checkCompression(options)
    this.#options = options
    this.#inFlight = inFlight
    this.#auto = options.level === 'Auto' ? new AutoLevel() : undefined
  }

  /** Compressions under way. */
  get running(): number {
    return this.#running
  }

  async compress(chunk: Buffer): Promise<Buffer> {
    this.#auto?.observe(this.#running / this.#inFlight)
    const level = this.#auto?.level
    this.#running += 1
    try {
      return await compress(chunk, level === undefined ? this.#options : { ...this.#options, level })
    } finally {
      this.#running -= 1
    }
  }
}

/** In a turn of the event loop of its own: between turns the memory of frames that are written already is given back. */
function compressLZ4(chunk: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(lz4().compressFrameSync(chunk))
      } catch (error) {
        reject(error)
      }
    })
  })
}

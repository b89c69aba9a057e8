import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { constants, type ZstdOptions, zstdCompress, zstdDecompress } from 'node:zlib'

/** One-shot codecs that run on libuv's thread pool. */
export interface ZstdCodec {
  readonly name: string
  compress(data: Uint8Array, level: number): Promise<Buffer>
  /** One whole frame. `rawBound`: an upper limit of its decompressed length, from its block headers. */
  decompress(frame: Uint8Array, rawBound: number): Promise<Buffer>
}

interface ZstdBindings {
  compress(data: Uint8Array, level: number): Promise<Buffer>
  decompress(data: Uint8Array): Promise<Buffer>
}

const compressOnce = promisify<Uint8Array, ZstdOptions, Buffer>(zstdCompress)
const decompressOnce = promisify<Uint8Array, ZstdOptions, Buffer>(zstdDecompress)

/** Node's own zstd: slower than the package (copy-engine measurements), but there on every platform. */
export const nodeZstd: ZstdCodec = {
  name: 'node:zlib',
  compress: (data, level) =>
    compressOnce(data, {
      params: { [constants.ZSTD_c_compressionLevel]: level },
      chunkSize: Math.max(64, data.length),
    }),
  decompress: (frame, rawBound) =>
    // Some room above the bound, or zlib makes a second round to learn that nothing is left.
    decompressOnce(frame, { chunkSize: rawBound + 64, maxOutputLength: rawBound + 64 }),
}

/**
 * `bindings.js`, not the package's index.js: that one drops the level (it is always 3 there).
 * A platform without a binary is no error: Node's own zstd does the same work.
 */
function loadZstd(): ZstdCodec {
  const require = createRequire(import.meta.url)
  try {
    const bindings: ZstdBindings = require('@mongodb-js/zstd/bindings.js')
    return { name: '@mongodb-js/zstd', compress: bindings.compress, decompress: (frame) => bindings.decompress(frame) }
  } catch {
    return nodeZstd
  }
}

export const zstd: ZstdCodec = loadZstd()

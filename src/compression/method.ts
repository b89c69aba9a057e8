/** The compression methods that a PGPack body can name, in the spelling that users write (`spec.compression.method`). */
export const COMPRESSION_METHODS = ['None', 'LZ4', 'Zstd', 'Gzip', 'Snappy'] as const
export type CompressionMethod = (typeof COMPRESSION_METHODS)[number]

/** The methods that we write: what the released Python reference reads. */
export const WRITABLE_METHODS = ['None', 'LZ4', 'Zstd'] as const satisfies readonly CompressionMethod[]
export type WritableMethod = (typeof WRITABLE_METHODS)[number]

/** `level` counts for Zstd only: 1 (fast) to 22, 3 when not given; Auto is as small as keeps up with the source. */
export interface CompressionOptions {
  readonly method: WritableMethod
  readonly level?: number | 'Auto'
}

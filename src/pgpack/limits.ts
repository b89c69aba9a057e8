import type { DecompressionLimits } from '../compression/limits.ts'

/** What a reader takes from a file it does not trust. */
export interface PGPackLimits extends Partial<DecompressionLimits> {
  /** Bytes of the metadata as they are stored. */
  readonly metadataBytes: number
  /** Bytes of the metadata's JSON. */
  readonly metadataRawBytes: number
}

/**
 * A table of PostgreSQL's 1600 columns, each name 63 control characters, has some 700 KB of JSON. Parsed, hostile JSON
 * takes up to 40 times its length.
 */
export const DEFAULT_LIMITS: PGPackLimits = {
  metadataBytes: 1024 * 1024,
  metadataRawBytes: 1024 * 1024,
}

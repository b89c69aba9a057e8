import type { DecompressionLimits } from '../compression/limits.ts'

/** What a reader takes from a file it does not trust. */
export interface PGPackLimits extends Partial<DecompressionLimits> {
  /** Bytes of the metadata as they are stored. */
  readonly metadataBytes: number
  /** Bytes of the metadata's JSON. */
  readonly metadataRawBytes: number
}

export const DEFAULT_LIMITS: PGPackLimits = {
  metadataBytes: 16 * 1024 * 1024,
  metadataRawBytes: 64 * 1024 * 1024,
}

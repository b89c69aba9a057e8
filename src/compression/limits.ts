/** What a reader takes from a file it does not trust. */
export interface DecompressionLimits {
  /** log2 of the largest zstd window (which is the decoder's memory); the reference, too, stops at 27 (128 MiB). */
  readonly zstdWindowLog: number
  /** Frames up to these sizes are decompressed whole, several at a time; larger ones are streamed. Bytes. */
  readonly wholeFrameBytes: number
  readonly wholeFrameRawBytes: number
}

export const DEFAULT_DECOMPRESSION_LIMITS: DecompressionLimits = {
  zstdWindowLog: 27,
  wholeFrameBytes: 8 * 1024 * 1024,
  wholeFrameRawBytes: 8 * 1024 * 1024,
}

/** A frame as it lies in the file. */
export interface StoredFrame {
  /** File offset of its first byte. */
  readonly offset: number
  readonly storedBytes: number
}

export interface DecompressOptions {
  readonly limits?: Partial<DecompressionLimits>
  /** Frames (or LZ4 blocks) decompressed at the same time on the thread pool; 4 when not given. */
  readonly inFlight?: number
  /** File offset of the source's first byte, for errors. */
  readonly offset?: number
  /** Called when a frame's end was found in the source, in order; skippable frames are left out. */
  readonly onFrame?: (frame: StoredFrame) => void
}

/** Options with every default filled in. */
export interface DecompressSettings extends DecompressionLimits {
  readonly inFlight: number
  readonly onFrame: (frame: StoredFrame) => void
}

export function decompressSettings(options: DecompressOptions): DecompressSettings {
  return {
    ...DEFAULT_DECOMPRESSION_LIMITS,
    ...options.limits,
    inFlight: options.inFlight ?? 4,
    onFrame: options.onFrame ?? (() => undefined),
  }
}

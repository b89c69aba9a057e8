import { createHash } from 'node:crypto'
import type { CompressionOptions } from '../compression/method.ts'
import type { MetadataSpelling } from '../pgpack/columns.ts'
import type { FrameIndex } from '../pgpack/frame-index.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../pgpack/pgcopy.ts'
import { PGPackWriter } from '../pgpack/writer.ts'
import { pgpackColumn } from '../postgres/catalog.ts'
import { tuplesOnly } from '../postgres/copy-out.ts'
import type { CopyChunk, CopyOut } from '../postgres/types.ts'
import type { ObjectStore, ObjectUpload } from '../storage/store.ts'
import type { FileFormat } from './format.ts'
import { FormatWriter } from './format-writer.ts'
import type { DumpSource } from './source.ts'

export interface FileTarget extends FileFormat {
  readonly store: ObjectStore
  readonly key: string
  readonly compression: CompressionOptions
  readonly spelling?: MetadataSpelling
}

/** What was written of one object. */
export interface FileSummary {
  /** Undefined where only the server counts them. */
  readonly rows: bigint | undefined
  readonly rawBytes: bigint
  readonly fileBytes: bigint
  /** Hex, of the bytes before `bodyOffset` and from there on; what is no PGPack file has no head. */
  readonly headSHA256: string
  readonly bodySHA256: string
  readonly bodyOffset: number
  readonly frames: FrameIndex | undefined
}

/** One file in the making. Several COPYs may be written at once; their chunks follow one another. */
export interface DumpWriter {
  readonly storedBytes: number
  /** The pieces of a COPY as the file has them. */
  pieces(copy: CopyOut): AsyncIterable<CopyChunk>
  /** Takes a piece of whole rows; resolves when more are welcome. */
  write(piece: CopyChunk): Promise<void>
  finish(): Promise<FileSummary>
  abort(): Promise<void>
}

/** Opens the file's upload; nothing is visible in the store before `finish` resolves. */
export function openWriter(source: DumpSource, target: FileTarget, signal: AbortSignal): DumpWriter {
  return target.format === 'PGPack' ? pgpackWriter(source, target, signal) : formatWriter(target, signal)
}

function pgpackWriter(source: DumpSource, target: FileTarget, signal: AbortSignal): DumpWriter {
  const columns = source.columns.map(pgpackColumn)
  const { store, key, compression, spelling = 'released' } = target
  const upload = store.upload(key, { signal, headLength: PGPackWriter.headLength({ columns, spelling }) })
  const writer = new PGPackWriter(upload, { columns, compression, spelling })
  return {
    get storedBytes() {
      return writer.storedBytes
    },
    pieces: tuplesOnly,
    write: ({ data, rows, release }) => writer.writeRows(data, rows, release),
    finish: () => writer.finish(),
    abort: () => upload.abort(),
  }
}

/** What the manifest has where there is nothing to hash. */
export const NO_BYTES_SHA256 = createHash('sha256').digest('hex')

function formatWriter(target: FileTarget, signal: AbortSignal): DumpWriter {
  const upload: ObjectUpload = target.store.upload(target.key, { signal })
  const writer = new FormatWriter(upload, target.compression)
  // A COPY with OIDs says so in its header, and is never split: it passes as it is.
  const framed = target.format === 'Binary' && target.copyOptions?.oids !== true
  let begun = !framed
  const begin = async () => {
    if (begun) return
    begun = true
    await writer.write(PGCOPY_HEADER)
  }
  return {
    get storedBytes() {
      return writer.storedBytes
    },
    pieces: (copy) => (framed ? tuplesOnly(copy) : copy),
    write: async ({ data, release }) => {
      await begin()
      await writer.write(data, release)
    },
    finish: async () => {
      await begin()
      if (framed) await writer.write(PGCOPY_TRAILER)
      const { rawBytes, fileBytes, sha256 } = await writer.finish()
      const head = { headSHA256: NO_BYTES_SHA256, bodySHA256: sha256, bodyOffset: 0 }
      return { rows: undefined, rawBytes, fileBytes, ...head, frames: undefined }
    },
    abort: () => upload.abort(),
  }
}

import type { CompressionMethod } from '../compression/method.ts'
import type { Layout, MetadataSpelling, PGPackColumn } from './columns.ts'
import { PGPackReader, type PGPackReaderOptions } from './reader.ts'
import type { RandomAccessSource } from './source.ts'

/** What a file says of itself. Lengths in bytes. */
export interface PGPackInfo {
  readonly columns: readonly PGPackColumn[]
  readonly spelling: MetadataSpelling
  readonly method: CompressionMethod
  readonly layout: Layout
  readonly fileBytes: number
  readonly bodyOffset: number
  readonly storedBytes: bigint
  readonly rawBytes: bigint
}

/** Reads a file's head and checks its lengths against its size; the body is not touched. @throws PgpackError PGPACK_* */
export async function inspect(source: RandomAccessSource, options: PGPackReaderOptions = {}): Promise<PGPackInfo> {
  const reader = await PGPackReader.open(source, options)
  return {
    columns: reader.columns,
    spelling: reader.spelling,
    method: reader.method,
    layout: reader.layout,
    fileBytes: source.size,
    bodyOffset: reader.bodyOffset,
    storedBytes: reader.storedLength ?? 0n,
    rawBytes: reader.rawLength ?? 0n,
  }
}

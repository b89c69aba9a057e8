export type { CompressionMethod, CompressionOptions, WritableMethod } from '../compression/method.ts'
export { PgpackError } from '../errors.ts'
export { PGCopyChecker } from './checker.ts'
export { LAYOUTS, type Layout, METADATA_SPELLINGS, type MetadataSpelling, type PGPackColumn } from './columns.ts'
export {
  type FromTextOptions,
  fromText,
  type RepackOptions,
  repack,
  TEXT_FORMATS,
  type TextFormat,
  type ToTextOptions,
  toText,
} from './convert/convert.ts'
export type { FrameIndex, FrameIndexEntry } from './frame-index.ts'
export { inspect, type PGPackInfo } from './inspect.ts'
export { DEFAULT_LIMITS, type PGPackLimits } from './limits.ts'
export { PGCOPY_HEADER, PGCOPY_HEADER_BYTES, PGCOPY_TRAILER } from './pgcopy.ts'
export { type BodyOptions, type BodyPart, PGPackReader, type PGPackReaderOptions } from './reader.ts'
export * from './rows/index.ts'
export { bufferSource, type PGPackSource, type RandomAccessSource } from './source.ts'
export { type PGPackFault, type PGPackVerification, verify } from './verify.ts'
export { type PGPackSink, type PGPackSummary, PGPackWriter, type PGPackWriterOptions } from './writer.ts'

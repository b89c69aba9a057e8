import { ByteReader } from '../compression/byte-reader.ts'
import type { CompressionMethod } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import type { Layout } from './columns.ts'
import {
  type BodyLengths,
  checkMetadataCRC,
  decodeLengths,
  decodeMethod,
  decodePrefix,
  headTruncated,
  LENGTHS_BYTES,
  PREFIX_BYTES,
  STREAM_MARKER,
  SUFFIX_BYTES,
} from './header.ts'
import type { PGPackLimits } from './limits.ts'
import { decodeMetadata, type Metadata } from './metadata.ts'
import { type RandomAccessSource, readRange } from './source.ts'

/** Everything that stands before the body. */
export interface Head extends Metadata {
  readonly method: CompressionMethod
  readonly layout: Layout
  /** Undefined in the stream layout, until the file's tail was read. */
  readonly lengths: BodyLengths | undefined
  readonly bodyOffset: number
  /** The head's own bytes, for its hash. */
  readonly bytes: Buffer
}

/** @throws PgpackError PGPACK_* */
export async function readHead(reader: ByteReader, limits: PGPackLimits): Promise<Head> {
  const prefix = await reader.read(PREFIX_BYTES)
  const { crc, metadataLength } = decodePrefix(prefix, limits.metadataBytes)
  const packed = await reader.read(metadataLength)
  if (packed.length < metadataLength) throw headTruncated(PREFIX_BYTES + packed.length, 'the metadata')
  checkMetadataCRC(packed, crc)
  const metadata = await decodeMetadata(packed, limits)
  const suffixOffset = PREFIX_BYTES + metadataLength
  const suffix = await reader.read(SUFFIX_BYTES)
  if (suffix.length < SUFFIX_BYTES) throw headTruncated(suffixOffset + suffix.length, 'the header')
  const lengths = suffix.subarray(1)
  const layout = lengths.equals(STREAM_MARKER) ? 'stream' : 'header'
  return {
    ...metadata,
    method: decodeMethod(suffix.readUInt8(), suffixOffset),
    layout,
    lengths: layout === 'header' ? decodeLengths(lengths) : undefined,
    bodyOffset: suffixOffset + SUFFIX_BYTES,
    bytes: Buffer.concat([prefix, packed, suffix]),
  }
}

/** Enough for the head of most files, so that one request gets it. */
const FIRST_READ_BYTES = 64 * 1024

/**
 * The head of a file whose size is known, with the lengths of either layout, checked against the size: a file that was
 * cut off or that goes on is found here, before a row is handed out.
 */
export async function readHeadAt(
  source: RandomAccessSource,
  limits: PGPackLimits,
): Promise<Head & { lengths: BodyLengths }> {
  const first = await readRange(source, 0, FIRST_READ_BYTES)
  const { metadataLength } = decodePrefix(first.subarray(0, PREFIX_BYTES), limits.metadataBytes)
  const length = PREFIX_BYTES + metadataLength + SUFFIX_BYTES
  const bytes = length <= first.length ? first : await readRange(source, 0, length)
  const head = await readHead(new ByteReader(once(bytes)), limits)
  const tailBytes = head.layout === 'stream' ? LENGTHS_BYTES : 0
  if (source.size < head.bodyOffset + tailBytes) throw headTruncated(source.size, 'the lengths at the end')
  const lengths = head.lengths ?? decodeLengths(await readRange(source, source.size - LENGTHS_BYTES, LENGTHS_BYTES))
  checkStoredLength(head, lengths, source.size - head.bodyOffset - tailBytes)
  return { ...head, lengths }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

/** Compares the body that is there with the stored length. @throws PGPACK_TRUNCATED, PGPACK_TRAILING_DATA, PGPACK_LENGTH_MISMATCH */
export function checkStoredLength(
  head: Pick<Head, 'method' | 'bodyOffset' | 'layout'>,
  lengths: BodyLengths,
  found: number,
): void {
  const { stored, raw } = lengths
  const end = head.bodyOffset + found
  const details = { offset: end, expected: `${stored} bytes of body`, found: `${found} bytes` }
  if (BigInt(found) < stored) {
    throw new PgpackError(
      'PGPACK_TRUNCATED',
      `the body has ${found} bytes, the file says ${stored}: it was cut off at byte ${end}; fetch the file again or make it anew`,
      details,
    )
  }
  if (stored === 0n) {
    throw new PgpackError(
      'PGPACK_TRUNCATED',
      `the length of the body is 0 with ${found} bytes there: the writer did not finish the file; make it anew`,
      { ...details, offset: head.bodyOffset - LENGTHS_BYTES },
    )
  }
  if (BigInt(found) > stored) {
    // In the stream layout nothing can follow the lengths: a longer body means that they are not its lengths.
    const code = head.layout === 'stream' ? 'PGPACK_LENGTH_MISMATCH' : 'PGPACK_TRAILING_DATA'
    throw new PgpackError(
      code,
      `the body has ${found} bytes, the file says ${stored}: what follows does not belong to it; fetch the file again or make it anew`,
      { ...details, offset: head.bodyOffset + Number(stored) },
    )
  }
  if (head.method === 'None') checkRawLength(raw, found)
}

/** @throws PGPACK_LENGTH_MISMATCH */
export function checkRawLength(expected: bigint, found: number): void {
  if (expected === BigInt(found)) return
  throw new PgpackError(
    'PGPACK_LENGTH_MISMATCH',
    `the body has ${found} bytes decompressed, the file says ${expected}; fetch the file again or make it anew`,
    { expected: `${expected} bytes`, found: `${found} bytes` },
  )
}

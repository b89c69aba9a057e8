import { crc32 } from 'node:zlib'
import type { CompressionMethod } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'

/**
 *     0        8      12     16            16+M     17+M            33+M
 *     | PGPACK | CRC  |  M   | metadata, M | method | two lengths   | body …
 *
 * All integers are big-endian. In the stream layout a marker stands in place of the two lengths, and they are the
 * last 16 bytes of the file.
 */
export const SIGNATURE = Buffer.from('PGPACK\n\0')
export const STREAM_MARKER = Buffer.from('S3\0Stream\0Object')
/** Bytes before the metadata. */
export const PREFIX_BYTES = 16
/** Bytes of the two lengths, packed and raw. */
export const LENGTHS_BYTES = 16
/** The method byte and the lengths behind the metadata. */
export const SUFFIX_BYTES = 1 + LENGTHS_BYTES

const METHOD_CODES: Readonly<Record<CompressionMethod, number>> = {
  None: 0x02,
  LZ4: 0x82,
  Zstd: 0x90,
  Gzip: 0x99,
  Snappy: 0x9f,
}
const METHODS = new Map(
  Object.entries(METHOD_CODES).map(([method, code]) => [code, method as CompressionMethod] as const),
)

/** Lengths of the body in bytes: as stored, and decompressed. */
export interface BodyLengths {
  readonly stored: bigint
  readonly raw: bigint
}

/** The file up to its body. `lengths` undefined: the stream layout. */
export function encodeHeader(
  packedMetadata: Buffer,
  method: CompressionMethod,
  lengths: BodyLengths | undefined,
): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  SIGNATURE.copy(prefix)
  prefix.writeUInt32BE(crc32(packedMetadata), 8)
  prefix.writeUInt32BE(packedMetadata.length, 12)
  const tail = lengths === undefined ? STREAM_MARKER : encodeLengths(lengths)
  return Buffer.concat([prefix, packedMetadata, Buffer.of(METHOD_CODES[method]), tail])
}

export function encodeLengths({ stored, raw }: BodyLengths): Buffer {
  const bytes = Buffer.alloc(LENGTHS_BYTES)
  bytes.writeBigUInt64BE(stored)
  bytes.writeBigUInt64BE(raw, 8)
  return bytes
}

/** @param bytes the 16 bytes themselves */
export function decodeLengths(bytes: Buffer): BodyLengths {
  return { stored: bytes.readBigUInt64BE(), raw: bytes.readBigUInt64BE(8) }
}

export interface Prefix {
  readonly crc: number
  readonly metadataLength: number
}

/** Reads the first 16 bytes. @throws PGPACK_SIGNATURE, PGPACK_TRUNCATED, PGPACK_LIMIT */
export function decodePrefix(bytes: Buffer, metadataLimit: number): Prefix {
  checkSignature(bytes.subarray(0, SIGNATURE.length))
  if (bytes.length < PREFIX_BYTES) throw headTruncated(bytes.length, 'the header')
  const metadataLength = bytes.readUInt32BE(12)
  if (metadataLength > metadataLimit) {
    throw new PgpackError(
      'PGPACK_LIMIT',
      `the header announces ${metadataLength} bytes of metadata, the limit is ${metadataLimit}; raise the limit if the file is genuine`,
      { offset: 12, expected: `${metadataLimit} at most`, found: String(metadataLength) },
    )
  }
  return { crc: bytes.readUInt32BE(8), metadataLength }
}

function checkSignature(found: Buffer): void {
  if (found.equals(SIGNATURE)) return
  if (found.length > 0 && found.equals(SIGNATURE.subarray(0, found.length))) {
    throw headTruncated(found.length, 'the signature')
  }
  throw new PgpackError(
    'PGPACK_SIGNATURE',
    `not a PGPack file: it starts with ${found.length === 0 ? 'nothing, it is empty' : found.toString('hex')}, expected ${SIGNATURE.toString('hex')}`,
    { offset: 0, expected: SIGNATURE.toString('hex'), found: found.toString('hex') },
  )
}

/** @throws PGPACK_METADATA_CRC */
export function checkMetadataCRC(packedMetadata: Buffer, expected: number): void {
  const found = crc32(packedMetadata)
  if (found === expected) return
  throw new PgpackError(
    'PGPACK_METADATA_CRC',
    `the metadata are damaged: their CRC-32 is ${hex32(found)}, the header says ${hex32(expected)}; fetch the file again or make it anew`,
    { offset: 8, expected: hex32(expected), found: hex32(found) },
  )
}

/** @throws PGPACK_UNKNOWN_METHOD */
export function decodeMethod(code: number, offset: number): CompressionMethod {
  const method = METHODS.get(code)
  if (method !== undefined) return method
  const expected = [...METHODS].map(([known, name]) => `0x${known.toString(16)} ${name}`).join(', ')
  const found = `0x${code.toString(16)}`
  throw new PgpackError(
    'PGPACK_UNKNOWN_METHOD',
    `unknown compression method ${found} at byte ${offset}, known are ${expected}; a newer version may read it`,
    { offset, expected, found },
  )
}

/** The file ends before its body starts. */
export function headTruncated(size: number, inside: string): PgpackError {
  return new PgpackError('PGPACK_TRUNCATED', `the file ends at byte ${size}, inside ${inside}: it was cut off`, {
    offset: size,
    expected: `the rest of ${inside}`,
    found: 'the end of the file',
  })
}

function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}

import { errorMessage, PgpackError } from '../errors.ts'
import type { ByteReader } from './byte-reader.ts'

/** Bytes that are not what the format demands at `offset` of the file. */
export function frameCorrupt(
  format: string,
  offset: number,
  { expected, found, cause }: { expected: string; found: string; cause?: unknown },
): PgpackError {
  return new PgpackError(
    'PGPACK_FRAME_CORRUPT',
    `${format} data is damaged at byte ${offset}: found ${found}, expected ${expected}; the file must be made anew or fetched again`,
    { offset, expected, found, cause },
  )
}

/** What the codec itself says of a frame that starts at `offset`. */
export function frameUnreadable(format: string, offset: number, cause: unknown): PgpackError {
  return frameCorrupt(format, offset, { expected: `a readable ${format} frame`, found: errorMessage(cause), cause })
}

/** The source ended inside a frame. */
export function frameTruncated(format: string, reader: ByteReader, inside: string): PgpackError {
  return new PgpackError(
    'PGPACK_TRUNCATED',
    `the file ends at byte ${reader.position}, inside ${inside} of a ${format} frame: it was cut off or never finished`,
    { offset: reader.position, expected: `the rest of ${inside}`, found: 'the end of the file' },
  )
}

/** Exactly `length` bytes of a frame's `inside`. @throws PGPACK_TRUNCATED */
export async function readExactly(reader: ByteReader, length: number, format: string, inside: string): Promise<Buffer> {
  const bytes = await reader.read(length)
  if (bytes.length < length) throw frameTruncated(format, reader, inside)
  return bytes
}

/** Passes over exactly `length` bytes. @throws PGPACK_TRUNCATED */
export async function skipExactly(reader: ByteReader, length: number, format: string, inside: string): Promise<void> {
  if ((await reader.skip(length)) < length) throw frameTruncated(format, reader, inside)
}

export function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

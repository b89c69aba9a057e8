import { PgpackError } from '../errors.ts'
import type { CopyChunk, CopyOut } from './types.ts'

/** PGCOPY: signature, flags, length of the header's extension (COPY, "Binary Format"). */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const FLAGS_OFFSET = SIGNATURE.length
const EXTENSION_OFFSET = FLAGS_OFFSET + 4
const FIXED_BYTES = EXTENSION_OFFSET + 4
/** Bit 16 stands for OIDs before each row (up to PostgreSQL 11), the bits above for formats not yet invented. */
const CRITICAL_FLAGS = 0xffff0000
export const TRAILER_BYTES = 2
const FIELD_COUNT_BYTES = 2
const FIELD_LENGTH_BYTES = 4

/**
 * Length of the PGCOPY header at the start of a binary COPY.
 * @throws PgpackError POSTGRES_PROTOCOL
 */
export function copyHeaderLength(bytes: Buffer): number {
  const length = bytes.length < FIXED_BYTES ? Number.POSITIVE_INFINITY : headerLength(bytes)
  if (length > bytes.length || !bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    throw new PgpackError('POSTGRES_PROTOCOL', 'the COPY does not begin with a PGCOPY header: is it in binary format?')
  }
  const critical = (bytes.readUInt32BE(FLAGS_OFFSET) & CRITICAL_FLAGS) >>> 0
  if (critical === 0) return length
  throw new PgpackError('POSTGRES_PROTOCOL', 'the COPY has flags in its header that change the format', {
    expected: 'no critical flags',
    found: `0x${critical.toString(16)}`,
  })
}

function headerLength(bytes: Buffer): number {
  return FIXED_BYTES + bytes.readUInt32BE(EXTENSION_OFFSET)
}

/** Whether a binary COPY's trailer, a field count of -1, stands at the end. */
export function endsWithTrailer(bytes: Buffer): boolean {
  return bytes.length >= TRAILER_BYTES && bytes.readInt16BE(bytes.length - TRAILER_BYTES) === -1
}

/** Rows in a piece of a binary COPY without header, by walking its fields, and whether a trailer ends it. */
export function countTuples(bytes: Buffer): Pick<CopyChunk, 'rows' | 'trailer'> {
  let rows = 0
  for (let offset = 0; offset < bytes.length; rows += 1) {
    const fields = bytes.readInt16BE(offset)
    if (fields === -1) return { rows, trailer: true }
    offset += FIELD_COUNT_BYTES
    for (let field = 0; field < fields; field += 1) {
      const length = bytes.readInt32BE(offset)
      offset += FIELD_LENGTH_BYTES + Math.max(length, 0)
    }
  }
  return { rows, trailer: false }
}

/**
 * A binary COPY's rows alone, without header and trailer and never an empty chunk, so that several COPYs' rows can
 * follow one another in one file.
 * @throws PgpackError POSTGRES_PROTOCOL for a stream that is not binary COPY from header to trailer
 */
export async function* tuplesOnly(copy: CopyOut): AsyncGenerator<CopyChunk, void, undefined> {
  let [started, ended] = [false, false]
  for await (const chunk of copy) {
    const end = chunk.data.length - (chunk.trailer ? TRAILER_BYTES : 0)
    const data = chunk.data.subarray(started ? 0 : copyHeaderLength(chunk.data), end)
    started = true
    ended = chunk.trailer
    if (data.length > 0) yield { ...chunk, data, trailer: false }
    else chunk.release()
  }
  if (ended) return
  throw new PgpackError('POSTGRES_PROTOCOL', 'the COPY ended without the trailer of the binary format')
}

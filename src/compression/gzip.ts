import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { errorCode, PgpackError } from '../errors.ts'
import type { ByteReader } from './byte-reader.ts'
import { frameCorrupt, frameTruncated, frameUnreadable } from './faults.ts'

const OUTPUT_BYTES = 256 * 1024

/** The content of one or more gzip members (RFC 1952); what the 0.4 development head writes for GZIP. */
export async function* decompressGzip(reader: ByteReader): AsyncGenerator<Buffer> {
  const offset = reader.position
  const decoder = createGunzip({ chunkSize: OUTPUT_BYTES })
  // Whoever iterates over the decoder gets the error of either side; pipeline() asks for a callback all the same.
  pipeline(reader.pieces(), decoder, () => undefined)
  try {
    for await (const output of decoder) yield output
  } catch (error) {
    if (error instanceof PgpackError) throw error
    if (errorCode(error) === 'Z_BUF_ERROR') throw frameTruncated('gzip', reader, 'a member')
    throw frameUnreadable('gzip', offset, error)
  }
  const end = offset + decoder.bytesWritten
  if (end !== reader.position) {
    // zlib ignores what follows the last member.
    throw frameCorrupt('gzip', end, { expected: 'a further member or the end', found: 'other bytes' })
  }
}

import type { ByteReader } from './byte-reader.ts'
import { crc32c } from './crc32c.ts'
import { frameCorrupt, frameUnreadable, hex, readExactly, skipExactly } from './faults.ts'
import type { DecompressSettings } from './limits.ts'
import { decodeSnappyBlock } from './snappy-block.ts'

const FORMAT = 'snappy'
const COMPRESSED = 0x00
const UNCOMPRESSED = 0x01
const FIRST_SKIPPABLE = 0x80
const STREAM_IDENTIFIER = 0xff
const IDENTIFIER = Buffer.from('sNaPpY')
/** Uncompressed bytes of a chunk. */
const CHUNK_BYTES = 65536

/**
 * The content of the Snappy framing format (github.com/google/snappy, framing_format.txt): what the 0.4 development
 * head writes for SNAPPY, by Rust's snap::write::FrameEncoder. Bare Snappy blocks without framing are not read.
 */
export async function* decompressSnappy(reader: ByteReader, settings: DecompressSettings): AsyncGenerator<Buffer> {
  let identified = false
  while (!(await reader.atEnd())) {
    const offset = reader.position
    const header = await readExactly(reader, 4, FORMAT, 'a chunk header')
    const type = header.readUInt8()
    const length = header.readUIntLE(1, 3)
    if (type === STREAM_IDENTIFIER) {
      await checkIdentifier(reader, length, offset)
      identified = true
      continue
    }
    if (!identified) throw frameCorrupt(FORMAT, offset, { expected: 'the stream identifier', found: hex(header) })
    if (type === COMPRESSED || type === UNCOMPRESSED) yield await readChunk(reader, type, length, offset)
    else if (type >= FIRST_SKIPPABLE) await skipExactly(reader, length, FORMAT, 'a skippable chunk')
    else throw frameCorrupt(FORMAT, offset, { expected: 'a known chunk type', found: `type ${type}` })
    settings.onFrame({ offset, storedBytes: reader.position - offset })
  }
}

async function checkIdentifier(reader: ByteReader, length: number, offset: number): Promise<void> {
  const identifier = await readExactly(reader, Math.min(length, IDENTIFIER.length), FORMAT, 'the stream identifier')
  if (length === IDENTIFIER.length && identifier.equals(IDENTIFIER)) return
  throw frameCorrupt(FORMAT, offset, { expected: 'the stream identifier sNaPpY', found: hex(identifier) })
}

async function readChunk(reader: ByteReader, type: number, length: number, offset: number): Promise<Buffer> {
  // A compressed chunk can be larger than its content: 4 bytes of checksum, and literals with their tags.
  const limit = 4 + (type === UNCOMPRESSED ? CHUNK_BYTES : 32 + CHUNK_BYTES + CHUNK_BYTES / 6)
  if (length < 4 || length > limit) {
    throw frameCorrupt(FORMAT, offset, { expected: 'a chunk of 4 bytes to 64 KiB', found: `${length} bytes` })
  }
  const chunk = await readExactly(reader, length, FORMAT, 'a chunk')
  const content = type === UNCOMPRESSED ? chunk.subarray(4) : decode(chunk.subarray(4), offset)
  const stored = chunk.readUInt32LE()
  const computed = mask(crc32c(content))
  if (stored === computed) return content
  throw frameCorrupt(FORMAT, offset, {
    expected: `chunk checksum 0x${computed.toString(16)}`,
    found: `0x${stored.toString(16)}`,
  })
}

function decode(block: Buffer, offset: number): Buffer {
  try {
    return decodeSnappyBlock(block, CHUNK_BYTES)
  } catch (error) {
    throw frameUnreadable(FORMAT, offset, error)
  }
}

/** The framing stores checksums masked, so that a checksum of data with checksums in it stays a good one. */
function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

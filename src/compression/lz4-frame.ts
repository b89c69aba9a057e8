import type { ByteReader } from './byte-reader.ts'
import { frameCorrupt, hex, readExactly } from './faults.ts'
import { xxh32 } from './xxh32.ts'
import { isSkippableMagic, skipFrame } from './zstd-frame.ts'

const FORMAT = 'LZ4'
const MAGIC = 0x184d2204
const UNCOMPRESSED_BIT = 0x80000000

/** The frame descriptor of the LZ4 frame format 1.6 (github.com/lz4/lz4, doc/lz4_Frame_format.md). */
export interface LZ4FrameHeader {
  /** File offset of the magic number. */
  readonly offset: number
  /** Blocks do not refer to those before them. */
  readonly independent: boolean
  readonly blockChecksums: boolean
  readonly contentChecksum: boolean
  readonly contentSize: bigint | undefined
  /** No block is larger, stored or decompressed. Bytes. */
  readonly blockMax: number
}

export interface LZ4Block {
  readonly offset: number
  readonly compressed: boolean
  readonly stored: Buffer
}

/** Reads a frame's header; undefined when it was a skippable frame, which is passed over then. */
export async function readLZ4Header(reader: ByteReader): Promise<LZ4FrameHeader | undefined> {
  const offset = reader.position
  const magicBytes = await readExactly(reader, 4, FORMAT, 'the magic number')
  const magic = magicBytes.readUInt32LE()
  if (isSkippableMagic(magic)) {
    await skipFrame(reader, FORMAT)
    return undefined
  }
  if (magic !== MAGIC) throw frameCorrupt(FORMAT, offset, { expected: 'a frame (0x04224d18)', found: hex(magicBytes) })
  const fixed = await readExactly(reader, 2, FORMAT, 'the frame header')
  const flags = fixed.readUInt8(0)
  const blockCode = (fixed.readUInt8(1) >> 4) & 7
  if (flags >> 6 !== 1 || (flags & 0x03) !== 0 || (fixed.readUInt8(1) & 0x8f) !== 0 || blockCode < 4) {
    throw frameCorrupt(FORMAT, offset, { expected: 'a version 01 frame without dictionary', found: hex(fixed) })
  }
  const hasSize = (flags & 0x08) !== 0
  const size = await readExactly(reader, hasSize ? 8 : 0, FORMAT, 'the frame header')
  await checkHeaderChecksum(reader, Buffer.concat([fixed, size]))
  return {
    offset,
    independent: (flags & 0x20) !== 0,
    blockChecksums: (flags & 0x10) !== 0,
    contentChecksum: (flags & 0x04) !== 0,
    contentSize: hasSize ? size.readBigUInt64LE() : undefined,
    blockMax: 2 ** (8 + 2 * blockCode),
  }
}

async function checkHeaderChecksum(reader: ByteReader, descriptor: Buffer): Promise<void> {
  const offset = reader.position
  const stored = (await readExactly(reader, 1, FORMAT, 'the frame header')).readUInt8()
  const computed = (xxh32(descriptor) >>> 8) & 0xff
  if (stored !== computed) {
    throw frameCorrupt(FORMAT, offset, { expected: `header checksum ${computed}`, found: String(stored) })
  }
}

/** The frame's next block; undefined at its end mark. */
export async function readLZ4Block(reader: ByteReader, header: LZ4FrameHeader): Promise<LZ4Block | undefined> {
  const offset = reader.position
  const field = (await readExactly(reader, 4, FORMAT, 'a block size')).readUInt32LE()
  if (field === 0) return undefined
  const compressed = (field & UNCOMPRESSED_BIT) === 0
  const size = field & ~UNCOMPRESSED_BIT
  if (size > header.blockMax) {
    throw frameCorrupt(FORMAT, offset, { expected: `${header.blockMax} bytes at most`, found: `a block of ${size}` })
  }
  const stored = await readExactly(reader, size, FORMAT, 'a block')
  if (header.blockChecksums) await checkContent(reader, 'block', xxh32(stored))
  return { offset, compressed, stored }
}

/** Compares a checksum of the file with the computed one. @throws PGPACK_FRAME_CORRUPT */
export async function checkContent(reader: ByteReader, of: 'block' | 'content', computed: number): Promise<void> {
  const offset = reader.position
  const stored = (await readExactly(reader, 4, FORMAT, `the ${of} checksum`)).readUInt32LE()
  if (stored === computed) return
  throw frameCorrupt(FORMAT, offset, {
    expected: `${of} checksum 0x${computed.toString(16)}`,
    found: `0x${stored.toString(16)}`,
  })
}

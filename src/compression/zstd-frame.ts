import { PgpackError } from '../errors.ts'
import type { ByteReader } from './byte-reader.ts'
import { frameCorrupt, hex, readExactly, skipExactly } from './faults.ts'

const FORMAT = 'zstd'
const MAGIC = 0xfd2fb528
const BLOCK_RAW = 0
const BLOCK_RLE = 1
const BLOCK_RESERVED = 3
const MAX_BLOCK_BYTES = 128 * 1024

/** True for the magic numbers of a frame that decoders skip: zstd and LZ4 share them (RFC 8878, section 3.1.2). */
export function isSkippableMagic(magic: number): boolean {
  return magic >>> 4 === 0x184d2a5
}

/** Passes over a skippable frame whose magic was read. @throws PGPACK_TRUNCATED */
export async function skipFrame(reader: ByteReader, format: string): Promise<void> {
  const size = await readExactly(reader, 4, format, 'a skippable frame')
  await skipExactly(reader, size.readUInt32LE(), format, 'a skippable frame')
}

/**
 * Walks over one zstd frame by its header and block headers (RFC 8878, section 3.1.1), so that its end and an upper
 * limit of its decompressed length are known without decompressing.
 */
export class ZstdFrameWalker {
  /** File offset of the magic number. */
  readonly offset: number
  /** Bytes that the decoder must remember. */
  readonly window: number
  readonly #reader: ByteReader
  readonly #hasChecksum: boolean
  #rawBound = 0
  #ended = false

  private constructor(reader: ByteReader, offset: number, window: number, hasChecksum: boolean) {
    this.#reader = reader
    this.offset = offset
    this.window = window
    this.#hasChecksum = hasChecksum
  }

  /** Reads the frame's header; undefined when it was a skippable frame, which is passed over then. */
  static async open(reader: ByteReader, windowLog: number): Promise<ZstdFrameWalker | undefined> {
    const offset = reader.position
    const magicBytes = await readExactly(reader, 4, FORMAT, 'the magic number')
    const magic = magicBytes.readUInt32LE()
    if (isSkippableMagic(magic)) {
      await skipFrame(reader, FORMAT)
      return undefined
    }
    if (magic !== MAGIC)
      throw frameCorrupt(FORMAT, offset, { expected: 'a frame (0x28b52ffd)', found: hex(magicBytes) })
    const { window, hasChecksum } = await readHeader(reader)
    checkWindow(window, windowLog, offset)
    return new ZstdFrameWalker(reader, offset, window, hasChecksum)
  }

  /** The blocks seen so far decompress to this many bytes at most. */
  get rawBound(): number {
    return this.#rawBound
  }

  /** True when the frame's last byte was passed. */
  get ended(): boolean {
    return this.#ended
  }

  /** Passes over the next block, and over the checksum behind the last one. */
  async next(): Promise<void> {
    const offset = this.#reader.position
    const header = (await readExactly(this.#reader, 3, FORMAT, 'a block header')).readUIntLE(0, 3)
    const type = (header >> 1) & 3
    const size = header >> 3
    const blockMax = Math.min(this.window, MAX_BLOCK_BYTES)
    if (type === BLOCK_RESERVED) throw frameCorrupt(FORMAT, offset, { expected: 'block type 0 to 2', found: '3' })
    if (size > blockMax) {
      throw frameCorrupt(FORMAT, offset, { expected: `a block of ${blockMax} bytes at most`, found: `${size} bytes` })
    }
    this.#rawBound += type === BLOCK_RAW || type === BLOCK_RLE ? size : blockMax
    await skipExactly(this.#reader, type === BLOCK_RLE ? 1 : size, FORMAT, 'a block')
    if ((header & 1) === 0) return
    if (this.#hasChecksum) await skipExactly(this.#reader, 4, FORMAT, 'the content checksum')
    this.#ended = true
  }
}

async function readHeader(reader: ByteReader): Promise<{ window: number; hasChecksum: boolean }> {
  const offset = reader.position
  const descriptor = (await readExactly(reader, 1, FORMAT, 'the frame header')).readUInt8()
  if ((descriptor & 0x08) !== 0) {
    throw frameCorrupt(FORMAT, offset, { expected: 'reserved bit 3 clear', found: `descriptor ${descriptor}` })
  }
  const isSingleSegment = (descriptor & 0x20) !== 0
  const window = isSingleSegment
    ? 0
    : decodeWindow((await readExactly(reader, 1, FORMAT, 'the frame header')).readUInt8())
  const dictionary = await readExactly(reader, [0, 1, 2, 4][descriptor & 3] ?? 0, FORMAT, 'the frame header')
  if (dictionary.some((byte) => byte !== 0)) {
    throw frameCorrupt(FORMAT, offset, { expected: 'no dictionary', found: `dictionary id ${hex(dictionary)}` })
  }
  const contentSize = await readContentSize(reader, descriptor >> 6, isSingleSegment)
  return { window: isSingleSegment ? contentSize : window, hasChecksum: (descriptor & 0x04) !== 0 }
}

async function readContentSize(reader: ByteReader, flag: number, isSingleSegment: boolean): Promise<number> {
  const length = flag === 0 ? Number(isSingleSegment) : 1 << flag
  const bytes = await readExactly(reader, length, FORMAT, 'the frame header')
  if (length === 0) return 0
  if (length === 8) return Number(bytes.readBigUInt64LE())
  return bytes.readUIntLE(0, length) + (length === 2 ? 256 : 0)
}

function decodeWindow(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

function checkWindow(window: number, windowLog: number, offset: number): void {
  const limit = 2 ** windowLog
  if (window <= limit) return
  throw new PgpackError(
    'PGPACK_LIMIT',
    `the zstd frame at byte ${offset} needs a window of ${window} bytes, the limit is ${limit}; compress it anew with a smaller window, or raise the limit`,
    { offset, expected: `${limit} bytes at most`, found: `${window} bytes` },
  )
}

import type { ByteReader } from './byte-reader.ts'
import { frameCorrupt, frameUnreadable } from './faults.ts'
import type { DecompressSettings } from './limits.ts'
import { lz4BlockLength } from './lz4-block.ts'
import { checkContent, type LZ4Block, type LZ4FrameHeader, readLZ4Block, readLZ4Header } from './lz4-frame.ts'
import { lz4 } from './lz4-package.ts'
import { XXH32 } from './xxh32.ts'

/** How far back a block can refer (LZ4 block format). */
const HISTORY_BYTES = 64 * 1024
const NO_HISTORY: Buffer = Buffer.alloc(0)

/**
 * The content of a sequence of LZ4 frames. The package's own frame decoder is not used: it returns the first of
 * several frames and takes a frame without its end mark, both silently. Its block decoder is, block by block, and in
 * this thread: on the thread pool the package's allocator keeps 400 MB for itself and the work is not faster.
 */
export async function* decompressLZ4(reader: ByteReader, settings: DecompressSettings): AsyncGenerator<Buffer> {
  while (!(await reader.atEnd())) {
    const header = await readLZ4Header(reader)
    if (header === undefined) continue
    yield* decompressFrame(reader, header)
    settings.onFrame({ offset: header.offset, storedBytes: reader.position - header.offset })
  }
}

async function* decompressFrame(reader: ByteReader, header: LZ4FrameHeader): AsyncGenerator<Buffer> {
  const content = new ContentCheck(header)
  let history = NO_HISTORY
  for (;;) {
    const block = await readLZ4Block(reader, header)
    if (block === undefined) break
    const output = decode(block, header.blockMax, history)
    if (!header.independent) history = remember(history, output)
    content.add(output)
    yield output
  }
  await content.check(reader)
}

function decode(block: LZ4Block, blockMax: number, history: Buffer): Buffer {
  if (!block.compressed) return block.stored
  const length = lz4BlockLength(block.stored)
  if (length > blockMax) {
    throw frameCorrupt('LZ4', block.offset, { expected: `${blockMax} bytes at most`, found: `a block of ${length}` })
  }
  // The package's decoder takes the length of its output in front of the block.
  const prefixed = Buffer.allocUnsafe(4 + block.stored.length)
  prefixed.writeUInt32LE(length)
  block.stored.copy(prefixed, 4)
  try {
    return lz4().uncompressSync(prefixed, history.length === 0 ? undefined : history)
  } catch (error) {
    throw frameUnreadable('LZ4', block.offset, error)
  }
}

/** A copy of the last 64 KiB before the next block: who takes the latest one may write over it. */
function remember(history: Buffer, latest: Buffer): Buffer {
  const older = latest.length >= HISTORY_BYTES ? NO_HISTORY : history
  return Buffer.concat([older, latest.subarray(-HISTORY_BYTES)]).subarray(-HISTORY_BYTES)
}

/** Length and checksum of a frame's whole content, against what its header and its end say, if they do. */
class ContentCheck {
  readonly #header: LZ4FrameHeader
  readonly #hash: XXH32 | undefined
  #length = 0n

  constructor(header: LZ4FrameHeader) {
    this.#header = header
    this.#hash = header.contentChecksum ? new XXH32() : undefined
  }

  add(bytes: Buffer): void {
    this.#hash?.update(bytes)
    this.#length += BigInt(bytes.length)
  }

  async check(reader: ByteReader): Promise<void> {
    const { offset, contentSize } = this.#header
    if (contentSize !== undefined && contentSize !== this.#length) {
      throw frameCorrupt('LZ4', offset, { expected: `${contentSize} bytes of content`, found: `${this.#length}` })
    }
    if (this.#hash !== undefined) await checkContent(reader, 'content', this.#hash.digest())
  }
}

import { createHash } from 'node:crypto'
import { Compressor } from '../compression/compress.ts'
import type { CompressionOptions } from '../compression/method.ts'
import { OrderedQueue } from '../compression/ordered-queue.ts'
import { giveBack } from '../memory.ts'
import type { PGPackSink } from '../pgpack/writer.ts'

/** What COPY itself writes, as it lies in the store. */
export interface FormatSummary {
  readonly rawBytes: bigint
  readonly fileBytes: bigint
  /** Hex, of the whole file. */
  readonly sha256: string
}

/** Compressions at the same time, as in a PGPack file. */
const IN_FLIGHT = 4
/** What may wait to be written while more is taken: rows can be hundreds of megabytes long. */
const MAX_UNWRITTEN_BYTES = 16 * 1024 * 1024

interface Frame {
  readonly bytes: Buffer
  /** Bytes that it had before compression. */
  readonly size: number
  readonly release: (() => void) | undefined
}

/**
 * Writes what COPY sends as it is, or compressed: each piece becomes one frame, and frames follow one another in the
 * order of the calls, which `zstd -d` and `lz4 -d` read as one file. `write` may be called by several producers at once.
 */
export class FormatWriter {
  readonly #sink: PGPackSink
  readonly #compressor: Compressor
  readonly #compressed: boolean
  readonly #frames = new OrderedQueue<Frame>()
  readonly #hash = createHash('sha256')
  /** Whoever drains the queue; the next one waits for its turn. */
  #draining: Promise<void> = Promise.resolve()
  #rawBytes = 0
  #storedBytes = 0
  #unwrittenBytes = 0

  /** @throws PgpackError CONFIG_INVALID for a level that the method does not have */
  constructor(sink: PGPackSink, compression: CompressionOptions) {
    this.#sink = sink
    this.#compressor = new Compressor(compression, IN_FLIGHT)
    this.#compressed = compression.method !== 'None'
  }

  /** Bytes that the sink has taken so far. */
  get storedBytes(): number {
    return this.#storedBytes
  }

  /**
   * Takes a piece that ends on a row boundary; resolves when more are welcome.
   * @param release called when nobody looks at `data` any more.
   * @throws PgpackError of the sink
   */
  async write(data: Buffer, release?: () => void): Promise<void> {
    this.#rawBytes += data.length
    this.#unwrittenBytes += data.length
    this.#frames.add(this.#compress(data, release))
    await this.#drain(this.#mayWait())
  }

  /** Frames that may wait for later calls. None of those that are lent to us: the COPY may send nothing until they are released. */
  #mayWait(): number {
    return this.#compressed && this.#unwrittenBytes <= MAX_UNWRITTEN_BYTES ? IN_FLIGHT : 0
  }

  /** Writes what is left and completes the sink. */
  async finish(): Promise<FormatSummary> {
    await this.#drain(0)
    // No row at all: an empty frame, for a file without any is no file of the method.
    if (this.#compressed && this.#storedBytes === 0) {
      await this.#put({ bytes: await this.#empty(), size: 0, release: undefined })
    }
    await this.#sink.complete()
    return {
      rawBytes: BigInt(this.#rawBytes),
      fileBytes: BigInt(this.#storedBytes),
      sha256: this.#hash.digest('hex'),
    }
  }

  async #compress(data: Buffer, release: (() => void) | undefined): Promise<Frame> {
    const size = data.length
    const bytes = await this.#compressor.compress(data)
    if (!this.#compressed) return { bytes, size, release }
    release?.()
    return { bytes, size, release: () => giveBack(bytes) }
  }

  #empty(): Promise<Buffer> {
    return this.#compressor.compress(Buffer.alloc(0))
  }

  /** One drain at a time: the sink takes the frames in the order in which they were added. */
  async #drain(limit: number): Promise<void> {
    const before = this.#draining
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#draining = promise
    await before
    try {
      for await (const frame of this.#frames.takeDownTo(limit)) await this.#put(frame)
    } finally {
      resolve()
    }
  }

  async #put({ bytes, size, release }: Frame): Promise<void> {
    this.#storedBytes += bytes.length
    this.#unwrittenBytes -= size
    this.#hash.update(bytes)
    await this.#sink.write(bytes)
    release?.()
  }
}

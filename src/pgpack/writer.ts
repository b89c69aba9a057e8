import { createHash } from 'node:crypto'
import { checkCompression, compress } from '../compression/compress.ts'
import type { CompressionOptions } from '../compression/method.ts'
import { PgpackError, toPgpackError } from '../errors.ts'
import type { Layout, MetadataSpelling, PGPackColumn } from './columns.ts'
import { type FrameIndex, FrameIndexBuilder } from './frame-index.ts'
import { encodeHeader, encodeLengths } from './header.ts'
import { encodeMetadata } from './metadata.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from './pgcopy.ts'

/**
 * Where a file goes. A store's upload fits: in the header layout it must leave room for `headLength` bytes at its
 * start, which `complete(head)` fills.
 */
export interface PGPackSink {
  /** Takes the next bytes; resolves when more are welcome. The chunk belongs to the sink from here on. */
  write(chunk: Buffer): Promise<void>
  complete(head?: Buffer): Promise<unknown>
  abort(): Promise<void>
}

export interface PGPackWriterOptions {
  readonly columns: readonly PGPackColumn[]
  readonly compression: CompressionOptions
  /** Compressions at the same time on the thread pool; 4 when not given. */
  readonly inFlight?: number
  /** `header` when not given. */
  readonly layout?: Layout
  /** `released` when not given: what the released reference reads. */
  readonly spelling?: MetadataSpelling
}

export interface PGPackSummary {
  readonly rows: bigint
  /** Bytes of the raw body, PGCOPY header and trailer included. */
  readonly rawBytes: bigint
  /** Bytes of the body as it is stored. */
  readonly storedBytes: bigint
  /** Bytes of the whole file. */
  readonly fileBytes: bigint
  readonly frames: FrameIndex
  /** Hex. The head is hashed apart because its lengths are known last; it is the file's first `bodyOffset` bytes. */
  readonly headSHA256: string
  /** Hex, of the body as it is stored. */
  readonly bodySHA256: string
  readonly bodyOffset: number
}

interface Chunk {
  readonly parts: readonly Buffer[]
  readonly rows: number
}

/**
 * The reference cannot load a file whose first frame ends at byte 19, 20 or 21 of the raw body: it asks for the header
 * and the first field count, and takes the frame's end for the body's. Only a body without rows is that short.
 */
const MIN_FIRST_FRAME_BYTES = 22

/**
 * Writes a PGPack file: each call of `writeRows` becomes one frame. The newest chunk is held back until it is known
 * whether the trailer belongs to it. `writeRows` may be called by several producers at once; frames then follow one
 * another in the order of the calls.
 */
export class PGPackWriter {
  readonly #sink: PGPackSink
  readonly #compression: CompressionOptions
  readonly #layout: Layout
  readonly #inFlight: number
  readonly #metadata: Buffer
  readonly #bodyHash = createHash('sha256')
  readonly #index = new FrameIndexBuilder()
  /** One for each frame that is not yet with the sink, oldest first. They never reject: `#error` tells. */
  readonly #unwritten: Promise<void>[] = []
  #tail: Promise<void> = Promise.resolve()
  #held: Chunk = { parts: [PGCOPY_HEADER], rows: 0 }
  #rows = 0
  #rawBytes = 0
  #storedBytes = 0
  #error: PgpackError | undefined
  #finished = false

  /** @throws CONFIG_INVALID for a level that the method does not have */
  constructor(sink: PGPackSink, options: PGPackWriterOptions) {
    checkCompression(options.compression)
    this.#sink = sink
    this.#compression = options.compression
    this.#layout = options.layout ?? 'header'
    this.#inFlight = options.inFlight ?? 4
    this.#metadata = encodeMetadata(options.columns, options.spelling ?? 'released')
    if (this.#layout === 'stream') this.#enqueue(Promise.resolve(this.#head()))
  }

  /** Bytes before the body: what the sink of a header layout must leave room for. */
  static headLength({ columns, spelling = 'released' }: Pick<PGPackWriterOptions, 'columns' | 'spelling'>): number {
    return encodeHeader(encodeMetadata(columns, spelling), 'None', undefined).length
  }

  /** Bytes of the raw body taken so far. */
  get rawBytes(): number {
    return this.#rawBytes + lengthOf(this.#held)
  }

  /** Bytes of the body that the sink has taken so far. */
  get storedBytes(): number {
    return this.#storedBytes
  }

  /**
   * Takes `rowCount` whole tuples of binary COPY, without PGCOPY header and trailer; resolves when more are welcome.
   * The buffer belongs to the writer from here on.
   * @throws PgpackError of the sink, or INTERNAL; every later call throws the same
   */
  async writeRows(rows: Buffer, rowCount: number): Promise<void> {
    while (this.#unwritten.length >= this.#inFlight) await this.#unwritten[0]
    this.#checkOpen()
    if (lengthOf(this.#held) >= MIN_FIRST_FRAME_BYTES) {
      this.#emit(this.#held)
      this.#held = { parts: [rows], rows: rowCount }
    } else {
      this.#held = { parts: [...this.#held.parts, rows], rows: this.#held.rows + rowCount }
    }
  }

  /** Writes what is left, completes the sink, and says what was written. */
  async finish(): Promise<PGPackSummary> {
    this.#checkOpen()
    this.#finished = true
    this.#emit({ parts: [...this.#held.parts, PGCOPY_TRAILER], rows: this.#held.rows })
    this.#held = { parts: [], rows: 0 }
    await this.#tail
    this.#checkError()
    return await this.#complete()
  }

  /** Ends without a file. Safe at any time; a no-op after `finish` has succeeded, if it is one for the sink. */
  async abort(): Promise<void> {
    this.#error ??= new PgpackError('CANCELLED', 'the writing of the file was aborted')
    await this.#sink.abort()
  }

  async #complete(): Promise<PGPackSummary> {
    const head = this.#head()
    const tail = this.#layout === 'stream' ? encodeLengths(this.#lengths()) : undefined
    if (tail === undefined) await this.#sink.complete(head)
    else {
      await this.#sink.write(tail)
      await this.#sink.complete()
    }
    return {
      rows: BigInt(this.#rows),
      rawBytes: BigInt(this.#rawBytes),
      storedBytes: BigInt(this.#storedBytes),
      fileBytes: BigInt(head.length + this.#storedBytes + (tail?.length ?? 0)),
      frames: this.#index.build(),
      headSHA256: createHash('sha256').update(head).digest('hex'),
      bodySHA256: this.#bodyHash.digest('hex'),
      bodyOffset: head.length,
    }
  }

  #head(): Buffer {
    const lengths = this.#layout === 'header' ? this.#lengths() : undefined
    return encodeHeader(this.#metadata, this.#compression.method, lengths)
  }

  #lengths(): { stored: bigint; raw: bigint } {
    return { stored: BigInt(this.#storedBytes), raw: BigInt(this.#rawBytes) }
  }

  /** Starts a frame's compression now, and its writing after that of all before it. */
  #emit(chunk: Chunk): void {
    const raw = chunk.parts.length === 1 && chunk.parts[0] !== undefined ? chunk.parts[0] : Buffer.concat(chunk.parts)
    const before = { rows: this.#rows, rawBytes: this.#rawBytes }
    this.#rows += chunk.rows
    this.#rawBytes += raw.length
    this.#enqueue(compress(raw, this.#compression), (stored) => {
      this.#index.add([this.#storedBytes, before.rows, before.rawBytes])
      this.#storedBytes += stored.length
      this.#bodyHash.update(stored)
    })
  }

  /** Lets the sink have `bytes` when they are there and all that was enqueued before is with the sink. */
  #enqueue(bytes: Promise<Buffer>, account?: (stored: Buffer) => void): void {
    const done = this.#append(bytes, this.#tail, account).finally(() => {
      this.#unwritten.splice(this.#unwritten.indexOf(done), 1)
    })
    this.#unwritten.push(done)
    this.#tail = done
  }

  async #append(bytes: Promise<Buffer>, previous: Promise<void>, account?: (stored: Buffer) => void): Promise<void> {
    try {
      const [stored] = await Promise.all([bytes, previous])
      if (this.#error !== undefined) return
      account?.(stored)
      await this.#sink.write(stored)
    } catch (error) {
      this.#error ??= toPgpackError(error)
    }
  }

  #checkOpen(): void {
    this.#checkError()
    if (this.#finished) throw new PgpackError('INTERNAL', 'the file is finished already', { retryable: false })
  }

  #checkError(): void {
    if (this.#error !== undefined) throw this.#error
  }
}

function lengthOf(chunk: Chunk): number {
  return chunk.parts.reduce((sum, part) => sum + part.length, 0)
}

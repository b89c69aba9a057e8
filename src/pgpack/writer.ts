import { createHash } from 'node:crypto'
import { Compressor } from '../compression/compress.ts'
import type { CompressionOptions, WritableMethod } from '../compression/method.ts'
import { PgpackError, toPgpackError } from '../errors.ts'
import { giveBack } from '../memory.ts'
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
  /** Takes the next bytes; resolves when more are welcome, and the sink does not look at the chunk any more. */
  write(chunk: Buffer): Promise<void>
  complete(head?: Buffer): Promise<unknown>
  abort(): Promise<void>
}

export interface PGPackWriterOptions {
  readonly columns: readonly PGPackColumn[]
  readonly compression: CompressionOptions
  /** Compressions at the same time on the thread pool, and as many that wait for the sink; 4 when not given. */
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
  /** Called when the parts are not looked at any more. */
  readonly release: (() => void) | undefined
}

/** What is to be written when all before it is. */
interface Piece {
  readonly bytes: Promise<Buffer>
  /** Bytes of memory that it takes until then, about. */
  readonly size: number
  readonly account?: (stored: Buffer) => void
  /** Called when the bytes are with the sink. */
  readonly release?: (() => void) | undefined
}

/** What may wait to be compressed and written, but for one chunk: rows can be hundreds of megabytes long. */
const MAX_UNWRITTEN_BYTES = 16 * 1024 * 1024

/** A larger chunk is not held back: the trailer gets a frame of its own then. Below what a COPY may have lent us. */
const MAX_HELD_BYTES = 8 * 1024 * 1024

const NOTHING_HELD: Chunk = { parts: [], rows: 0, release: undefined }

/**
 * The reference cannot load a file whose first frame ends at byte 19, 20 or 21 of the raw body: it asks for the header
 * and the first field count, and takes the frame's end for the body's. Only a body without rows is that short.
 */
const MIN_FIRST_FRAME_BYTES = 22

/**
 * Writes a PGPack file: each call of `writeRows` becomes one frame. The newest chunk is held back, unless it is large,
 * until it is known whether the trailer belongs to it. `writeRows` may be called by several producers at once; frames
 * then follow one another in the order of the calls.
 */
export class PGPackWriter {
  readonly #sink: PGPackSink
  readonly #method: WritableMethod
  readonly #compressor: Compressor
  readonly #layout: Layout
  readonly #inFlight: number
  readonly #metadata: Buffer
  readonly #bodyHash = createHash('sha256')
  readonly #index = new FrameIndexBuilder()
  /** One for each frame that is not yet with the sink, oldest first. They never reject: `#error` tells. */
  readonly #unwritten: Promise<void>[] = []
  #unwrittenBytes = 0
  /** Resolved, and replaced, whenever there may be room again. */
  #roomier = Promise.withResolvers<void>()
  #tail: Promise<void> = Promise.resolve()
  #held: Chunk = { parts: [PGCOPY_HEADER], rows: 0, release: undefined }
  #rows = 0
  #rawBytes = 0
  #storedBytes = 0
  #error: PgpackError | undefined
  #finished = false

  /** @throws CONFIG_INVALID for a level that the method does not have */
  constructor(sink: PGPackSink, options: PGPackWriterOptions) {
    this.#sink = sink
    this.#layout = options.layout ?? 'header'
    this.#inFlight = options.inFlight ?? 4
    this.#method = options.compression.method
    this.#compressor = new Compressor(options.compression, this.#inFlight)
    this.#metadata = encodeMetadata(options.columns, options.spelling ?? 'released')
    if (this.#layout === 'stream') this.#enqueue({ bytes: Promise.resolve(this.#head()), size: 0 })
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
   * The buffer belongs to the writer until it calls `release`.
   * @throws PgpackError of the sink, or INTERNAL; every later call throws the same
   */
  async writeRows(rows: Buffer, rowCount: number, release?: () => void): Promise<void> {
    while (!this.#hasRoom()) await this.#roomier.promise
    this.#checkOpen()
    if (lengthOf(this.#held) >= MIN_FIRST_FRAME_BYTES) this.#emitHeld()
    if (this.#held === NOTHING_HELD) this.#held = { parts: [rows], rows: rowCount, release }
    else {
      const joined = Buffer.concat([...this.#held.parts, rows])
      this.#held = { parts: [joined], rows: this.#held.rows + rowCount, release: undefined }
      release?.()
    }
    if (lengthOf(this.#held) > MAX_HELD_BYTES) this.#emitHeld()
  }

  #emitHeld(): void {
    this.#emit(this.#held)
    this.#held = NOTHING_HELD
  }

  /**
   * Whether the chunk that is held back may join what is being compressed. As many again may wait, compressed, for the
   * sink: the thread pool would stand idle while each frame is hashed and written.
   */
  #hasRoom(): boolean {
    const count = this.#unwritten.length
    if (count === 0) return true
    const most = this.#method === 'None' ? this.#inFlight : 2 * this.#inFlight
    const mayJoin = this.#compressor.running < this.#inFlight && count < most
    return mayJoin && this.#unwrittenBytes + lengthOf(this.#held) <= MAX_UNWRITTEN_BYTES
  }

  #tellRoom(): void {
    this.#roomier.resolve()
    this.#roomier = Promise.withResolvers<void>()
  }

  /** Writes what is left, completes the sink, and says what was written. */
  async finish(): Promise<PGPackSummary> {
    this.#checkOpen()
    this.#finished = true
    this.#held = { ...this.#held, parts: [...this.#held.parts, PGCOPY_TRAILER] }
    this.#emitHeld()
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
    return encodeHeader(this.#metadata, this.#method, lengths)
  }

  #lengths(): { stored: bigint; raw: bigint } {
    return { stored: BigInt(this.#storedBytes), raw: BigInt(this.#rawBytes) }
  }

  /** Starts a frame's compression now, and its writing after that of all before it. */
  #emit({ parts, rows, release }: Chunk): void {
    const raw = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
    const before = { rows: this.#rows, rawBytes: this.#rawBytes }
    this.#rows += rows
    this.#rawBytes += raw.length
    const account = (stored: Buffer) => {
      this.#index.add([this.#storedBytes, before.rows, before.rawBytes])
      this.#storedBytes += stored.length
      this.#bodyHash.update(stored)
    }
    const bytes = this.#compressor.compress(raw)
    const size = raw.length
    const compressed = () => {
      release?.()
      this.#tellRoom()
    }
    if (this.#method === 'None') this.#enqueue({ bytes, size, account, release })
    else this.#enqueue({ bytes: bytes.finally(compressed), size, account })
  }

  /** Lets the sink have a piece when its bytes are there and all that was enqueued before is with the sink. */
  #enqueue(piece: Piece): void {
    this.#unwrittenBytes += piece.size
    const done = this.#append(piece, this.#tail).finally(() => {
      this.#unwrittenBytes -= piece.size
      this.#unwritten.splice(this.#unwritten.indexOf(done), 1)
      this.#tellRoom()
    })
    this.#unwritten.push(done)
    this.#tail = done
  }

  async #append({ bytes, account, release }: Piece, previous: Promise<void>): Promise<void> {
    try {
      const [stored] = await Promise.all([bytes, previous])
      if (this.#error !== undefined) return
      account?.(stored)
      await this.#sink.write(stored)
      // Without compression they are the caller's own bytes, and `release` says that they are done with.
      if (this.#method !== 'None') giveBack(stored)
    } catch (error) {
      this.#error ??= toPgpackError(error)
    } finally {
      release?.()
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

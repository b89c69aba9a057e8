import { ByteReader } from '../compression/byte-reader.ts'
import { decompress } from '../compression/decompress.ts'
import type { DecompressOptions, StoredFrame } from '../compression/limits.ts'
import type { CompressionMethod } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import { PGCopyChecker } from './checker.ts'
import type { Layout, MetadataSpelling, PGPackColumn } from './columns.ts'
import { checkRawLength, checkStoredLength, type Head, readHead, readHeadAt } from './head.ts'
import { type BodyLengths, decodeLengths, headTruncated, LENGTHS_BYTES } from './header.ts'
import { DEFAULT_LIMITS, type PGPackLimits } from './limits.ts'
import { holdBack, isRandomAccess, type PGPackSource, type RandomAccessSource } from './source.ts'

/** Frames in flight of each part: two parts together have what a whole body has, and the pool's threads are no more. */
const PART_IN_FLIGHT = 2

export interface PGPackReaderOptions {
  readonly limits?: Partial<PGPackLimits>
  /** Frames decompressed at the same time on the thread pool; 4 when not given. */
  readonly inFlight?: number
}

export interface BodyOptions {
  /** Sees the body's bytes as they are stored, in order: for a hash. */
  readonly onStored?: (bytes: Buffer) => void
  readonly onFrame?: (frame: StoredFrame) => void
}

/** A range of whole frames, relative to the body's start, as a frame index gives it. Bytes. */
export interface BodyPart {
  readonly storedOffset: number
  readonly storedLength: number
}

/** What the start of a body tells of its rows. */
export interface RowShape {
  /** Fewer than columns when some are generated; undefined when there is no row. */
  readonly fields: number | undefined
  /** True when each row begins with an OID that its field count leaves out (PostgreSQL before 12, WITH OIDS). */
  readonly hasOids: boolean
}

/**
 * Reads a PGPack file of either layout and spelling, by this project or by the reference. A body is handed out in
 * pieces as it is decompressed; whoever loads it must not commit before the iteration has ended without an error.
 */
export class PGPackReader {
  readonly columns: readonly PGPackColumn[]
  readonly spelling: MetadataSpelling
  readonly method: CompressionMethod
  readonly layout: Layout
  readonly bodyOffset: number
  /** The file's first `bodyOffset` bytes. */
  readonly head: Buffer
  readonly #limits: PGPackLimits
  readonly #inFlight: number
  readonly #input: RandomAccessSource | ByteReader
  readonly #checker: PGCopyChecker
  #lengths: BodyLengths | undefined

  private constructor(head: Head, input: RandomAccessSource | ByteReader, options: Required<PGPackReaderOptions>) {
    this.columns = head.columns
    this.spelling = head.spelling
    this.method = head.method
    this.layout = head.layout
    this.bodyOffset = head.bodyOffset
    this.head = head.bytes
    this.#lengths = head.lengths
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#inFlight = options.inFlight
    this.#input = input
    this.#checker = new PGCopyChecker(head.columns.length)
  }

  /**
   * Reads the head. With random access, the lengths are checked against the file's size here.
   * @throws PgpackError PGPACK_SIGNATURE, PGPACK_METADATA_CRC, PGPACK_METADATA, PGPACK_UNKNOWN_METHOD, PGPACK_TRUNCATED,
   *   PGPACK_TRAILING_DATA, PGPACK_LENGTH_MISMATCH, PGPACK_LIMIT; and what the source throws
   */
  static async open(source: PGPackSource, options: PGPackReaderOptions = {}): Promise<PGPackReader> {
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    const settings = { limits, inFlight: options.inFlight ?? 4 }
    if (isRandomAccess(source)) return new PGPackReader(await readHeadAt(source, limits), source, settings)
    const input = new ByteReader(source)
    try {
      return new PGPackReader(await readHead(input, limits), input, settings)
    } catch (error) {
      await input.close()
      throw error
    }
  }

  /** Bytes of the body as stored; undefined while a stream's lengths at its end are not reached. */
  get storedLength(): bigint | undefined {
    return this.#lengths?.stored
  }

  /** Bytes of the raw body; undefined as `storedLength`. */
  get rawLength(): bigint | undefined {
    return this.#lengths?.raw
  }

  /** Rows handed out so far; all of them when `body()` has ended. */
  get rows(): number {
    return this.#checker.rows
  }

  /** Fields in a row of the body: fewer than columns when some are generated; undefined before the first row. */
  get fields(): number | undefined {
    return this.#checker.fields
  }

  /** True when each row begins with an OID that its field count leaves out (PostgreSQL before 12, WITH OIDS). */
  get hasOids(): boolean {
    return this.#checker.hasOids
  }

  /**
   * Reads the body up to its first row, and lets `body()` begin from the start all the same: for what must be known
   * before a row moves. Needs random access.
   * @throws PgpackError PGPACK_*; and what the source throws
   */
  async peek(): Promise<RowShape> {
    const checker = new PGCopyChecker(this.columns.length)
    const stored = this.#ranged(this.#randomAccess())
    for await (const piece of this.#decompress(stored, this.bodyOffset, { inFlight: 1 })) {
      checker.update(piece)
      if (checker.fields !== undefined) break
    }
    return { fields: checker.fields, hasOids: checker.hasOids }
  }

  /**
   * The raw PGCOPY stream, once. Its structure is walked over as it goes by; at the end both lengths, the trailer and
   * the absence of anything behind it are checked.
   * @throws PgpackError PGPACK_*; and what the source throws
   */
  async *body(options: BodyOptions = {}): AsyncGenerator<Buffer> {
    const { onStored, onFrame } = options
    const settings = onFrame === undefined ? {} : { onFrame }
    let raw = 0
    for await (const piece of this.#decompress(this.#stored(onStored), this.bodyOffset, settings)) {
      if (piece.length === 0) continue
      raw += piece.length
      // Else a small file could go on decompressing for hours.
      if (this.#lengths !== undefined && BigInt(raw) > this.#lengths.raw) checkRawLength(this.#lengths.raw, raw)
      this.#checker.update(piece)
      yield piece
    }
    checkRawLength(this.#lengths?.raw ?? 0n, raw)
    this.#checker.end()
  }

  /**
   * Some whole frames of the body, decompressed but not checked further: for reading parts at the same time. The first
   * part begins with the PGCOPY header, the last ends with the trailer. Needs random access.
   */
  part({ storedOffset, storedLength }: BodyPart): AsyncGenerator<Buffer> {
    const offset = this.bodyOffset + storedOffset
    const source = this.#randomAccess().read({ offset, length: storedLength })
    return this.#decompress(source, offset, { inFlight: Math.min(PART_IN_FLIGHT, this.#inFlight) })
  }

  #randomAccess(): RandomAccessSource {
    if (!(this.#input instanceof ByteReader)) return this.#input
    throw new PgpackError('INTERNAL', 'only a source with random access can be read out of order', { retryable: false })
  }

  #decompress(
    stored: AsyncIterable<Uint8Array>,
    offset: number,
    options: Pick<DecompressOptions, 'inFlight' | 'onFrame'>,
  ): AsyncGenerator<Buffer> {
    return decompress(this.method, stored, { limits: this.#limits, inFlight: this.#inFlight, offset, ...options })
  }

  /** The body as it is stored, its length checked when it has ended. */
  async *#stored(onStored?: (bytes: Buffer) => void): AsyncGenerator<Buffer> {
    let found = 0
    const pieces = this.#input instanceof ByteReader ? this.#sequential(this.#input) : this.#ranged(this.#input)
    for await (const piece of pieces) {
      found += piece.length
      onStored?.(piece)
      yield piece
    }
    if (this.#lengths !== undefined) checkStoredLength(this, this.#lengths, found)
  }

  async *#ranged(source: RandomAccessSource): AsyncGenerator<Buffer> {
    const length = Number(this.#lengths?.stored ?? 0n)
    for await (const { buffer, byteOffset, byteLength } of source.read({ offset: this.bodyOffset, length })) {
      yield Buffer.from(buffer, byteOffset, byteLength)
    }
  }

  async *#sequential(input: ByteReader): AsyncGenerator<Buffer> {
    try {
      if (this.#lengths === undefined) yield* this.#untilTail(input)
      else {
        yield* input.pieces(Number(this.#lengths.stored))
        if (!(await input.atEnd())) {
          checkStoredLength(this, this.#lengths, input.position - this.bodyOffset + 1)
        }
      }
    } finally {
      await input.close()
    }
  }

  async *#untilTail(input: ByteReader): AsyncGenerator<Buffer> {
    const { body, tail } = holdBack(input.pieces(), LENGTHS_BYTES)
    yield* body
    if (tail().length < LENGTHS_BYTES) throw headTruncated(input.position, 'the lengths at the end')
    this.#lengths = decodeLengths(tail())
  }
}

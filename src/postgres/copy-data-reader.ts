import { PgpackError } from '../errors.ts'
import { type CopyResponse, HEADER_BYTES, MESSAGE } from './copy-command.ts'
import { type ReceiveBuffer, type ReceiveBuffers, receiveBuffers } from './receive-buffers.ts'
import type { StripCursor } from './strip.ts'
import { copyHeaderLength, countTuples, endsWithTrailer, TRAILER_BYTES } from './tuples.ts'
import type { CopyChunk } from './types.ts'
import type { ByteTaker } from './wire.ts'

/** What a reader tells of the stream, in its order. */
export interface CopyDataHandler {
  /** CopyOutResponse. */
  response(response: CopyResponse): void
  chunk(chunk: CopyChunk): void
  /** A whole message that the server may send at any time: a notice, a notification, a changed parameter. */
  aside(message: Buffer): void
  /** The data are over: CopyDone, ErrorResponse or whatever came instead, with all that follows it. */
  done(rest: Buffer): void
  /** The stream cannot be read on. */
  fail(error: unknown): void
  wantsMore(): boolean
}

export interface CopyDataOptions {
  readonly chunkSize: number
  readonly maxRowBytes: number
  /** Greenplum puts several rows into one CopyData message; then rows are counted by walking them. */
  readonly manyRowsPerMessage: boolean
}

/** With less room than this a buffer counts as full: the kernel is not asked for crumbs. */
const MIN_READ_BYTES = 65_536
const ASIDES: readonly number[] = [MESSAGE.NoticeResponse, MESSAGE.NotificationResponse, MESSAGE.ParameterStatus]

/**
 * Takes the bytes of a COPY … TO STDOUT and makes chunks of whole rows out of them. Headers are stripped where the bytes
 * lie; only the unfinished message at a buffer's end is copied, into the next one:
 *
 *     [payloads, one behind the other | gap | unfinished message | room]
 *     0                            write   read                  end
 */
export class CopyDataReader implements ByteTaker {
  readonly #handler: CopyDataHandler
  readonly #options: CopyDataOptions
  readonly #minimumRead: number
  readonly #cursor: StripCursor = { read: 0, write: 0, messages: 0, last: 0 }
  readonly #buffers: ReceiveBuffers
  #buffer: ReceiveBuffer
  #end = 0
  #binary = false
  /** Length of the PGCOPY header, while it stands at the start of the chunk in the making. */
  #header: number | undefined
  /** Whether the first message was the header alone, or header and trailer: no row then. */
  #rowlessFirst = false
  /** Whether it was header and trailer. */
  #endedAtOnce = false
  #begun = false
  #over = false

  constructor(handler: CopyDataHandler, options: CopyDataOptions, buffers = receiveBuffers) {
    this.#handler = handler
    this.#options = options
    this.#buffers = buffers
    this.#minimumRead = Math.min(MIN_READ_BYTES, options.chunkSize)
    this.#buffer = buffers.take(options.chunkSize + this.#minimumRead)
  }

  get #bytes(): Buffer {
    return this.#buffer.bytes
  }

  target(): Buffer {
    return this.#bytes.subarray(this.#end)
  }

  taken(length: number): boolean {
    this.#end += length
    try {
      this.#parse()
      if (!this.#over && this.#bytes.length - this.#end < this.#minimumRead) this.#turn()
    } catch (error) {
      this.#over = true
      this.#handler.fail(error)
    }
    return this.#handler.wantsMore()
  }

  #parse(): void {
    const cursor = this.#cursor
    for (;;) {
      if (!this.#begun) this.#meetFirst()
      this.#buffer.strip(cursor, this.#end)
      if (this.#end - cursor.read < HEADER_BYTES) return
      const type = this.#bytes[cursor.read] ?? 0
      const next = cursor.read + this.#messageLength()
      const known = ASIDES.includes(type) || type === MESSAGE.CopyOutResponse
      if (type !== MESSAGE.CopyData && !known) {
        this.#finish()
        return
      }
      if (next > this.#end) return
      const message = this.#bytes.subarray(cursor.read, next)
      if (type === MESSAGE.CopyOutResponse) this.#respond(message)
      else this.#handler.aside(message)
      cursor.read = next
    }
  }

  /** Bytes of the message at the cursor, its header included. */
  #messageLength(): number {
    const { read } = this.#cursor
    const length = this.#buffer.view.getInt32(read + 1)
    if (length < 4) {
      throw new PgpackError('POSTGRES_PROTOCOL', 'the COPY stream holds a message with an impossible length', {
        expected: 'at least 4',
        found: String(length),
      })
    }
    const { maxRowBytes } = this.#options
    if (length - 4 > maxRowBytes) {
      const found = String(length - 4)
      const message = `a row of ${found} bytes is above the limit of ${maxRowBytes} bytes`
      throw new PgpackError('ROW_TOO_LARGE', message, { expected: `at most ${maxRowBytes}`, found })
    }
    return 1 + length
  }

  #respond(message: Buffer): void {
    const view = message.subarray(HEADER_BYTES)
    const columns = view.readInt16BE(1)
    const code = (value: number): 0 | 1 => (value === 0 ? 0 : 1)
    this.#binary = view[0] === 1
    const columnFormats = Array.from({ length: columns }, (_, column) => code(view.readInt16BE(3 + 2 * column)))
    this.#handler.response({ format: code(view[0] ?? 0), columnFormats })
  }

  /** PostgreSQL sends the PGCOPY header in one message with the first row, or with the trailer where there is none. */
  #meetFirst(): void {
    const { read } = this.#cursor
    if (this.#end - read < HEADER_BYTES || this.#bytes[read] !== MESSAGE.CopyData) return
    const next = read + this.#messageLength()
    if (next > this.#end) return
    this.#begun = true
    if (!this.#binary) return
    const payload = this.#bytes.subarray(read + HEADER_BYTES, next)
    this.#header = copyHeaderLength(payload)
    const rest = payload.length - this.#header
    this.#endedAtOnce = rest === TRAILER_BYTES && endsWithTrailer(payload)
    this.#rowlessFirst = rest === 0 || this.#endedAtOnce
  }

  #finish(): void {
    this.#over = true
    const rest = Buffer.from(this.#bytes.subarray(this.#cursor.read, this.#end))
    this.#emit(this.#buffer)
    this.#handler.done(rest)
  }

  /** The buffer is full: the unfinished message goes into a buffer that holds all of it, the rows to the consumer. */
  #turn(): void {
    const full = this.#buffer
    const partial = full.bytes.subarray(this.#cursor.read, this.#end)
    const needed = partial.length < HEADER_BYTES ? HEADER_BYTES : this.#messageLength()
    this.#buffer = this.#buffers.take(Math.max(this.#options.chunkSize, needed) + this.#minimumRead)
    this.#end = partial.copy(this.#buffer.bytes)
    this.#emit(full)
    Object.assign(this.#cursor, { read: 0, write: 0, messages: 0, last: 0 })
  }

  /** The buffer is the consumer's from here on. */
  #emit({ bytes, release }: ReceiveBuffer): void {
    const { write } = this.#cursor
    if (write === 0) {
      release()
      return
    }
    const data = bytes.subarray(0, write)
    const { rows, trailer } = this.#contents(data)
    this.#header = undefined
    this.#rowlessFirst = false
    this.#handler.chunk({ data, rows, trailer, release })
  }

  #contents(data: Buffer): Pick<CopyChunk, 'rows' | 'trailer'> {
    const { messages, last } = this.#cursor
    if (!this.#binary) return { rows: messages, trailer: false }
    if (this.#options.manyRowsPerMessage) return countTuples(data.subarray(this.#header ?? 0))
    const apart = last === TRAILER_BYTES && endsWithTrailer(data)
    const rows = messages - (this.#rowlessFirst ? 1 : 0) - (apart ? 1 : 0)
    return { rows, trailer: apart || this.#endedAtOnce }
  }
}

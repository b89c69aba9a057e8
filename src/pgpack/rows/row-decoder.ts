import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { MAX_FIELD_BYTES, PGCOPY_FLAG_OIDS, PGCOPY_HEADER_BYTES, PGCOPY_SIGNATURE } from '../pgcopy.ts'
import { Bytes } from './bytes.ts'
import type { Codec } from './codec.ts'
import type { CodecSource } from './registry.ts'

/** One row: a value for each column of the body, in order; null for NULL. An OID before the fields is passed over. */
export type Row = unknown[]

export const DEFAULT_MAX_ROW_BYTES = 256 * 1024 * 1024

const EMPTY = Buffer.alloc(0)
/** A count, then a length for each field. */
const COUNT_BYTES = 2
const LENGTH_BYTES = 4

/**
 * Decodes the rows of a raw body that comes in pieces of any size. A row that is cut by the border of two pieces waits
 * for the rest of it.
 */
export class RowDecoder {
  readonly #columns: readonly PGPackColumn[]
  readonly #codecs: readonly Codec[]
  readonly #maxRowBytes: number
  #source = new Bytes(EMPTY)
  #at = 0
  /** Body offset of the buffer's first byte. */
  #base = 0
  /** Bytes that the row needs at least, as far as its lengths are known; pieces wait until they are there. */
  #needed = PGCOPY_HEADER_BYTES
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #state: 'header' | 'rows' | 'end' = 'header'
  #hasOids = false
  #rows = 0
  /** The field being decoded, for errors; -1 between rows. */
  #field = -1

  /** @param columns those that the body has fields for */
  constructor(columns: readonly PGPackColumn[], registry: CodecSource, maxRowBytes = DEFAULT_MAX_ROW_BYTES) {
    this.#columns = columns
    this.#codecs = columns.map((column) => registry.codec(column.oid))
    this.#maxRowBytes = maxRowBytes
  }

  /** Rows decoded so far. */
  get rows(): number {
    return this.#rows
  }

  /** Takes the next piece; `next` then gives its rows. */
  push(piece: Buffer): void {
    this.#waiting.push(piece)
    this.#waitingBytes += piece.length
    const left = this.#source.buffer.length - this.#at
    if (left + this.#waitingBytes < this.#needed) return
    const rest = this.#source.buffer.subarray(this.#at)
    const parts = left === 0 ? this.#waiting : [rest, ...this.#waiting]
    const [first = EMPTY] = parts
    this.#base += this.#at
    this.#source = new Bytes(parts.length === 1 ? first : Buffer.concat(parts))
    this.#at = 0
    this.#waiting = []
    this.#waitingBytes = 0
  }

  /**
   * Appends rows until there are `limit`; fewer when the pieces pushed so far end.
   * @throws PgpackError PGPACK_VALUE, PGPACK_ROW_MALFORMED, PGPACK_LIMIT
   */
  next(rows: Row[], limit: number): void {
    if (this.#waitingBytes > 0 || (this.#state === 'header' && !this.#readHeader())) return
    try {
      while (rows.length < limit && this.#state === 'rows') {
        const row = this.#readRow()
        if (row === undefined) break
        rows.push(row)
      }
    } catch (error) {
      throw this.#withPlace(error)
    }
  }

  /** Says that the body has ended. @throws PgpackError PGPACK_TRUNCATED */
  end(): void {
    if (this.#state === 'end') return
    throw new PgpackError('PGPACK_TRUNCATED', `the raw body ends after ${this.#rows} rows without the PGCOPY trailer`, {
      offset: this.#base + this.#source.buffer.length + this.#waitingBytes,
      expected: 'the PGCOPY trailer ffff',
      found: 'the end of the body',
    })
  }

  #readHeader(): boolean {
    const { buffer, view } = this.#source
    if (buffer.length < PGCOPY_HEADER_BYTES) return this.#wait(PGCOPY_HEADER_BYTES)
    if (!buffer.subarray(0, PGCOPY_SIGNATURE.length).equals(PGCOPY_SIGNATURE)) {
      throw this.#malformed(0, 'the signature of PGCOPY', buffer.toString('hex', 0, PGCOPY_SIGNATURE.length))
    }
    const extension = view.getInt32(15)
    if (extension < 0) throw this.#malformed(15, 'a header extension length from 0', String(extension))
    const end = PGCOPY_HEADER_BYTES + extension
    if (buffer.length < end) return this.#wait(end)
    this.#hasOids = (view.getInt32(11) & PGCOPY_FLAG_OIDS) !== 0
    this.#state = 'rows'
    this.#at = end
    return true
  }

  #wait(bytes: number): false {
    if (bytes > this.#maxRowBytes) {
      const offset = this.#base + this.#at
      throw new PgpackError(
        'PGPACK_LIMIT',
        `row ${this.#rows + 1}, at byte ${offset} of the raw body, has more than ${this.#maxRowBytes} bytes; raise maxRowBytes`,
        { offset, expected: `${this.#maxRowBytes} bytes at most`, found: `${bytes} bytes or more` },
      )
    }
    this.#needed = bytes
    return false
  }

  /** One row, or undefined when it is not all there; then nothing was passed over. */
  #readRow(): Row | undefined {
    const source = this.#source
    const { view } = source
    const end = view.byteLength
    const start = this.#at
    if (end - start < COUNT_BYTES) return this.#wait(COUNT_BYTES) || undefined
    const count = view.getInt16(start)
    let at = start + COUNT_BYTES
    if (count === -1) {
      this.#at = at
      this.#state = 'end'
      return undefined
    }
    const codecs = this.#codecs
    if (count !== codecs.length) throw this.#wrongCount(start, count)
    if (this.#hasOids) {
      if (end - at < LENGTH_BYTES * 2) return this.#wait(COUNT_BYTES + LENGTH_BYTES * 2) || undefined
      this.#checkOid(at)
      at += LENGTH_BYTES * 2
    }
    const row: Row = new Array(count)
    for (let index = 0; index < count; index++) {
      if (end - at < LENGTH_BYTES) return this.#wait(at + LENGTH_BYTES - start) || undefined
      const length = view.getInt32(at)
      at += LENGTH_BYTES
      if (length < 0) {
        if (length !== -1) throw this.#malformed(at - LENGTH_BYTES, 'a field length from -1', String(length))
        row[index] = null
      } else {
        const next = at + length
        if (next > end) return this.#waitForField(at, length, start) || undefined
        this.#field = index
        row[index] = codecs[index]?.decode(source, at, next)
        at = next
      }
    }
    this.#field = -1
    this.#at = at
    this.#rows++
    return row
  }

  #waitForField(at: number, length: number, start: number): false {
    if (length > MAX_FIELD_BYTES) {
      throw this.#malformed(at - LENGTH_BYTES, `a field length up to ${MAX_FIELD_BYTES}`, String(length))
    }
    this.#field = -1
    return this.#wait(at + length - start)
  }

  #checkOid(at: number): void {
    const length = this.#source.view.getInt32(at)
    if (length !== 4) throw this.#malformed(at, 'an OID of 4 bytes before the fields', `${length} bytes`)
  }

  #wrongCount(at: number, count: number): PgpackError {
    const columns = this.#codecs.length
    const hint =
      this.#rows === 0 && count < columns
        ? '; generated columns are in the metadata but not in the body: name the columns that it has (bodyColumns)'
        : ''
    return this.#malformed(at, `${columns} fields`, `${count} fields${hint}`)
  }

  #malformed(at: number, expected: string, found: string): PgpackError {
    const offset = this.#base + at
    return new PgpackError(
      'PGPACK_ROW_MALFORMED',
      `row ${this.#rows + 1} at byte ${offset} of the raw body: found ${found}, expected ${expected}`,
      { offset, expected, found },
    )
  }

  /** Adds row, column and offset to what a codec says. */
  #withPlace(error: unknown): unknown {
    const column = this.#columns[this.#field]
    const codec = this.#codecs[this.#field]
    if (column === undefined || codec === undefined || !isValueFault(error)) return error
    const { offset, expected, found } = error.details
    const at = this.#base + Number(offset ?? this.#at)
    return new PgpackError(
      'PGPACK_VALUE',
      `row ${this.#rows + 1}, column ${JSON.stringify(column.name)} (${codec.name}), at byte ${at} of the raw body: ${error.message}`,
      {
        offset: at,
        ...(expected === undefined ? {} : { expected }),
        ...(found === undefined ? {} : { found }),
        cause: error,
      },
    )
  }
}

function isValueFault(error: unknown): error is PgpackError {
  return error instanceof PgpackError && error.code === 'PGPACK_VALUE'
}

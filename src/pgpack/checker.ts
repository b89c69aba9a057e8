import { PgpackError } from '../errors.ts'
import {
  MAX_FIELD_BYTES,
  PGCOPY_CRITICAL_FLAGS,
  PGCOPY_FLAG_OIDS,
  PGCOPY_HEADER_BYTES,
  PGCOPY_SIGNATURE,
} from './pgcopy.ts'

/**
 * Walks over a raw body (a PGCOPY stream) in pieces of any size: header, the field count of each row (one and the
 * same, at most `maxFields`), field lengths, trailer, nothing behind it. Field values are passed over, not read.
 */
export class PGCopyChecker {
  readonly #maxFields: number
  #state: 'header' | 'rows' | 'end' = 'header'
  /** The bytes of a header, count or length that is cut by the border of two pieces. */
  readonly #partial = Buffer.alloc(PGCOPY_HEADER_BYTES)
  #partialLength = 0
  /** Bytes of a field or of the header extension still to pass over. */
  #skip = 0
  /** Fields of the present row whose length comes next; at 0 a field count does. */
  #fieldsLeft = 0
  #fields = -1
  #hasOids = false
  #rows = 0
  #offset = 0
  /** Body offset of the first byte of the buffer that is being looked at. */
  #base = 0

  /** @param maxFields the file's columns: generated ones are among them but not in the body */
  constructor(maxFields: number) {
    this.#maxFields = maxFields
  }

  /** Rows begun; after `end()` all are complete. */
  get rows(): number {
    return this.#rows
  }

  /** Fields of a row (an OID field not counted); undefined before the first row. */
  get fields(): number | undefined {
    return this.#fields < 0 ? undefined : this.#fields
  }

  /** True when each row begins with its OID (header flag bit 16). */
  get hasOids(): boolean {
    return this.#hasOids
  }

  /** @throws PGPACK_ROW_MALFORMED, PGPACK_TRAILING_DATA */
  update(piece: Buffer): void {
    let at = this.#resume(piece)
    this.#base = this.#offset
    while (at < piece.length) {
      const unit = this.#unitLength()
      if (piece.length - at < unit) {
        this.#partialLength = piece.copy(this.#partial, 0, at)
        break
      }
      at = this.#walk(piece, at)
    }
    this.#offset += piece.length
  }

  /** Says that the body has ended. @throws PGPACK_TRUNCATED when the trailer was not seen */
  end(): void {
    if (this.#state === 'end') return
    throw new PgpackError(
      'PGPACK_TRUNCATED',
      `the raw body ends at its byte ${this.#offset}, after ${this.#rows} rows, without the PGCOPY trailer: rows are missing; fetch the file again or make it anew`,
      { offset: this.#offset, expected: 'the PGCOPY trailer ffff', found: 'the end of the body' },
    )
  }

  /** Passes over what the last piece left of a field, and completes what its border cut. */
  #resume(piece: Buffer): number {
    const at = Math.min(this.#skip, piece.length)
    this.#skip -= at
    if (this.#skip > 0 || this.#partialLength === 0) return at
    const unit = this.#unitLength()
    const taken = piece.copy(this.#partial, this.#partialLength, at, at + unit - this.#partialLength)
    this.#partialLength += taken
    if (this.#partialLength === unit) {
      this.#partialLength = 0
      this.#base = this.#offset + at + taken - unit
      this.#walk(this.#partial.subarray(0, unit), 0)
      // What the walk wants skipped lies in this piece, and perhaps in the next ones.
      const skipped = Math.min(this.#skip, piece.length - at - taken)
      this.#skip -= skipped
      return at + taken + skipped
    }
    return at + taken
  }

  /** Bytes without which the next step cannot be taken. */
  #unitLength(): number {
    if (this.#state === 'header') return PGCOPY_HEADER_BYTES
    if (this.#state === 'end') return 0
    return this.#fieldsLeft === 0 ? 2 : 4
  }

  #walk(bytes: Buffer, at: number): number {
    if (this.#state === 'header') return this.#walkHeader(bytes, at)
    if (this.#state === 'rows') return this.#walkRows(bytes, at)
    throw new PgpackError(
      'PGPACK_TRAILING_DATA',
      `the raw body goes on at its byte ${this.#base + at}, behind the PGCOPY trailer; the file must be made anew`,
      { offset: this.#base + at, expected: 'the end of the body', found: 'further bytes' },
    )
  }

  #walkHeader(bytes: Buffer, at: number): number {
    const signature = bytes.subarray(at, at + PGCOPY_SIGNATURE.length)
    if (!signature.equals(PGCOPY_SIGNATURE)) {
      throw this.#malformed(at, `the signature ${PGCOPY_SIGNATURE.toString('hex')}`, signature.toString('hex'))
    }
    const flags = bytes.readInt32BE(at + PGCOPY_SIGNATURE.length)
    if ((flags & PGCOPY_CRITICAL_FLAGS) !== 0) {
      throw this.#malformed(at + 11, 'no critical header flag but bit 16', `0x${(flags >>> 0).toString(16)}`)
    }
    const extension = bytes.readInt32BE(at + 15)
    if (extension < 0) throw this.#malformed(at + 15, 'a header extension length from 0', String(extension))
    this.#hasOids = (flags & PGCOPY_FLAG_OIDS) !== 0
    this.#state = 'rows'
    return this.#passOver(bytes, at + PGCOPY_HEADER_BYTES + extension)
  }

  /** The hot loop: goes on until the end of `bytes`, or a count or length that the end cuts, or the trailer. */
  #walkRows(bytes: Buffer, from: number): number {
    // A DataView reads a length with one check of its bounds, single bytes need four.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const lastLength = bytes.length - 4
    let left = this.#fieldsLeft
    let at = from
    for (;;) {
      while (left > 0 && at <= lastLength) {
        const length = view.getInt32(at)
        if (length < -1 || length > MAX_FIELD_BYTES) {
          throw this.#malformed(at, 'a field length from -1 to 1073741823', String(length))
        }
        left--
        at += length > 0 ? 4 + length : 4
      }
      if (left > 0 || bytes.length - at < 2) break
      const count = view.getInt16(at)
      if (count === -1) {
        this.#state = 'end'
        at += 2
        break
      }
      if (count !== this.#fields) this.#checkFieldCount(count, at)
      this.#rows++
      at += 2
      left = this.#hasOids ? count + 1 : count
    }
    this.#fieldsLeft = left
    return this.#passOver(bytes, at)
  }

  /** Goes to `target`, which may lie in a later piece. */
  #passOver(bytes: Buffer, target: number): number {
    this.#skip = Math.max(0, target - bytes.length)
    return Math.min(target, bytes.length)
  }

  /** The first row's count holds for all; it is compared with the columns once. */
  #checkFieldCount(count: number, at: number): void {
    if (this.#fields >= 0) throw this.#malformed(at, `${this.#fields} fields as in the first row`, `${count} fields`)
    if (count < 0 || count > this.#maxFields) {
      throw this.#malformed(at, `0 to ${this.#maxFields} fields, as the metadata have columns`, `${count} fields`)
    }
    this.#fields = count
  }

  #malformed(at: number, expected: string, found: string): PgpackError {
    const offset = this.#base + at
    return new PgpackError(
      'PGPACK_ROW_MALFORMED',
      `the raw body is not a PGCOPY stream at its byte ${offset}, after ${this.#rows} rows: found ${found}, expected ${expected}; the file must be made anew`,
      { offset, expected, found },
    )
  }
}

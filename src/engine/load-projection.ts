import { PgpackError } from '../errors.ts'
import { PGCOPY_FLAG_OIDS, PGCOPY_HEADER_BYTES } from '../pgpack/pgcopy.ts'
import type { Part, Piece } from './load.ts'

const COUNT_BYTES = 2
const LENGTH_BYTES = 4
const FLAGS_OFFSET = 11
const EXTENSION_OFFSET = 15
const EMPTY = Buffer.alloc(0)

/** A part without some of its fields. @param keep for each field of a row, whether it stays */
export function projectPart(part: Part, keep: readonly boolean[]): Part {
  return {
    storedBytes: part.storedBytes,
    async *read(lane) {
      const projection = new TupleProjection(keep)
      for await (const piece of part.read(lane)) yield project(projection, piece)
    },
  }
}

function project(projection: TupleProjection, piece: Piece): Piece {
  return { ...piece, data: projection.update(piece.data) }
}

/**
 * Drops fields out of the tuples of a PGCOPY stream, in pieces of any size, without a look at their values. It works
 * within the memory of each piece, since what is left is never longer than what came: the piece is overwritten.
 */
export class TupleProjection {
  readonly #keep: readonly boolean[]
  readonly #kept: number
  #state: 'header' | 'rows' | 'end' = 'header'
  /** Bytes that a border cut off a header, a count or a length. */
  #carried: Buffer = EMPTY
  /** Bytes of the present value, or of the header's extension, that are still to come; and whether they stay. */
  #left = 0
  #keeping = true
  /** The field whose length comes next; at the end of a row a count does. */
  #field: number

  constructor(keep: readonly boolean[]) {
    this.#keep = keep
    this.#kept = keep.filter(Boolean).length
    this.#field = keep.length
  }

  /** What stays of the next piece. @throws PgpackError PGPACK_ROW_MALFORMED, OBJECT_UNSUPPORTED */
  update(piece: Buffer): Buffer {
    const bytes = this.#carried.length === 0 ? piece : Buffer.concat([this.#carried, piece])
    this.#carried = EMPTY
    const cursor = { bytes, read: 0, kept: 0, runStart: 0 }
    while (cursor.read < bytes.length && this.#state !== 'end') {
      if (!this.#step(cursor)) {
        this.#carried = Buffer.from(bytes.subarray(cursor.read))
        break
      }
    }
    const end = this.#state === 'end' ? bytes.length : cursor.read
    flush(cursor, end)
    return bytes.subarray(0, cursor.kept)
  }

  /** Passes over one value, length, count or header; false when the piece ends within it. */
  #step(cursor: Cursor): boolean {
    if (this.#left > 0) return this.#passValue(cursor)
    if (this.#state === 'header') return this.#passHeader(cursor)
    return this.#field === this.#keep.length ? this.#passCount(cursor) : this.#passLength(cursor)
  }

  #passValue(cursor: Cursor): true {
    const length = Math.min(this.#left, cursor.bytes.length - cursor.read)
    this.#left -= length
    if (this.#keeping) cursor.read += length
    else drop(cursor, length)
    return true
  }

  #passHeader(cursor: Cursor): boolean {
    const { bytes, read } = cursor
    if (bytes.length - read < PGCOPY_HEADER_BYTES) return false
    if ((bytes.readInt32BE(read + FLAGS_OFFSET) & PGCOPY_FLAG_OIDS) !== 0) {
      throw new PgpackError('OBJECT_UNSUPPORTED', 'columns cannot be chosen of a file that holds an OID for each row')
    }
    this.#left = bytes.readUInt32BE(read + EXTENSION_OFFSET)
    this.#keeping = true
    this.#state = 'rows'
    cursor.read += PGCOPY_HEADER_BYTES
    return true
  }

  #passCount(cursor: Cursor): boolean {
    const { bytes, read } = cursor
    if (bytes.length - read < COUNT_BYTES) return false
    const count = bytes.readInt16BE(read)
    if (count === -1) {
      this.#state = 'end'
      return true
    }
    if (count !== this.#keep.length) throw wrongCount(count, this.#keep.length)
    bytes.writeInt16BE(this.#kept, read)
    cursor.read += COUNT_BYTES
    this.#field = 0
    return true
  }

  #passLength(cursor: Cursor): boolean {
    const { bytes, read } = cursor
    if (bytes.length - read < LENGTH_BYTES) return false
    this.#left = Math.max(0, bytes.readInt32BE(read))
    this.#keeping = this.#keep[this.#field] === true
    this.#field += 1
    if (this.#keeping) cursor.read += LENGTH_BYTES
    else drop(cursor, LENGTH_BYTES)
    return true
  }
}

/** What was read of `bytes`, how much of it has been moved to their start, and where what is not yet moved begins. */
interface Cursor {
  readonly bytes: Buffer
  read: number
  kept: number
  runStart: number
}

function drop(cursor: Cursor, length: number): void {
  flush(cursor, cursor.read)
  cursor.read += length
  cursor.runStart = cursor.read
}

/** Moves what stays, up to `end`, to what already stands at the start: one move for a run of kept fields. */
function flush(cursor: Cursor, end: number): void {
  const { bytes, kept, runStart } = cursor
  if (kept !== runStart) bytes.copyWithin(kept, runStart, end)
  cursor.kept += end - runStart
  cursor.runStart = end
}

function wrongCount(found: number, expected: number): PgpackError {
  return new PgpackError('PGPACK_ROW_MALFORMED', `a row has ${found} fields where ${expected} were expected`, {
    expected: `${expected} fields`,
    found: `${found} fields`,
  })
}

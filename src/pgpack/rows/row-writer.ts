import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { type PGPackSink, type PGPackSummary, PGPackWriter, type PGPackWriterOptions } from '../writer.ts'
import { writeField } from './array.ts'
import { ByteWriter } from './bytes.ts'
import type { Codec } from './codec.ts'
import { BUILTIN_REGISTRY, type CodecSource } from './registry.ts'

/** A value for each column, in order, or by column name. undefined is NULL as null is; text stands for any value. */
export type RowInput = readonly unknown[] | Readonly<Record<string, unknown>>

export interface RowWriterOptions extends PGPackWriterOptions {
  readonly registry?: CodecSource
  /** Raw bytes of a frame, about; 256 KiB when not given. */
  readonly frameBytes?: number
}

const DEFAULT_FRAME_BYTES = 256 * 1024

/** Encodes rows as the tuples of binary COPY. */
export class RowEncoder {
  readonly #columns: readonly PGPackColumn[]
  readonly #codecs: readonly Codec[]
  readonly #out = new ByteWriter()
  #rows = 0

  constructor(columns: readonly PGPackColumn[], registry: CodecSource = BUILTIN_REGISTRY) {
    this.#columns = columns
    this.#codecs = columns.map((column) => registry.codec(column.oid))
  }

  /** Rows since `take`. */
  get rows(): number {
    return this.#rows
  }

  /** Bytes since `take`. */
  get bytes(): number {
    return this.#out.length
  }

  /** @throws PgpackError PGPACK_VALUE that names the column; the row is not added then */
  add(row: RowInput): void {
    const start = this.#out.length
    const columns = this.#columns
    if (Array.isArray(row) && row.length !== columns.length) throw wrongLength(columns.length, row.length)
    let index = 0
    try {
      this.#out.int16(columns.length)
      for (; index < columns.length; index++) {
        const codec = this.#codecs[index]
        if (codec !== undefined) writeField(codec, fieldOf(row, index, columns[index]?.name ?? ''), this.#out)
      }
      this.#rows++
    } catch (error) {
      this.#out.truncate(start)
      const column = columns[index]
      throw column === undefined ? error : withPlace(error, `column ${JSON.stringify(column.name)}`)
    }
  }

  /** The tuples of the rows that were added. */
  take(): Buffer {
    this.#rows = 0
    return this.#out.take()
  }
}

function fieldOf(row: RowInput, index: number, name: string): unknown {
  if (isArray(row)) return row[index]
  return Object.hasOwn(row, name) ? row[name] : null
}

function isArray(row: RowInput): row is readonly unknown[] {
  return Array.isArray(row)
}

function wrongLength(expected: number, found: number): PgpackError {
  return new PgpackError('PGPACK_VALUE', `the row has ${found} values, there are ${expected} columns`, {
    expected: `${expected} values`,
    found: `${found} values`,
  })
}

/** Puts the place of a value before what is wrong with it. */
function withPlace(error: unknown, place: string): unknown {
  if (!(error instanceof PgpackError) || error.code !== 'PGPACK_VALUE') return error
  return new PgpackError('PGPACK_VALUE', `${place}: ${error.message}`, {
    ...error.details,
    cause: error.cause ?? error,
  })
}

/** Writes typed rows into a PGPack file. */
export class RowWriter {
  readonly #encoder: RowEncoder
  readonly #writer: PGPackWriter
  readonly #frameBytes: number
  #rowsBefore = 0

  /** @throws as PGPackWriter */
  constructor(sink: PGPackSink, options: RowWriterOptions) {
    this.#encoder = new RowEncoder(options.columns, options.registry)
    this.#writer = new PGPackWriter(sink, options)
    this.#frameBytes = options.frameBytes ?? DEFAULT_FRAME_BYTES
  }

  /** Resolves when more are welcome. @throws PGPACK_VALUE with row and column; and what the sink throws */
  async write(row: RowInput): Promise<void> {
    if (this.add(row)) await this.flush()
  }

  /** As `write`, for a loop over many rows: true says that `flush` must be awaited before the next. */
  add(row: RowInput): boolean {
    try {
      this.#encoder.add(row)
    } catch (error) {
      throw withPlace(error, `row ${this.#rowsBefore + this.#encoder.rows + 1}`)
    }
    return this.#encoder.bytes >= this.#frameBytes
  }

  async flush(): Promise<void> {
    const { rows } = this.#encoder
    if (rows === 0) return
    this.#rowsBefore += rows
    await this.#writer.writeRows(this.#encoder.take(), rows)
  }

  /** Completes the file. */
  async finish(): Promise<PGPackSummary> {
    await this.flush()
    return this.#writer.finish()
  }

  abort(): Promise<void> {
    return this.#writer.abort()
  }
}

export type Rows = Iterable<RowInput> | AsyncIterable<RowInput>

/**
 * Writes all the rows into a file; the sink is aborted when that fails. The counterpart of the reference's `from_rows`.
 * @throws PGPACK_VALUE with row and column; what the rows or the sink throw
 */
export async function fromRows(sink: PGPackSink, options: RowWriterOptions, rows: Rows): Promise<PGPackSummary> {
  try {
    const writer = new RowWriter(sink, options)
    for await (const row of rows) await writer.write(row)
    return await writer.finish()
  } catch (error) {
    await sink.abort()
    throw error
  }
}

import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { PGPackReader, type PGPackReaderOptions } from '../reader.ts'
import type { PGPackSource } from '../source.ts'
import { BUILTIN_REGISTRY, type CodecSource } from './registry.ts'
import { type Row, RowDecoder } from './row-decoder.ts'
import { checkShape, type RowOf, type Shape } from './schema.ts'

export interface RowReaderOptions extends PGPackReaderOptions {
  /** For the types that users made; those of PostgreSQL itself when not given. */
  readonly registry?: CodecSource
  /** Rows of a batch; 1000 when not given. */
  readonly batchRows?: number
  /** A larger row is an error; 256 MiB when not given. */
  readonly maxRowBytes?: number
  /** The columns that the body has fields for, where it is not all: generated ones stand in the metadata only. */
  readonly bodyColumns?: readonly string[]
}

const DEFAULT_BATCH_ROWS = 1000

/** What a row is as an object: of the shape that was asked for, else anything. */
type ObjectRow<S extends Shape> = string extends keyof S ? Record<string, unknown> : RowOf<S>

/** Reads the typed rows of a file, as arrays or as objects. It can be read once. */
export class RowReader<R = Row> {
  /** The columns of the rows, in order. */
  readonly columns: readonly PGPackColumn[]
  readonly file: PGPackReader
  readonly #options: RowReaderOptions
  readonly #toRows: (batch: readonly Row[]) => R[]

  private constructor(
    file: PGPackReader,
    options: RowReaderOptions,
    toRows: (columns: readonly PGPackColumn[]) => (batch: readonly Row[]) => R[],
  ) {
    this.file = file
    this.columns = bodyColumns(file.columns, options.bodyColumns)
    this.#options = options
    this.#toRows = toRows(this.columns)
  }

  /** Rows as arrays. @throws as PGPackReader.open */
  static async open(source: PGPackSource, options: RowReaderOptions = {}): Promise<RowReader> {
    return new RowReader<Row>(await PGPackReader.open(source, options), options, () => (batch) => [...batch])
  }

  /**
   * Rows as objects, by column name; of two columns of one name the later counts.
   * @param shape what a program expects of the file: `{ id: 'int8', tags: 'text[]' }`. It types the rows, and is checked.
   * @throws as PGPackReader.open; TARGET_MISMATCH when the file is not of the shape
   */
  static async objects<const S extends Shape = Shape>(
    source: PGPackSource,
    options: RowReaderOptions & { readonly shape?: S } = {},
  ): Promise<RowReader<ObjectRow<S>>> {
    const file = await PGPackReader.open(source, options)
    if (options.shape !== undefined) checkShape(file.columns, options.shape)
    return new RowReader<ObjectRow<S>>(file, options, toObjects)
  }

  /**
   * Rows in batches, as fast as it goes. When the iteration has ended without an error, the file was whole.
   * @throws PgpackError PGPACK_VALUE with column and offset in the raw body, and as PGPackReader.body
   */
  async *batches(): AsyncGenerator<R[]> {
    const { registry = BUILTIN_REGISTRY, batchRows = DEFAULT_BATCH_ROWS, maxRowBytes } = this.#options
    const decoder = new RowDecoder(this.columns, registry, maxRowBytes)
    let batch: Row[] = []
    for await (const piece of this.file.body()) {
      decoder.push(piece)
      decoder.next(batch, batchRows)
      while (batch.length >= batchRows) {
        yield this.#toRows(batch)
        batch = []
        decoder.next(batch, batchRows)
      }
    }
    decoder.end()
    if (batch.length > 0) yield this.#toRows(batch)
  }

  /** Rows one by one. @throws as `batches` */
  async *rows(): AsyncGenerator<R> {
    for await (const batch of this.batches()) yield* batch
  }

  [Symbol.asyncIterator](): AsyncGenerator<R> {
    return this.rows()
  }
}

function bodyColumns(columns: readonly PGPackColumn[], names: readonly string[] | undefined): readonly PGPackColumn[] {
  if (names === undefined) return columns
  return names.map((name) => {
    const column = columns.find((candidate) => candidate.name === name)
    if (column !== undefined) return column
    throw new PgpackError('CONFIG_INVALID', `the file has no column ${JSON.stringify(name)}`)
  })
}

function toObjects<R>(columns: readonly PGPackColumn[]): (batch: readonly Row[]) => R[] {
  const names = columns.map((column) => column.name)
  // Assigning to it would set the prototype instead of a property.
  const plain = !names.includes('__proto__')
  const build = (row: Row) =>
    plain ? assign(names, row) : Object.fromEntries(names.map((name, index) => [name, row[index]]))
  return (batch) => batch.map(build) as R[]
}

function assign(names: readonly string[], row: Row): Record<string, unknown> {
  const object: Record<string, unknown> = {}
  for (let index = 0; index < names.length; index++) object[names[index] ?? ''] = row[index]
  return object
}

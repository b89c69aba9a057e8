import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { BUILTIN_REGISTRY, type CodecSource } from '../rows/registry.ts'
import { DEFAULT_MAX_ROW_BYTES, type Row } from '../rows/row-decoder.ts'
import { RowReader, type RowReaderOptions } from '../rows/row-reader.ts'
import { RowWriter, type RowWriterOptions } from '../rows/row-writer.ts'
import { opaque } from '../rows/text.ts'
import type { PGPackSource } from '../source.ts'
import type { PGPackSink, PGPackSummary } from '../writer.ts'
import { CSVParser, csvFormatter, csvHeader } from './csv.ts'
import { lines, ndjsonFormatter, ndjsonParser } from './ndjson.ts'

export const TEXT_FORMATS = ['csv', 'ndjson'] as const
export type TextFormat = (typeof TEXT_FORMATS)[number]

export interface ToTextOptions extends RowReaderOptions {
  readonly format: TextFormat
  /** CSV only: the column names in the first line. */
  readonly header?: boolean
  /** Told how many rows each batch has. */
  readonly onRows?: (rows: number) => void
}

/** Characters of a piece, about. */
const PIECE_LENGTH = 64 * 1024

/**
 * A file's rows as UTF-8 text, in pieces; see csvFormatter and ndjsonFormatter. When the iteration has ended without
 * an error, the file was whole.
 * @throws as RowReader.open and its `batches`
 */
export async function* toText(source: PGPackSource, options: ToTextOptions): AsyncGenerator<Buffer> {
  const reader = await RowReader.open(source, options)
  const { registry = BUILTIN_REGISTRY } = options
  const codecs = reader.columns.map((column) => registry.codec(column.oid))
  const format = options.format === 'csv' ? csvFormatter(codecs) : ndjsonFormatter(reader.columns, codecs)
  let text = options.format === 'csv' && options.header === true ? csvHeader(reader.columns) : ''
  for await (const batch of reader.batches()) {
    options.onRows?.(batch.length)
    for (const row of batch) {
      text += format(row)
      if (text.length < PIECE_LENGTH) continue
      yield Buffer.from(text)
      text = ''
    }
  }
  if (text !== '') yield Buffer.from(text)
}

export interface FromTextOptions extends RowWriterOptions {
  readonly format: TextFormat
  /** CSV only: the first line has column names, which must be those of the columns, in any order. */
  readonly header?: boolean
  /** Characters of one row; 256 Mi when not given. */
  readonly maxRowBytes?: number
}

/**
 * Text into a PGPack file: the counterpart of `toText`. The sink is aborted when that fails.
 * @throws PgpackError PGPACK_VALUE with the row and column, PGPACK_LIMIT; what the source or the sink throws
 */
export async function fromText(
  source: AsyncIterable<Uint8Array>,
  sink: PGPackSink,
  options: FromTextOptions,
): Promise<PGPackSummary> {
  try {
    const writer = new RowWriter(sink, options)
    const rows = options.format === 'csv' ? csvRows(source, options) : ndjsonRows(source, options)
    for await (const row of rows) if (writer.add(row)) await writer.flush()
    return await writer.finish()
  } catch (error) {
    await sink.abort()
    throw error
  }
}

async function* csvRows(source: AsyncIterable<Uint8Array>, options: FromTextOptions): AsyncGenerator<Row> {
  const { columns, maxRowBytes = DEFAULT_MAX_ROW_BYTES } = options
  const parser = new CSVParser(maxRowBytes)
  let order: readonly number[] | undefined = options.header === true ? undefined : columns.map((_, index) => index)
  async function* records() {
    for await (const piece of decodeUTF8(source)) yield* parser.push(piece)
    yield* parser.end()
  }
  let row = 0
  for await (const record of records()) {
    if (order === undefined) {
      order = headerOrder(record, columns)
      continue
    }
    row++
    if (record.length !== columns.length) {
      throw invalidRow(row, `${columns.length} fields`, `${record.length} fields`)
    }
    yield order.map((index) => record[index] ?? null)
  }
}

/** For each column the place of its field. @throws PgpackError PGPACK_VALUE */
function headerOrder(names: readonly (string | null)[], columns: readonly PGPackColumn[]): readonly number[] {
  const order = columns.map(({ name }) => names.indexOf(name))
  if (names.length === columns.length && !order.includes(-1)) return order
  const expected = columns.map(({ name }) => name).join(', ')
  throw new PgpackError(
    'PGPACK_VALUE',
    `the header of the CSV names ${names.join(', ')}; the columns are ${expected}`,
    {
      expected,
      found: names.join(', '),
    },
  )
}

/** Rows of NDJSON text, in the columns' order. @throws PgpackError PGPACK_VALUE with the row, PGPACK_LIMIT; what the source throws */
export async function* ndjsonRows(
  source: AsyncIterable<Uint8Array>,
  options: Pick<FromTextOptions, 'columns' | 'registry' | 'maxRowBytes'>,
): AsyncGenerator<Row> {
  const { columns, registry = BUILTIN_REGISTRY, maxRowBytes = DEFAULT_MAX_ROW_BYTES } = options
  const parse = ndjsonParser(
    columns,
    columns.map((column) => registry.codec(column.oid)),
  )
  let row = 0
  for await (const line of lines(decodeUTF8(source), maxRowBytes)) {
    row++
    try {
      yield parse(line)
    } catch (error) {
      if (!(error instanceof PgpackError)) throw error
      throw new PgpackError(error.code, `row ${row}: ${error.message}`, { ...error.details, cause: error })
    }
  }
}

function invalidRow(row: number, expected: string, found: string): PgpackError {
  return new PgpackError('PGPACK_VALUE', `row ${row}: found ${found}, expected ${expected}`, { expected, found })
}

/** @throws PgpackError PGPACK_VALUE for bytes that are not UTF-8; what the source throws */
export async function* decodeUTF8(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (piece?: Uint8Array) => {
    try {
      return decoder.decode(piece, { stream: piece !== undefined })
    } catch (cause) {
      throw new PgpackError('PGPACK_VALUE', 'the text is not UTF-8; convert it first', {
        expected: 'UTF-8',
        found: 'other bytes',
        cause,
      })
    }
  }
  for await (const piece of source) yield decode(piece)
  yield decode()
}

/** Every type as its bytes. */
const RAW_REGISTRY: CodecSource = { codec: opaque }

export type RepackOptions = Omit<RowWriterOptions, 'columns' | 'registry'> & Omit<RowReaderOptions, 'registry'>

/**
 * Writes a file anew, with another compression, layout or spelling. The sink is aborted when that fails.
 * @throws as RowReader; OBJECT_UNSUPPORTED for rows with OIDs, which the new file has no place for
 */
export async function repack(source: PGPackSource, sink: PGPackSink, options: RepackOptions): Promise<PGPackSummary> {
  try {
    const reader = await RowReader.open(source, { ...options, registry: RAW_REGISTRY })
    const writer = new RowWriter(sink, { ...options, columns: reader.columns, registry: RAW_REGISTRY })
    for await (const batch of reader.batches()) {
      if (reader.file.hasOids) {
        throw new PgpackError(
          'OBJECT_UNSUPPORTED',
          'the rows of the file have OIDs, which would be lost: restore it instead',
        )
      }
      for (const row of batch) if (writer.add(row)) await writer.flush()
    }
    return await writer.finish()
  } catch (error) {
    await sink.abort()
    throw error
  }
}

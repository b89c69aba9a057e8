import { PgpackError } from '../errors.ts'
import { decodeUTF8, ndjsonRows, type TextFormat } from '../pgpack/convert/convert.ts'
import { CSVParser } from '../pgpack/convert/csv.ts'
import { lines } from '../pgpack/convert/ndjson.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../pgpack/pgcopy.ts'
import { parseTypeDefinitions } from '../pgpack/rows/definitions.ts'
import { checkJSON, splitObject } from '../pgpack/rows/json.ts'
import { TypeRegistry } from '../pgpack/rows/registry.ts'
import { DEFAULT_MAX_ROW_BYTES } from '../pgpack/rows/row-decoder.ts'
import { RowEncoder } from '../pgpack/rows/row-writer.ts'
import { describeTypes } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyFrom } from '../postgres/copy.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import { pgpackColumn } from '../postgres/pgpack-column.ts'
import type { ColumnInfo } from '../postgres/types.ts'
import type { Outcome } from '../run/result.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { type Load, openSource, type Part, type Piece } from './load.ts'
import { countingOf, loadOptions } from './load-options.ts'
import { rawFile } from './load-raw.ts'
import { runLoads } from './load-run.ts'
import { diagramOf, findTargets, type Pair, type Prepared } from './preflight-plan.ts'
import { checkRejects, type RejectsFile, type RejectsPlace, rejectsOf, rejectsOutcome } from './rejects.ts'
import { checkInStore } from './segments.ts'
import type { TargetRequest } from './target.ts'

export interface RowsRestoreRequest extends TargetRequest {
  readonly store: ObjectStore
  /** Of the file with the rows. */
  readonly key: string
  readonly format: TextFormat
  readonly table: QualifiedName
  /** A CSV's header, where it says that there is one, names the columns. */
  readonly copyOptions?: CopyOptions | undefined
  /** For rows that copyOptions.logErrors brings back; beside the file when not given. */
  readonly rejects?: RejectsPlace | undefined
}

/**
 * Loads rows out of NDJSON or CSV into a table, whose columns say what their values are. CSV goes to the server as it
 * is. A column that has a default and that the first row of NDJSON, or the header of CSV, does not name is left to it.
 */
export async function restoreRows(request: RowsRestoreRequest, context: RunContext): Promise<Outcome> {
  // One file is one COPY; there is nothing to share among connections.
  const single = { ...request, connections: 1 }
  const place = `${request.store.location}/${request.key}`
  checkInStore(request.key, request.copyOptions)
  const rejects = rejectsOf(request)
  const outcome = await runLoads(single, place, context, (session) => prepareRows(session, single, rejects, context))
  return { ...outcome, ...rejectsOutcome(rejects, outcome.totals, context) }
}

async function prepareRows(
  session: PostgresConnection,
  request: RowsRestoreRequest,
  rejects: RejectsFile | undefined,
  context: RunContext,
): Promise<Prepared> {
  const { key: name, table: to, format } = request
  const unknown: Pair = { name, to, columns: [], binary: false, definition: undefined }
  const [found] = await findTargets(session, [unknown], { ...request, mode: 'Append' })
  const stored = found?.table.columns.filter((column) => !column.generated) ?? []
  const columns = await namedColumns(request, stored, context)
  const pair = { ...unknown, columns }
  const [target] = await findTargets(session, [pair], request)
  const loads: Load[] = []
  if (target !== undefined && target.problems.length === 0) {
    const known = columns.flatMap(({ name: wanted }) => stored.filter((column) => column.name === wanted))
    const names = known.map((column) => column.name)
    const file = { name, format: format === 'csv' ? 'CSV' : 'NDJSON', columns: names } as const
    const how = loadOptions(session, file, request.copyOptions)
    await checkRejects(session, rejects, target.relation, { runMode: request.runMode, signal: context.signal })
    loads.push({
      name,
      table: target.table,
      columns: names,
      parts: [format === 'csv' ? await csvPart(request, context) : await ndjsonPart(session, request, known, context)],
      repeatable: true,
      statement: (into) => copyFrom(into, names, how),
      counting: format === 'csv' ? 'Open' : countingOf(request.copyOptions),
      rejects,
    })
  }
  const plan = [diagramOf(pair, target, { rows: undefined, bytes: undefined })]
  return { loads, problems: target?.problems ?? [], plan, expectedRows: undefined }
}

type NamedColumn = Pick<ColumnInfo, 'name' | 'typeOid' | 'typeName' | 'typmod'>

/** Type of a column that is not in the table: only its name matters, for the message. */
const NO_COLUMN = { typeOid: 0, typeName: 'unknown', typmod: -1 }

/** The columns that the file has values for, in its order. */
async function namedColumns(
  { store, key, format, copyOptions }: RowsRestoreRequest,
  stored: readonly ColumnInfo[],
  { signal }: RunContext,
): Promise<readonly NamedColumn[]> {
  const text = decodeUTF8(store.read(key, signal))
  if (format === 'csv') {
    if (copyOptions?.header === undefined || copyOptions.header === 'Absent') return stored
    return named(await firstRecord(text, copyOptions), stored)
  }
  const keys = await firstKeys(text)
  const given = keys.filter((name) => !stored.some((column) => column.name === name))
  const taken = stored.filter(({ name, hasDefault, identity }) => {
    return keys.includes(name) || (!hasDefault && identity === undefined)
  })
  return [...taken, ...named(given, stored)]
}

function named(names: readonly string[], stored: readonly ColumnInfo[]): readonly NamedColumn[] {
  return names.map((name) => stored.find((column) => column.name === name) ?? { name, ...NO_COLUMN })
}

async function firstKeys(text: AsyncIterable<string>): Promise<readonly string[]> {
  for await (const line of lines(text, DEFAULT_MAX_ROW_BYTES)) {
    checkJSON(line)
    return splitObject(line).map(([name]) => name)
  }
  return []
}

/** The names in a header. The server reads the rest, with whatever quotes and delimiters it is told. */
async function firstRecord(text: AsyncIterable<string>, options: CopyOptions): Promise<readonly string[]> {
  const { delimiter = ',', quote = '"' } = options
  if (delimiter !== ',' || quote !== '"') {
    const message =
      'the header of a CSV with another delimiter or quote is not read here: use header=absent, with its columns in the order of the table'
    throw new PgpackError('CONFIG_INVALID', message, {
      expected: 'delimiter , and quote "',
      found: `${delimiter} ${quote}`,
    })
  }
  const parser = new CSVParser(DEFAULT_MAX_ROW_BYTES)
  for await (const piece of text) for (const record of parser.push(piece)) return record.map((name) => name ?? '')
  for (const record of parser.end()) return record.map((name) => name ?? '')
  return []
}

async function csvPart({ store, key }: RowsRestoreRequest, { signal, progress }: RunContext): Promise<Part> {
  return rawFile(await openSource(store, key, signal), { name: key, method: 'None' }, progress)
}

/** Bytes of the tuples that go to the server at once, about. */
const PIECE_BYTES = 256 * 1024

async function ndjsonPart(
  session: PostgresConnection,
  { store, key }: RowsRestoreRequest,
  columns: readonly ColumnInfo[],
  { signal, progress }: RunContext,
): Promise<Part> {
  const { size } = await store.stat(key, signal)
  const types = await describeTypes(
    session,
    columns.map(({ typeOid }) => typeOid),
  )
  const registry = new TypeRegistry(parseTypeDefinitions(JSON.stringify(types)))
  const options = { columns: columns.map(pgpackColumn), registry }
  async function* source() {
    for await (const bytes of store.read(key, signal)) {
      progress.stored(bytes.length)
      yield bytes
    }
  }
  return { storedBytes: BigInt(size), read: () => encoded(ndjsonRows(source(), options), options) }
}

type EncodeOptions = { readonly columns: ReturnType<typeof pgpackColumn>[]; readonly registry: TypeRegistry }

async function* encoded(
  rows: AsyncIterable<Parameters<RowEncoder['add']>[0]>,
  { columns, registry }: EncodeOptions,
): AsyncGenerator<Piece> {
  const encoder = new RowEncoder(columns, registry)
  yield { data: PGCOPY_HEADER, rows: 0 }
  for await (const row of rows) {
    encoder.add(row)
    if (encoder.bytes >= PIECE_BYTES) yield takeRows(encoder)
  }
  if (encoder.rows > 0) yield takeRows(encoder)
  yield { data: PGCOPY_TRAILER, rows: 0 }
}

function takeRows(encoder: RowEncoder): Piece {
  const { rows } = encoder
  return { rows, data: encoder.take() }
}

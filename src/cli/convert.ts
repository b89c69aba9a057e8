import { once } from 'node:events'
import { Command } from 'commander'
import { openSource } from '../engine/load.ts'
import { PgpackError } from '../errors.ts'
import type { PGPackColumn } from '../pgpack/columns.ts'
import { fromText, repack, TEXT_FORMATS, type TextFormat, toText } from '../pgpack/convert/convert.ts'
import { PGPackReader } from '../pgpack/reader.ts'
import { parseColumns } from '../pgpack/rows/column-spec.ts'
import type { TypeRegistry } from '../pgpack/rows/registry.ts'
import { type PGPackSink, type PGPackSummary, PGPackWriter } from '../pgpack/writer.ts'
import { parseChoice, parseCompression } from './options.ts'
import { type Place, type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printSummary } from './summary.ts'
import type { Terminal } from './terminal.ts'
import { openRegistry, type TypesOptions, withTypesOption } from './types.ts'
import { timed } from './work.ts'

const FORMATS = ['pgpack', ...TEXT_FORMATS] as const
const STDOUT = '-'

interface ConvertOptions extends PlaceOptions, TypesOptions {
  readonly in: string
  readonly out: string
  readonly from: string
  readonly to: string
  readonly columns?: string
  readonly like?: string
  readonly header: boolean
  readonly compression: string
  readonly json: boolean
}

interface Totals {
  readonly rows: bigint
  /** Of the text, or of the raw body. */
  readonly bytes: bigint
  /** Of what was written. */
  readonly storedBytes: bigint
}

/** `pgpack convert`: between PGPack, CSV and NDJSON, and from PGPack to PGPack with another compression. */
export function convertCommand(terminal: Terminal): Command {
  const command = new Command('convert')
    .description('Convert a PGPack file to CSV, NDJSON or another compression, or CSV and NDJSON to PGPack.')
    .requiredOption('--in <place>', 'PATH or s3://bucket/key')
    .requiredOption('--out <place>', 'PATH or s3://bucket/key; - is stdout, for CSV and NDJSON')
    .requiredOption('--to <format>', 'csv, ndjson or pgpack')
    .option('--from <format>', 'pgpack, csv or ndjson', 'pgpack')
    .option('--columns <list>', "of a text's columns, as in CREATE TABLE: 'id bigint, name text'")
    .option('--like <place>', "a PGPack file with the text's columns")
    .option('--header', 'CSV has column names in its first line', false)
    .option('--compression <method>', 'zstd:LEVEL, lz4 or none', 'zstd:3')
    .option('--json', 'print the summary as JSON', false)
  return withTypesOption(withPlaceOptions(command)).action((options: ConvertOptions) => convert(options, terminal))
}

async function convert(options: ConvertOptions, terminal: Terminal): Promise<void> {
  const from = parseChoice('--from', options.from, FORMATS)
  const to = parseChoice('--to', options.to, FORMATS)
  checkOptions(options, from, to)
  const { signal } = terminal
  const { result, seconds } = await timed(() =>
    withPlace(options.in, options, terminal.env, async (input) => {
      const registry =
        from === 'pgpack' ? await openRegistry(options, { ...input, signal }) : await textRegistry(options, terminal)
      if (to !== 'pgpack') return writeText(input, to, options, registry, terminal)
      const columns = from === 'pgpack' ? undefined : await textColumns(options, terminal)
      return withPlace(options.out, options, terminal.env, (output) =>
        from === 'pgpack'
          ? writeRepacked(input, output, options, terminal)
          : writePGPack(input, output, { ...options, format: from, registry, columns: columns ?? [] }, terminal),
      )
    }),
  )
  if (options.out === STDOUT) return
  const totals = { objects: 1, rows: `${result.rows}`, bytes: `${result.bytes}`, storedBytes: `${result.storedBytes}` }
  printSummary(terminal, 'converted', { from: options.in, to: options.out, ...totals, seconds }, options.json)
}

/** @throws PgpackError CONFIG_INVALID */
function checkOptions({ columns, like, out, header }: ConvertOptions, from: string, to: string): void {
  const invalid = (message: string) => new PgpackError('CONFIG_INVALID', message)
  if (from !== 'pgpack' && to !== 'pgpack') throw invalid('one of --from and --to must be pgpack')
  const described = [columns, like].filter((option) => option !== undefined).length
  if (from === 'pgpack' && described > 0) throw invalid('a PGPack file has its columns: leave --columns and --like out')
  if (from !== 'pgpack' && described !== 1) {
    throw invalid(`${from} does not tell its types: give --columns 'id bigint, name text' or --like FILE`)
  }
  if (header && from !== 'csv' && to !== 'csv') throw invalid('--header is for CSV')
  if (out === STDOUT && to === 'pgpack') throw invalid('a PGPack file cannot be written to stdout: its head comes last')
}

/** A text's types of users are those of the file that it is to be like. */
async function textRegistry({ like, ...options }: ConvertOptions, { env, signal }: Terminal): Promise<TypeRegistry> {
  if (like === undefined) return openRegistry(options)
  return withPlace(like, options, env, (place) => openRegistry(options, { ...place, signal }))
}

async function textColumns({ columns, like, ...options }: ConvertOptions, terminal: Terminal) {
  if (columns !== undefined) return parseColumns(columns)
  return withPlace(like ?? '', options, terminal.env, async ({ store, key }): Promise<readonly PGPackColumn[]> => {
    const file = await PGPackReader.open(await openSource(store, key, terminal.signal))
    return file.columns
  })
}

async function writeText(
  { store, key }: Place,
  format: TextFormat,
  options: ConvertOptions,
  registry: TypeRegistry,
  terminal: Terminal,
): Promise<Totals> {
  let rows = 0
  const onRows = (count: number) => {
    rows += count
  }
  const { header } = options
  const pieces = toText(await openSource(store, key, terminal.signal), { format, header, registry, onRows })
  const bytes =
    options.out === STDOUT
      ? await drain(pieces, (piece) => writeOut(terminal, piece))
      : await withPlace(options.out, options, terminal.env, (output) => uploadPieces(output, pieces, terminal.signal))
  return { rows: BigInt(rows), bytes: BigInt(bytes), storedBytes: BigInt(bytes) }
}

async function uploadPieces(
  { store, key }: Place,
  pieces: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<number> {
  const upload = store.upload(key, { signal })
  try {
    const bytes = await drain(pieces, (piece) => upload.write(piece))
    await upload.complete()
    return bytes
  } finally {
    // A no-op once the upload is complete.
    await upload.abort()
  }
}

async function drain(pieces: AsyncIterable<Buffer>, write: (piece: Buffer) => Promise<void>): Promise<number> {
  let bytes = 0
  for await (const piece of pieces) {
    bytes += piece.length
    await write(piece)
  }
  return bytes
}

async function writeOut({ stdout, signal }: Terminal, piece: Buffer): Promise<void> {
  if (!stdout.write(piece)) await once(stdout, 'drain', { signal })
}

interface FromText extends Pick<ConvertOptions, 'header' | 'compression'> {
  readonly format: TextFormat
  readonly registry: TypeRegistry
  readonly columns: readonly PGPackColumn[]
}

async function writePGPack(input: Place, output: Place, options: FromText, terminal: Terminal): Promise<Totals> {
  const { format, columns, registry, header } = options
  const compression = parseCompression(options.compression)
  return totalsOf(
    await fromText(input.store.read(input.key, terminal.signal), sinkFor(output, columns, terminal), {
      format,
      columns,
      registry,
      header,
      compression,
    }),
  )
}

async function writeRepacked(
  input: Place,
  output: Place,
  options: ConvertOptions,
  terminal: Terminal,
): Promise<Totals> {
  const source = await openSource(input.store, input.key, terminal.signal)
  const { columns } = await PGPackReader.open(source)
  const compression = parseCompression(options.compression)
  return totalsOf(await repack(source, sinkFor(output, columns, terminal), { compression }))
}

function sinkFor({ store, key }: Place, columns: readonly PGPackColumn[], { signal }: Terminal): PGPackSink {
  return store.upload(key, { signal, headLength: PGPackWriter.headLength({ columns }) })
}

function totalsOf({ rows, rawBytes, fileBytes }: PGPackSummary): Totals {
  return { rows, bytes: rawBytes, storedBytes: fileBytes }
}

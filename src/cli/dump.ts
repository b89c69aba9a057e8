import { Command } from 'commander'
import type { RunContext } from '../engine/context.ts'
import { dump, dumpFile, planDump } from '../engine/dump.ts'
import { PgpackError } from '../errors.ts'
import { METADATA_SPELLINGS } from '../pgpack/columns.ts'
import { describeConnection, parseDsn } from '../postgres/dsn.ts'
import { parseQualifiedName } from '../postgres/identifiers.ts'
import { DUMP_FORMATS, type DumpObject, VERIFICATIONS } from '../run/config.ts'
import { joinKey } from '../storage/keys.ts'
import { MANIFEST_NAME } from '../storage/manifest.ts'
import { parseCopyOptions } from './copy-option.ts'
import { MAX_CONNECTIONS, parseChoice, parseCompression, parseInteger } from './options.ts'
import { type Place, type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { collect, sessionOf } from './session.ts'
import { printSummary } from './summary.ts'
import { printLine, type Terminal } from './terminal.ts'
import { timed, withContext } from './work.ts'

interface DumpOptions extends PlaceOptions {
  readonly dsn: string
  readonly table: readonly string[]
  readonly tables: readonly string[]
  readonly exclude: readonly string[]
  readonly query?: string
  readonly where?: string
  readonly out: string
  readonly format: string
  readonly copyOption: readonly string[]
  readonly compression: string
  readonly compat: string
  readonly connections: string
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly set: readonly string[]
  readonly isolation?: string
  readonly verify: string
  readonly explain: boolean
  readonly dryRun: boolean
  readonly json: boolean
}

/** `pgpack dump`: tables and queries into files. */
export function dumpCommand(terminal: Terminal): Command {
  const command = new Command('dump')
    .description('Dump tables or the rows of a query: one into a file, several into a folder with a manifest.')
    .requiredOption('--dsn <uri>', 'postgres://user:password@host:port/database?sslmode=…')
    .option('--table <name>', 'table or view, as schema.name, quoted as in SQL; repeatable', collect, [])
    .option('--tables <pattern>', "tables by name: 'schema.log_*' with * ? [a-z]; repeatable", collect, [])
    .option('--exclude <pattern>', 'of --tables leave out those that fit; repeatable', collect, [])
    .option('--where <condition>', 'SQL condition that the dumped rows of the one table meet')
    .option('--query <sql>', 'a SELECT instead of tables')
    .requiredOption('--out <place>', 'PATH or s3://bucket/key of a file; with a / at its end, of a folder')
    .option('--format <format>', 'pgpack, or as COPY writes it: binary, text, csv', 'pgpack')
    .option('--copy-option <name=value>', "of COPY, for text and csv: 'delimiter=;', header; repeatable", collect, [])
    .option('--compression <method>', 'zstd:LEVEL, zstd:auto, lz4 or none', 'zstd:3')
    .option(
      '--compat <reference>',
      'which Python reference must read the file: released, or development (0.4)',
      'released',
    )
    .option('--connections <n>', 'connections that read at once', '1')
    .option('--before <sql>', 'run before the snapshot is taken; repeatable', collect, [])
    .option('--after <sql>', 'run after the last row was read; repeatable', collect, [])
    .option('--set <name=value>', "a setting of the sessions: 'work_mem=64MB'; repeatable", collect, [])
    .option('--isolation <level>', 'readcommitted, repeatableread or serializable')
    .option('--verify <what>', 'what a folder is read back for before its manifest: none, checksum or decode', 'none')
    .option('--explain', "show the server's plan of each query", false)
    .option('--dry-run', 'check everything, show what would be dumped, write nothing', false)
    .option('--json', 'print the summary as JSON', false)
  return withPlaceOptions(command).action((options: DumpOptions) => dumpToPlace(options, terminal))
}

async function dumpToPlace(options: DumpOptions, terminal: Terminal): Promise<void> {
  const objects = chosenObjects(options)
  const toFolder = options.out.endsWith('/')
  const [object] = objects
  if (object === undefined || (objects.length > 1 && !toFolder)) {
    const message = `${objects.length} objects need a folder: end --out with a /`
    throw new PgpackError('CONFIG_INVALID', message, { expected: 'a place that ends in /', found: options.out })
  }
  const verify = parseChoice('--verify', options.verify, VERIFICATIONS)
  if (verify !== 'None' && !toFolder) throw new PgpackError('CONFIG_INVALID', '--verify goes with a folder as --out')
  const request = requestOf(options, terminal)
  const work = (place: Place) => async (context: RunContext) => {
    if (!toFolder) {
      const file = { ...request, object, ...place }
      return options.dryRun ? planDump(file, context) : dumpFile(file, context)
    }
    await checkFree(place, context.signal)
    const folder = { ...request, objects, verify, store: place.store, path: place.key }
    return options.dryRun ? planDump(folder, context) : dump(folder, context)
  }
  const run = (place: Place) => withContext(terminal, options.json, work(place), options.explain ? 'info' : 'warn')
  const { result, seconds } = await timed(() => withPlace(options.out, options, terminal.env, run))
  const ends = { from: describeConnection(request.source), to: options.out }
  if (result.plan === undefined) {
    return printSummary(terminal, 'dumped', { ...ends, ...result.totals, seconds }, options.json)
  }
  printLine(terminal.stdout, options.json ? JSON.stringify({ ...ends, plan: result.plan }) : result.plan)
}

/** A dump that is there already would be lost bit by bit, while its manifest vouches for files that are gone. */
async function checkFree({ store, key: path }: Place, signal: AbortSignal): Promise<void> {
  const key = joinKey(path, MANIFEST_NAME)
  try {
    await store.stat(key, signal)
  } catch (error) {
    // Who may not list a bucket is told that a missing object is denied.
    if (error instanceof PgpackError && ['STORE_NO_OBJECT', 'STORE_DENIED'].includes(error.code)) return
    throw error
  }
  const message = `${store.location}: ${path} holds a dump already: name another folder, or remove that one`
  throw new PgpackError('CONFIG_INVALID', message, { expected: `no ${MANIFEST_NAME}`, found: key })
}

function requestOf(options: DumpOptions, terminal: Terminal) {
  const format = parseChoice('--format', options.format, DUMP_FORMATS)
  return {
    source: parseDsn(options.dsn, terminal.env),
    format,
    copyOptions: parseCopyOptions(options.copyOption),
    compression: parseCompression(options.compression),
    spelling: parseChoice('--compat', options.compat, METADATA_SPELLINGS),
    connections: parseInteger('--connections', options.connections, 1, MAX_CONNECTIONS),
    before: options.before,
    after: options.after,
    session: sessionOf(options),
    explain: options.explain ? ('Plan' as const) : ('None' as const),
  }
}

function chosenObjects({ table, tables, exclude, query, where }: DumpOptions): readonly DumpObject[] {
  const invalid = (message: string) => new PgpackError('CONFIG_INVALID', message)
  const named = table.length + tables.length
  if ((named === 0) === (query === undefined)) {
    throw invalid('give either --table schema.name (or --tables) or --query SQL')
  }
  if (where !== undefined && (table.length !== 1 || named !== 1)) {
    throw invalid('--where goes with one --table: a query has its own')
  }
  if (exclude.length > 0 && tables.length === 0) throw invalid('--exclude goes with --tables')
  if (query !== undefined) return [{ query: { name: 'query', sql: query } }]
  return [
    ...table.map((name) => ({ table: { ...parseQualifiedName(name), ...(where === undefined ? {} : { where }) } })),
    ...patternObjects(tables, exclude),
  ]
}

/** One object a schema: a table that several patterns fit is dumped once. */
function patternObjects(tables: readonly string[], exclude: readonly string[]): readonly DumpObject[] {
  const included = Map.groupBy(
    tables.map((text) => parseQualifiedName(text)),
    ({ schema }) => schema,
  )
  const excluded = Map.groupBy(
    exclude.map((text) => parseQualifiedName(text)),
    ({ schema }) => schema,
  )
  return [...included].map(([schema, names]) => ({
    tables: {
      schema,
      include: names.map(({ name }) => name),
      exclude: (excluded.get(schema) ?? []).map(({ name }) => name),
    },
  }))
}

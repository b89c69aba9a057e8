import { Command } from 'commander'
import { dumpFile } from '../engine/dump.ts'
import { PgpackError } from '../errors.ts'
import { METADATA_SPELLINGS } from '../pgpack/columns.ts'
import { describeConnection, parseDsn } from '../postgres/dsn.ts'
import { parseQualifiedName } from '../postgres/identifiers.ts'
import type { DumpObject } from '../run/config.ts'
import { MAX_CONNECTIONS, parseChoice, parseCompression, parseInteger } from './options.ts'
import { type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printSummary } from './summary.ts'
import type { Terminal } from './terminal.ts'
import { timed, withContext } from './work.ts'

interface DumpOptions extends PlaceOptions {
  readonly dsn: string
  readonly table?: string
  readonly query?: string
  readonly where?: string
  readonly out: string
  readonly compression: string
  readonly compat: string
  readonly connections: string
  readonly json: boolean
}

/** `pgpack dump`: one table or query into one PGPack file. */
export function dumpCommand(terminal: Terminal): Command {
  const command = new Command('dump')
    .description('Dump a table or the rows of a query into a PGPack file.')
    .requiredOption('--dsn <uri>', 'postgres://user:password@host:port/database?sslmode=…')
    .option('--table <name>', 'table or view, as schema.name; quoted as in SQL where its case matters')
    .option('--where <condition>', 'SQL condition that the dumped rows of the table meet')
    .option('--query <sql>', 'a SELECT instead of a table')
    .requiredOption('--out <place>', 'PATH or s3://bucket/key')
    .option('--compression <method>', 'zstd:LEVEL, lz4 or none', 'zstd:3')
    .option(
      '--compat <reference>',
      'which Python reference must read the file: released, or development (0.4)',
      'released',
    )
    .option('--connections <n>', 'connections that read at once', '1')
    .option('--json', 'print the summary as JSON', false)
  return withPlaceOptions(command).action((options: DumpOptions) => dumpToPlace(options, terminal))
}

async function dumpToPlace(options: DumpOptions, terminal: Terminal): Promise<void> {
  const object = chosenObject(options)
  const compression = parseCompression(options.compression)
  const spelling = parseChoice('--compat', options.compat, METADATA_SPELLINGS)
  const connections = parseInteger('--connections', options.connections, 1, MAX_CONNECTIONS)
  const source = parseDsn(options.dsn, terminal.env)
  const { result: totals, seconds } = await timed(() =>
    withPlace(options.out, options, terminal.env, (place) =>
      withContext(terminal, options.json, (context) =>
        dumpFile({ source, object, connections, compression, spelling, ...place }, context),
      ),
    ),
  )
  printSummary(
    terminal,
    'dumped',
    { from: describeConnection(source), to: options.out, ...totals, seconds },
    options.json,
  )
}

function chosenObject({ table, query, where }: DumpOptions): DumpObject {
  if ((table === undefined) === (query === undefined)) {
    throw new PgpackError('CONFIG_INVALID', 'give either --table schema.name or --query SQL')
  }
  if (table !== undefined) return { table: { ...parseQualifiedName(table), ...(where === undefined ? {} : { where }) } }
  if (where !== undefined) throw new PgpackError('CONFIG_INVALID', '--where goes with --table: a query has its own')
  return { query: { name: 'query', sql: query ?? '' } }
}

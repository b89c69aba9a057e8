import { Command } from 'commander'
import { transfer } from '../engine/transfer.ts'
import { PgpackError } from '../errors.ts'
import { describeConnection, parseDsn } from '../postgres/dsn.ts'
import { parseQualifiedName } from '../postgres/identifiers.ts'
import type { TransferObject } from '../run/config.ts'
import { type LoadingOptions, loadingRequest, printLoaded, withLoadingOptions } from './loading.ts'
import { collect } from './session.ts'
import type { Terminal } from './terminal.ts'
import { timed, withContext } from './work.ts'

interface TransferOptions extends LoadingOptions {
  readonly source: string
  readonly target: string
  readonly table?: string
  readonly query?: string
  readonly where?: string
  readonly to?: string
  readonly sourceBefore: readonly string[]
  readonly sourceAfter: readonly string[]
  readonly explain: boolean
  readonly json: boolean
}

/** `pgpack transfer`: a table or the rows of a query into a table, without a file between. */
export function transferCommand(terminal: Terminal): Command {
  const command = new Command('transfer')
    .description('Move a table or the rows of a query into a table, of the same or of another server.')
    .requiredOption('--source <uri>', 'postgres://user:password@host:port/database?sslmode=… to read')
    .requiredOption('--target <uri>', 'postgres://… to write to')
    .option('--table <name>', 'table or view of the source, as schema.name; quoted as in SQL where its case matters')
    .option('--where <condition>', 'SQL condition that the rows of the table meet')
    .option('--query <sql>', 'a SELECT instead of a table')
    .option('--to <name>', "table of the target; the one of --table's name when not given")
    .option('--source-before <sql>', 'run on the source before the snapshot is taken; repeatable', collect, [])
    .option('--source-after <sql>', 'run on the source after the last row; repeatable', collect, [])
    .option('--explain', "show the source's plan of the query", false)
    .option('--json', 'print the summary as JSON', false)
  return withLoadingOptions(command).action((options: TransferOptions) => transferBetween(options, terminal))
}

async function transferBetween(options: TransferOptions, terminal: Terminal): Promise<void> {
  const source = parseDsn(options.source, terminal.env)
  const target = parseDsn(options.target, terminal.env)
  const { sourceBefore, sourceAfter } = options
  const request = {
    ...loadingRequest(options),
    source,
    target,
    sourceBefore,
    sourceAfter,
    objects: [chosenObject(options)],
    explain: options.explain ? ('Plan' as const) : ('None' as const),
  }
  const level = options.explain ? 'info' : 'warn'
  const { result, seconds } = await timed(() =>
    withContext(terminal, options.json, (context) => transfer(request, context), level),
  )
  const ends = { from: describeConnection(source), to: describeConnection(target) }
  printLoaded(terminal, 'transferred', { ...ends, ...result, seconds }, options.json)
}

function chosenObject({ table, query, where, to }: TransferOptions): TransferObject {
  const into = to === undefined ? undefined : parseQualifiedName(to)
  if ((table === undefined) === (query === undefined)) {
    throw new PgpackError('CONFIG_INVALID', 'give either --table schema.name or --query SQL')
  }
  if (table !== undefined) {
    const object = { ...parseQualifiedName(table), ...(where === undefined ? {} : { where }) }
    return { table: object, ...(into === undefined ? {} : { to: into }) }
  }
  if (where !== undefined) throw new PgpackError('CONFIG_INVALID', '--where goes with --table: a query has its own')
  if (into === undefined) throw new PgpackError('CONFIG_INVALID', 'a query has no table of its own: give --to')
  return { query: { name: 'query', sql: query ?? '' }, to: into }
}

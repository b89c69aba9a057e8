import { Command } from 'commander'
import { restoreFile } from '../engine/restore.ts'
import { describeConnection, parseDsn } from '../postgres/dsn.ts'
import { parseQualifiedName } from '../postgres/identifiers.ts'
import { RESTORE_MODES } from '../run/config.ts'
import { parseChoice } from './options.ts'
import { type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { printSummary } from './summary.ts'
import type { Terminal } from './terminal.ts'
import { timed, withContext } from './work.ts'

interface RestoreOptions extends PlaceOptions {
  readonly dsn: string
  readonly in: string
  readonly table: string
  readonly mode: string
  readonly runId?: string
  readonly json: boolean
}

/** `pgpack restore`: one PGPack file into one table. */
export function restoreCommand(terminal: Terminal): Command {
  const command = new Command('restore')
    .description('Restore a PGPack file into a table.')
    .requiredOption('--in <place>', 'PATH or s3://bucket/key')
    .requiredOption('--dsn <uri>', 'postgres://user:password@host:port/database?sslmode=…')
    .requiredOption('--table <name>', 'table, as schema.name; quoted as in SQL where its case matters')
    .option('--mode <mode>', 'append, or truncate: empty the table first, in the same transaction', 'append')
    .option('--run-id <id>', 'append once however often the same id is tried, by a row in the table pgpack.ledger')
    .option('--json', 'print the summary as JSON', false)
  return withPlaceOptions(command).action((options: RestoreOptions) => restoreFromPlace(options, terminal))
}

async function restoreFromPlace(options: RestoreOptions, terminal: Terminal): Promise<void> {
  const table = parseQualifiedName(options.table)
  const mode = parseChoice('--mode', options.mode, RESTORE_MODES)
  const target = parseDsn(options.dsn, terminal.env)
  const runId = options.runId === undefined ? {} : { runId: options.runId }
  const { result: totals, seconds } = await timed(() =>
    withPlace(options.in, options, terminal.env, (place) =>
      withContext(terminal, options.json, (context) =>
        restoreFile({ target, table, mode, ...place, ...runId }, context),
      ),
    ),
  )
  printSummary(
    terminal,
    'restored',
    { from: options.in, to: describeConnection(target), ...totals, seconds },
    options.json,
  )
}

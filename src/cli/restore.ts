import { Command } from 'commander'
import type { RunContext } from '../engine/context.ts'
import { logsErrors, type RejectsPlace } from '../engine/rejects.ts'
import { restore, restoreFile } from '../engine/restore.ts'
import { restoreRows } from '../engine/restore-rows.ts'
import type { TargetRequest } from '../engine/target.ts'
import { PgpackError } from '../errors.ts'
import { TEXT_FORMATS } from '../pgpack/convert/convert.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import { describeConnection, parseDsn } from '../postgres/dsn.ts'
import { parseQualifiedName, type QualifiedName } from '../postgres/identifiers.ts'
import type { Outcome } from '../run/result.ts'
import { MANIFEST_NAME } from '../storage/manifest.ts'
import { parseCopyOptions } from './copy-option.ts'
import { type LoadingOptions, loadingRequest, printLoaded, withLoadingOptions } from './loading.ts'
import { type Place, type PlaceOptions, withPlace, withPlaceOptions } from './place.ts'
import { collect } from './session.ts'
import type { Terminal } from './terminal.ts'
import { timed, withContext } from './work.ts'

interface RestoreOptions extends PlaceOptions, LoadingOptions {
  readonly dsn: string
  readonly in?: string
  readonly from?: string
  readonly table?: string
  readonly copyOption: readonly string[]
  readonly rejects?: string
  readonly json: boolean
}

/** `pgpack restore`: one PGPack file into one table, or all objects of a dump by its manifest. */
export function restoreCommand(terminal: Terminal): Command {
  const command = new Command('restore')
    .description('Restore a PGPack file into a table, or a whole dump by its manifest.json.')
    .option('--in <place>', `PATH or s3://bucket/key of a PGPack file, or of a dump's ${MANIFEST_NAME}`)
    .option('--from <place>', 'PATH or s3://bucket/key of rows: .ndjson or .csv, typed by the columns of the table')
    .requiredOption('--dsn <uri>', 'postgres://user:password@host:port/database?sslmode=…')
    .option('--table <name>', 'table, as schema.name; quoted as in SQL where its case matters')
    .option(
      '--copy-option <name=value>',
      "of COPY, as the file's format has it: 'delimiter=;', freeze; repeatable",
      collect,
      [],
    )
    .option('--rejects <place>', 'PATH or s3://bucket/prefix for rows that Greenplum refuses and logs (logErrors)')
    .option('--json', 'print the summary as JSON', false)
  return withPlaceOptions(withLoadingOptions(command)).action((options: RestoreOptions) =>
    restoreFromPlace(options, terminal),
  )
}

async function restoreFromPlace(options: RestoreOptions, terminal: Terminal): Promise<void> {
  const from = options.in ?? options.from
  if (from === undefined || (options.in !== undefined && options.from !== undefined)) {
    throw new PgpackError('CONFIG_INVALID', 'give either --in for a PGPack file or a dump, or --from for rows')
  }
  const request = {
    target: parseDsn(options.dsn, terminal.env),
    copyOptions: parseCopyOptions(options.copyOption),
    ...loadingRequest(options),
  }
  if (options.rejects !== undefined && !logsErrors(request.copyOptions)) {
    const message = '--rejects is for rows that Greenplum refuses and logs: give --copy-option log_errors too'
    throw new PgpackError('CONFIG_INVALID', message, { expected: 'log_errors', found: 'no log_errors' })
  }
  const table = options.table === undefined ? undefined : parseQualifiedName(options.table)
  const load = options.from === undefined ? restorePlace : restoreRowsOf
  const work = (place: Place) =>
    withRejectsPlace(options, terminal, async (rejects) => {
      const restored = (context: RunContext) => load(place, table, { ...request, rejects }, context)
      const outcome = await withContext(terminal, options.json, restored)
      const { location } = (rejects ?? place).store
      return outcome.rejects === undefined ? outcome : { ...outcome, rejects: `${location}/${outcome.rejects}` }
    })
  const { result, seconds } = await timed(() => withPlace(from, options, terminal.env, work))
  const ends = { from, to: describeConnection(request.target) }
  printLoaded(terminal, 'restored', { ...ends, ...result, seconds }, options.json)
}

/** Opens the place for refused rows where one is named, for the time of `work`. */
async function withRejectsPlace<T>(
  options: RestoreOptions,
  { env }: Terminal,
  work: (rejects: RejectsPlace | undefined) => Promise<T>,
): Promise<T> {
  const { rejects } = options
  if (rejects === undefined) return work(undefined)
  return withPlace(rejects, options, env, ({ store, key }) => work({ store, path: key }))
}

interface RestoreRequest extends TargetRequest {
  readonly copyOptions: CopyOptions | undefined
  readonly rejects: RejectsPlace | undefined
}

function restorePlace(
  place: Place,
  table: QualifiedName | undefined,
  request: RestoreRequest,
  context: RunContext,
): Promise<Outcome> {
  const path = manifestFolder(place)
  if (path === undefined) return restoreFile({ ...request, ...place, table: required(table) }, context)
  if (table === undefined) return restore({ ...request, store: place.store, path, objects: [] }, context)
  throw new PgpackError('CONFIG_INVALID', '--table goes with a file: the objects of a dump have tables of their own')
}

function restoreRowsOf(
  place: Place,
  table: QualifiedName | undefined,
  request: RestoreRequest,
  context: RunContext,
): Promise<Outcome> {
  const format = TEXT_FORMATS.find((candidate) => place.key.toLowerCase().endsWith(`.${candidate}`))
  if (format !== undefined) return restoreRows({ ...request, ...place, format, table: required(table) }, context)
  throw new PgpackError('CONFIG_INVALID', `--from ${place.key}: expected a name that ends in .ndjson or .csv`)
}

function required(table: QualifiedName | undefined): QualifiedName {
  if (table !== undefined) return table
  throw new PgpackError('CONFIG_INVALID', 'a file goes into a table: give --table')
}

/** The folder of a dump where the place is its manifest. */
function manifestFolder({ key }: Place): string | undefined {
  if (key === MANIFEST_NAME) return ''
  return key.endsWith(`/${MANIFEST_NAME}`) ? key.slice(0, -MANIFEST_NAME.length - 1) : undefined
}

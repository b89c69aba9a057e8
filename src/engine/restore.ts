import { PgpackError } from '../errors.ts'
import { describeTable } from '../postgres/catalog.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { truncateTables } from '../postgres/copy.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { RestoreMode, RestoreRunConfig } from '../run/config.ts'
import type { ArtifactRef, RunTotals } from '../run/result.ts'
import { checkManifest, type Manifest, type ManifestObject, readManifest } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import { bareFileColumns } from './bare-file.ts'
import type { RunContext } from './context.ts'
import { checkHash, type FileHashes, type Load, loadObject, openFile } from './load.ts'
import { checkColumns, type SourceColumn } from './preflight.ts'
import { committedBefore, inTransaction, onceInTransaction, withTarget } from './target.ts'
import { addTotals, noTotals } from './totals.ts'

interface TableName {
  readonly schema: string
  readonly name: string
}

interface RestoreRequest {
  readonly store: ObjectStore
  readonly target: ConnectionConfig
  readonly mode: RestoreMode
  /** Makes an Append exactly-once by a row in the target's ledger; the same for every attempt of a run. */
  readonly runId?: string
}

export interface ArtifactRestoreRequest extends RestoreRequest {
  /** Where the manifest lies. */
  readonly path: string
  readonly manifestSHA256?: string
  /** Empty: every object into the table of its own name. */
  readonly objects: RestoreRunConfig['objects']
}

export interface FileRestoreRequest extends RestoreRequest {
  readonly key: string
  readonly table: TableName
}

/**
 * Loads the objects of a dump in one transaction: all of them or none. Everything that can be checked is checked before
 * the first row moves.
 */
export async function restore(
  request: ArtifactRestoreRequest,
  context: RunContext,
): Promise<{ totals: RunTotals; artifact: ArtifactRef }> {
  const { store, path } = request
  const { manifest, sha256 } = await readManifest(store, path, context.signal, request.manifestSHA256)
  const totals = await withTarget(request.target, context, async (session) => {
    const committed = await earlierCommit(session, request, context)
    if (committed !== undefined) return committed
    await checkManifest(store, path, manifest, context.signal)
    const pairs = pairObjects(manifest, request.objects)
    const loads: Load[] = []
    for (const { object, table } of pairs) {
      const columns = object.columns.map(({ type, ...column }) => ({ ...column, typeName: type }))
      const file = { key: `${path}/${object.file}`, name: object.name, table, columns, hashes: object }
      loads.push(await prepare(session, request, file, context))
    }
    return loadAll(session, loads, request, context)
  })
  return { totals, artifact: { path, manifestSHA256: sha256 } }
}

/** Loads one file, which needs no manifest: its header tells the columns and its lengths. */
export async function restoreFile(request: FileRestoreRequest, context: RunContext): Promise<RunTotals> {
  return withTarget(request.target, context, async (session) => {
    const committed = await earlierCommit(session, request, context)
    if (committed !== undefined) return committed
    const load = await prepare(session, request, { ...request, name: request.key }, context)
    return loadAll(session, [load], request, context)
  })
}

interface Pair {
  readonly object: ManifestObject
  readonly table: TableName
}

function pairObjects(manifest: Manifest, mapping: RestoreRunConfig['objects']): readonly Pair[] {
  if (mapping.length === 0) return manifest.objects.map((object) => ({ object, table: ownTable(object) }))
  return mapping.map(({ from, to }) => {
    const object = manifest.objects.find((candidate) => candidate.name === from)
    if (object !== undefined) return { object, table: to }
    const names = manifest.objects.map((candidate) => candidate.name).join(', ')
    throw new PgpackError('CONFIG_INVALID', `the dump holds no object "${from}"; it holds: ${names}`)
  })
}

function ownTable(object: ManifestObject): TableName {
  const { schema, relation } = object
  if (schema !== undefined && relation !== undefined) return { schema, name: relation }
  throw new PgpackError(
    'CONFIG_INVALID',
    `${object.name} is the result of a query and has no table of its own: name one in spec.objects[].to`,
  )
}

interface FileToLoad {
  readonly key: string
  /** For messages. */
  readonly name: string
  readonly table: TableName
  /** By the manifest; a bare file's own header knows less. */
  readonly columns?: readonly SourceColumn[]
  /** By the manifest; nothing vouches for a bare file. */
  readonly hashes?: FileHashes
}

async function prepare(
  session: PostgresConnection,
  request: RestoreRequest,
  file: FileToLoad,
  context: RunContext,
): Promise<Load> {
  const opened = await openFile(request.store, file.key, context.signal)
  if (file.hashes !== undefined) checkHash(file.name, 'head', file.hashes.headSHA256, opened.headSHA256)
  const table = await describeTable(session, file.table)
  const columns = file.columns ?? (await bareFileColumns(file.name, opened.reader, table, session))
  checkColumns(file.name, columns, table, session)
  const names = columns.map((column) => column.name)
  const expected = file.hashes === undefined ? {} : { bodySHA256: file.hashes.bodySHA256 }
  return { ...opened, name: file.name, table, columns: names, ...expected }
}

/** Truncate is the same however often it is done; only an Append needs the ledger. */
function ledgerId({ mode, runId }: RestoreRequest): string | undefined {
  return mode === 'Append' ? runId : undefined
}

async function earlierCommit(session: PostgresConnection, request: RestoreRequest, context: RunContext) {
  const runId = ledgerId(request)
  return runId === undefined ? undefined : committedBefore(session, runId, context)
}

async function loadAll(
  session: PostgresConnection,
  loads: readonly Load[],
  request: RestoreRequest,
  context: RunContext,
): Promise<RunTotals> {
  const size = loads.reduce((sum, load) => sum + load.size, 0)
  context.progress.start({ objects: loads.length, unit: 'storedBytes', total: BigInt(size) })
  const load = async () => {
    if (request.mode === 'Truncate') await session.query(truncateTables(loads.map((one) => one.table)))
    let totals = noTotals
    for (const one of loads) totals = addTotals(totals, await loadObject(session, one, context))
    return totals
  }
  const runId = ledgerId(request)
  return runId === undefined ? inTransaction(session, load) : onceInTransaction(session, runId, context, load)
}

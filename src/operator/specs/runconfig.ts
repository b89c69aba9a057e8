import type { PGPackDumpSpec } from '../../api/v1alpha1/dump.ts'
import type { PGPackRestoreSpec } from '../../api/v1alpha1/restore.ts'
import type { PGPackTransferSpec } from '../../api/v1alpha1/transfer.ts'
import type {
  DumpRunConfig,
  RemoveRunConfig,
  RestoreRunConfig,
  RunConfig,
  SessionConfig,
  TransferObject,
  TransferRunConfig,
} from '../../run/config.ts'
import { given } from './given.ts'
import { databaseConfig, databaseMounts, type Mount, storeConfig, storeMounts } from './mounts.ts'
import { shortUid } from './names.ts'
import type { DumpRun, RestoreRun, RestoreSource, Run, TransferRun } from './run.ts'

/** What one kind of run asks of its Job: the engine's configuration and what has to be mounted for it. */
export interface RunPlan {
  readonly config: RunConfig
  readonly mounts: readonly Mount[]
}

/** Key prefix of a dump; each attempt writes below `<path>/<attempt>/`. */
function dumpPath(run: DumpRun): string {
  const { namespace, name, uid } = run.metadata
  return `${namespace}/${name}-${shortUid(uid)}`
}

/** For people: where everything of a dump lies. Holds no credentials. */
export function dumpLocation(run: Run): string {
  if (run.kind !== 'PGPackDump') throw new Error(`a ${run.kind} writes no artefact`)
  const { s3, volume } = run.spec.destination
  const parts = s3 === undefined ? [volume?.claimName, volume?.path] : [`s3://${s3.bucket}`, s3.prefix]
  return [...parts, dumpPath(run)].filter((part) => part !== undefined && part !== '').join('/')
}

export function planDump(run: DumpRun): RunPlan {
  const { source, objects, compression, parallelism, destination } = run.spec
  const { runMode, session, before, after, format, copyOptions, explain, verify } = run.spec
  const config: DumpRunConfig = {
    ...identity(run),
    kind: 'Dump',
    source: databaseConfig(source),
    objects: objects.map(sourceObject),
    compression: { method: compression?.method ?? 'Zstd', ...given({ level: compression?.level }) },
    connections: parallelism?.connections ?? 1,
    destination: storeConfig(destination),
    path: dumpPath(run),
    ...given({ runMode, before, after, format, copyOptions, explain, verify, session: sessionConfig(session) }),
  }
  return { config, mounts: [...databaseMounts(source), ...storeMounts(destination, false)] }
}

export function planRestore(run: RestoreRun, source: RestoreSource): RunPlan {
  const { target, objects, copyOptions } = run.spec
  const config: RestoreRunConfig = {
    ...identity(run),
    kind: 'Restore',
    source: storeConfig(source.store),
    path: source.path,
    target: databaseConfig(target),
    objects: (objects ?? []).map(restoreObject),
    ...loading(run.spec),
    ...given({ manifestSHA256: source.manifestSHA256, copyOptions }),
  }
  // Rows that Greenplum refuses and logs are written beside the manifest.
  const readOnly = copyOptions?.logErrors !== true
  return { config, mounts: [...databaseMounts(target), ...storeMounts(source.store, readOnly)] }
}

export function planTransfer(run: TransferRun): RunPlan {
  const { source, target, objects, sourceSession, sourceBefore, sourceAfter, explain } = run.spec
  const config: TransferRunConfig = {
    ...identity(run),
    kind: 'Transfer',
    source: databaseConfig(source, 'source'),
    target: databaseConfig(target, 'target'),
    objects: objects.map(transferObject),
    ...loading(run.spec),
    ...given({ sourceSession: sessionConfig(sourceSession), sourceBefore, sourceAfter, explain }),
  }
  return { config, mounts: [...databaseMounts(source, 'source'), ...databaseMounts(target, 'target')] }
}

/** What removes everything that the attempts of a dump wrote. */
export function planRemoval(run: DumpRun): RunPlan {
  const { destination } = run.spec
  const config: RemoveRunConfig = {
    ...identity(run),
    kind: 'Remove',
    destination: storeConfig(destination),
    path: dumpPath(run),
  }
  return { config, mounts: storeMounts(destination, false) }
}

function identity(run: Run) {
  const { namespace, name, uid } = run.metadata
  return { version: 1 as const, namespace, name, uid }
}

/** What a restore and a transfer say of their target alike. */
function loading(spec: PGPackRestoreSpec | PGPackTransferSpec) {
  const { runMode, mode, transaction, before, after, session, analyze, parallelism } = spec
  return {
    mode: mode ?? ('Append' as const),
    ...given({ runMode, transaction, before, after, analyze, session: sessionConfig(session) }),
    ...given({ connections: parallelism?.connections }),
  }
}

function sessionConfig(session: PGPackDumpSpec['session']): SessionConfig | undefined {
  return session === undefined ? undefined : given(session)
}

type SourceObject = Pick<PGPackTransferSpec['objects'][number], 'table' | 'tables' | 'query'>

/** @throws Error when no member is set, which the schema's CEL rule refuses */
function sourceObject({ table, tables, query }: SourceObject) {
  if (query !== undefined) return { query: { name: query.name, sql: query.sql } }
  if (tables !== undefined) return { tables: tablesObject(tables) }
  if (table !== undefined) return { table: tableObject(table) }
  throw new Error('an object has neither table, tables nor query')
}

/** @throws Error as {@link sourceObject}, and for a query without a table to load */
function transferObject(object: PGPackTransferSpec['objects'][number]): TransferObject {
  const { table, tables, query, toSchema } = object
  const to = object.to === undefined ? undefined : tableName(object.to)
  if (table !== undefined) return { table: tableObject(table), ...given({ to }) }
  if (tables !== undefined) return { tables: tablesObject(tables), ...given({ toSchema }) }
  if (query === undefined || to === undefined) throw new Error('an object has neither table, tables nor query with to')
  return { query: { name: query.name, sql: query.sql }, to }
}

function tableObject({ columns, where, descendants, ...relation }: NonNullable<SourceObject['table']>) {
  return { ...tableName(relation), ...given({ columns, where, descendants }) }
}

function tablesObject({ schema, include, exclude }: NonNullable<SourceObject['tables']>) {
  return { schema: schema ?? 'public', include: include ?? ['*'], exclude: exclude ?? [] }
}

function restoreObject({ from, to, columns }: NonNullable<PGPackRestoreSpec['objects']>[number]) {
  return { from, to: tableName(to), ...given({ columns }) }
}

function tableName({ schema, name }: { schema?: string; name: string }) {
  return { schema: schema ?? 'public', name }
}

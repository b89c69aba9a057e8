import type { PGPackDumpSpec } from '../../api/v1alpha1/dump.ts'
import type { PGPackRestoreSpec } from '../../api/v1alpha1/restore.ts'
import type { DumpObject, DumpRunConfig, RestoreRunConfig, RunConfig } from '../../run/config.ts'
import { databaseConfig, databaseMounts, type Mount, storeConfig, storeMounts } from './mounts.ts'
import { shortUid } from './names.ts'
import type { DumpRun, RestoreRun, RestoreSource, Run } from './run.ts'

/** What one kind of run asks of its Job: the engine's configuration and what has to be mounted for it. */
export interface RunPlan {
  readonly config: RunConfig
  readonly mounts: readonly Mount[]
}

/** Key prefix of a dump; each attempt writes below `<path>/<attempt>/`. */
export function dumpPath(run: DumpRun): string {
  const { namespace, name, uid } = run.metadata
  return `${namespace}/${name}-${shortUid(uid)}`
}

export function planDump(run: DumpRun): RunPlan {
  const { source, objects, compression, parallelism, destination } = run.spec
  const config: DumpRunConfig = {
    ...identity(run),
    kind: 'Dump',
    source: databaseConfig(source),
    objects: objects.map(dumpObject),
    compression: {
      method: compression?.method ?? 'Zstd',
      ...(compression?.level === undefined ? {} : { level: compression.level }),
    },
    connections: parallelism?.connections ?? 1,
    destination: storeConfig(destination),
    path: dumpPath(run),
  }
  return { config, mounts: [...databaseMounts(source), ...storeMounts(destination, false)] }
}

export function planRestore(run: RestoreRun, source: RestoreSource): RunPlan {
  const { target, objects, mode } = run.spec
  const config: RestoreRunConfig = {
    ...identity(run),
    kind: 'Restore',
    source: storeConfig(source.store),
    path: source.path,
    ...(source.manifestSHA256 === undefined ? {} : { manifestSHA256: source.manifestSHA256 }),
    target: databaseConfig(target),
    objects: (objects ?? []).map(restoreObject),
    mode: mode ?? 'Append',
  }
  return { config, mounts: [...databaseMounts(target), ...storeMounts(source.store, true)] }
}

function identity(run: Run) {
  const { namespace, name, uid } = run.metadata
  return { version: 1 as const, namespace, name, uid }
}

/** @throws Error when neither member is set, which the schema's CEL rule refuses */
function dumpObject({ table, query }: PGPackDumpSpec['objects'][number]): DumpObject {
  if (query !== undefined) return { query: { name: query.name, sql: query.sql } }
  if (table === undefined) throw new Error('an object has neither table nor query')
  const { schema, name, columns, where } = table
  return {
    table: {
      schema: schema ?? 'public',
      name,
      ...(columns === undefined ? {} : { columns: [...columns] }),
      ...(where === undefined ? {} : { where }),
    },
  }
}

function restoreObject({ from, to }: NonNullable<PGPackRestoreSpec['objects']>[number]) {
  return { from, to: { schema: to.schema ?? 'public', name: to.name } }
}

import type { PostgresConnection } from '../postgres/connection.ts'
import { copyFrom } from '../postgres/copy.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { Outcome } from '../run/result.ts'
import { checkManifest, readManifest } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import { bareFileColumns } from './bare-file.ts'
import type { RunContext } from './context.ts'
import type { Load } from './load.ts'
import { openFile, wholeFile } from './load-file.ts'
import { countingOf, loadOptions } from './load-options.ts'
import { runLoads } from './load-run.ts'
import { diagramOf, findTargets, type Pair, type Prepared } from './preflight-plan.ts'
import {
  checkRejects,
  checkRejectsPlace,
  logsErrors,
  type RejectsFile,
  type RejectsPlace,
  rejectsBeside,
  rejectsOf,
  rejectsOutcome,
} from './rejects.ts'
import { type Mapping, openObject, pairObjects } from './restore-object.ts'
import { checkInStore } from './segments.ts'
import type { TargetRequest } from './target.ts'

interface RestoreRequest extends TargetRequest {
  readonly store: ObjectStore
}

export interface ArtifactRestoreRequest extends RestoreRequest, Mapping {
  /** Where the manifest lies. */
  readonly path: string
  readonly manifestSHA256?: string | undefined
  /** For rows that copyOptions.logErrors brings back; beside the manifest, by the run, when not given. */
  readonly rejects?: RejectsPlace | undefined
}

export interface FileRestoreRequest extends RestoreRequest {
  readonly key: string
  readonly table: QualifiedName
  readonly copyOptions?: CopyOptions | undefined
  /** For rows that copyOptions.logErrors brings back; beside the file when not given. */
  readonly rejects?: RejectsPlace | undefined
}

/**
 * Loads the objects of a dump. Everything that can be checked is checked before the first row moves, and one error tells
 * all that was found.
 */
export async function restore(request: ArtifactRestoreRequest, context: RunContext): Promise<Outcome> {
  const { store, path } = request
  const { manifest, sha256 } = await readManifest(store, path, context.signal, request.manifestSHA256)
  const rejects = logsErrors(request.copyOptions)
    ? (request.rejects ?? rejectsBeside(store, path, request.runId))
    : undefined
  const outcome = await runLoads(request, `${store.location}/${path}`, context, async (session) => {
    await checkManifest(store, path, manifest, context.signal)
    const pairs = pairObjects(manifest, request)
    const targets = await findTargets(session, pairs, request)
    const problems = targets.flatMap((target) => target.problems)
    const connections = request.connections ?? 1
    const source = { store, path, connections, checkBodies: request.runMode !== 'DryRun', mode: request.mode, rejects }
    const loads: Load[] = []
    for (const [index, pair] of problems.length > 0 ? [] : pairs.entries()) {
      const target = targets[index]
      if (target !== undefined) loads.push(await openObject(session, pair, target, source, context))
    }
    if (request.runMode !== 'DryRun' && rejects !== undefined && loads.some((load) => load.rejects !== undefined)) {
      await checkRejectsPlace(rejects, context.signal)
    }
    const plan = pairs.map((pair, index) => {
      const { rows, rawBytes } = pair.object
      return diagramOf(pair, targets[index], { rows: BigInt(rows), bytes: BigInt(rawBytes) })
    })
    return { loads, problems, plan, expectedRows: undefined }
  })
  const refused = rejectsOutcome(rejects, outcome.totals, context)
  return { ...outcome, artifact: { path, manifestSHA256: sha256 }, ...refused }
}

/** Loads one file, which needs no manifest: its header tells the columns and its lengths. */
export async function restoreFile(request: FileRestoreRequest, context: RunContext): Promise<Outcome> {
  const { store, key } = request
  if ((request.connections ?? 1) > 1) {
    const why = 'a file without a manifest has no index of its rows: one connection loads it'
    context.log.warn({ key, connections: request.connections }, why)
  }
  const single = { ...request, connections: 1 }
  checkInStore(key, request.copyOptions)
  const rejects = rejectsOf(request)
  const outcome = await runLoads(single, `${store.location}/${key}`, context, (session) =>
    prepareFile(session, single, rejects, context),
  )
  return { ...outcome, ...rejectsOutcome(rejects, outcome.totals, context) }
}

async function prepareFile(
  session: PostgresConnection,
  request: FileRestoreRequest,
  rejects: RejectsFile | undefined,
  { signal, progress }: RunContext,
): Promise<Prepared> {
  const { store, key: name, table: to } = request
  const file = await openFile(store, name, signal)
  const unknown: Pair = { name, to, columns: [], binary: true, definition: undefined }
  const [found] = await findTargets(session, [unknown], { ...request, mode: 'Append' })
  const given = found?.relation === undefined ? [] : await bareFileColumns(name, file.reader, found.relation, session)
  const pair = { ...unknown, columns: given }
  const [target] = await findTargets(session, [pair], request)
  const columns = given.map((column) => column.name)
  const how = loadOptions(session, { name, format: 'PGPack', columns }, request.copyOptions)
  const loadable = target?.problems.length === 0
  await checkRejects(session, loadable ? rejects : undefined, target?.relation, { runMode: request.runMode, signal })
  const load = (table: Load['table']): Load => ({
    name,
    table,
    foreignOids: true,
    columns,
    parts: [wholeFile(file, { name, bodySHA256: undefined }, progress)],
    repeatable: true,
    statement: (into) => copyFrom(into, columns, how),
    counting: countingOf(request.copyOptions),
    rejects,
  })
  return {
    loads: target === undefined ? [] : [load(target.table)],
    problems: target?.problems ?? [],
    plan: [diagramOf(pair, target, { rows: undefined, bytes: file.reader.rawLength })],
    expectedRows: undefined,
  }
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyFrom, copyFromSegments } from '../postgres/copy.ts'
import type { CopyFormatOptions } from '../postgres/copy-options/clause.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { RestoreMode, RestoreRunConfig } from '../run/config.ts'
import { escapeObjectName, joinKey } from '../storage/keys.ts'
import type { Manifest, ManifestColumn, ManifestObject } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { copyOf } from './format.ts'
import { type Load, openSource } from './load.ts'
import { checkBody, checkHash, filePart, openFile, wholeFile } from './load-file.ts'
import { countingOf, loadOptions } from './load-options.ts'
import { projectPart } from './load-projection.ts'
import { rawFile } from './load-raw.ts'
import { checkSegments } from './load-segments.ts'
import { planParts } from './parts.ts'
import type { SourceColumn } from './preflight.ts'
import type { Pair, Target } from './preflight-plan.ts'
import { checkErrorLog, logsErrors, RejectsFile, type RejectsPlace } from './rejects.ts'
import { checkInStore, checkSegmentPaths, isOnSegments, withObjectName } from './segments.ts'
import { about } from './source-name.ts'

/** An object of a manifest on its way into a table. */
export interface ObjectPair extends Pair {
  readonly object: ManifestObject
  /** For each of the object's columns, whether it is loaded. */
  readonly keep: readonly boolean[]
  readonly how: CopyFormatOptions
}

export interface Mapping {
  /** Empty: every object into the table of its own name. */
  readonly objects: RestoreRunConfig['objects']
  /** Beside what the manifest says. */
  readonly copyOptions?: CopyOptions | undefined
}

/**
 * Which object goes into which table, by the mapping or each into the table of its own name.
 * @throws PgpackError CONFIG_INVALID, POSTGRES_NO_COLUMN, OBJECT_UNSUPPORTED
 */
export function pairObjects(manifest: Manifest, { objects, copyOptions }: Mapping): readonly ObjectPair[] {
  const types = manifest.types ?? []
  const wanted = objects.length === 0 ? manifest.objects.map(({ name }) => name) : objects.map(({ from }) => from)
  checkSegmentPaths(copyOptions, new Set(wanted).size)
  if (objects.length === 0) {
    return manifest.objects.map((object) =>
      toPair(object, ownTable(object), { columns: undefined, copyOptions, types }),
    )
  }
  return objects.map(({ from, to, columns }) => {
    const object = manifest.objects.find((candidate) => candidate.name === from)
    if (object !== undefined) return toPair(object, to, { columns, copyOptions, types })
    const names = manifest.objects.map((candidate) => candidate.name).join(', ')
    throw new PgpackError('CONFIG_INVALID', `the dump holds no object "${from}"; it holds: ${names}`)
  })
}

function ownTable(object: ManifestObject): QualifiedName {
  const { schema, relation } = object
  if (schema !== undefined && relation !== undefined) return { schema, name: relation }
  throw new PgpackError(
    'CONFIG_INVALID',
    `${object.name} is the result of a query and has no table of its own: name one in spec.objects[].to`,
  )
}

interface PairOptions {
  readonly columns: readonly string[] | undefined
  readonly copyOptions: CopyOptions | undefined
  readonly types: NonNullable<Manifest['types']>
}

function toPair(
  object: ManifestObject,
  to: QualifiedName,
  { columns: wanted, copyOptions, types }: PairOptions,
): ObjectPair {
  const keep = keptColumns(object, wanted)
  const columns = object.columns.filter((_, index) => keep[index])
  const how = howToLoad(object, copyOptions)
  return {
    name: object.name,
    to,
    object,
    keep,
    how,
    columns: columns.map(sourceColumn),
    binary: how.format === 'Binary',
    definition: {
      columns: columns.map(({ name, type, typeOid, notNull }) => ({ name, type, typeOid, notNull })),
      primaryKey: object.primaryKey,
      distribution: object.distribution,
      types,
    },
  }
}

function sourceColumn({ name, type, typeOid, typmod }: ManifestColumn): SourceColumn {
  return { name, typeName: type, typeOid, typmod }
}

function keptColumns(
  { name, columns, format, segments }: ManifestObject,
  wanted: readonly string[] | undefined,
): boolean[] {
  const unknown = wanted?.find((column) => !columns.some((candidate) => candidate.name === column))
  if (unknown !== undefined) {
    const have = columns.map((column) => column.name).join(', ')
    throw new PgpackError('POSTGRES_NO_COLUMN', `${name} has no column "${unknown}" in the dump; it has: ${have}`)
  }
  const keep = columns.map((column) => wanted === undefined || wanted.includes(column.name))
  if (keep.every(Boolean) || (segments === undefined && (format === 'PGPack' || format === 'Binary'))) return keep
  const what = segments === undefined ? format : `${format} on the segments`
  const message = `${name} was dumped as ${what}, from which columns cannot be chosen without reading every value: load all of them, or dump it as PGPack`
  throw new PgpackError('OBJECT_UNSUPPORTED', message, { expected: 'PGPack or Binary', found: what })
}

/** Options that only write a file mean nothing when it is read. */
function howToLoad(object: ManifestObject, override: CopyOptions | undefined): CopyFormatOptions {
  const { format, copyOptions = {} } = object
  if (object.segments === undefined) checkInStore(object.name, override)
  const { forceQuote: _, ignoreExternalPartitions: __, ...read } = copyOptions
  const { schema, relation } = object
  const how = copyOf({ format, copyOptions: { ...read, ...override } })
  return schema === undefined || relation === undefined ? how : withObjectName(how, { schema, name: relation })
}

export interface ObjectSource {
  readonly store: ObjectStore
  /** Where the manifest lies. */
  readonly path: string
  readonly connections: number
  /** Hashes of bodies that are loaded in several parts are compared now. */
  readonly checkBodies: boolean
  readonly mode: RestoreMode
  /** Where rows go that Greenplum refuses and logs. */
  readonly rejects: RejectsPlace | undefined
}

/** Opens an object's file and splits it into parts. @throws PgpackError MANIFEST_MISMATCH, CONFIG_INVALID, PGPACK_*, STORE_* */
export async function openObject(
  session: PostgresConnection,
  { object, keep, how, binary }: ObjectPair,
  target: Target,
  source: ObjectSource,
  context: RunContext,
): Promise<Load> {
  const columns = object.columns.filter((_, index) => keep[index]).map(({ name }) => name)
  const { options = {} } = how
  loadOptions(session, { name: object.name, format: object.format, columns }, options)
  const { segments, distribution } = object
  if (isOnSegments(options) && segments !== undefined) {
    const into = { relation: target.relation, mode: source.mode }
    await about(object.name, () => checkSegments(session, { segments, distribution }, options.onSegment, into))
  }
  const rejects = logsErrors(options) ? await rejectsFile(session, object, target, source) : undefined
  // What is refused goes into one file, which a part writes as a whole.
  const connections = rejects === undefined ? source.connections : 1
  const parts = await openParts(object, { ...source, connections }, context)
  return {
    name: object.name,
    table: target.table,
    create: target.create,
    foreignOids: binary,
    columns,
    parts: keep.every(Boolean) ? parts : parts.map((part) => ('onSegments' in part ? part : projectPart(part, keep))),
    repeatable: true,
    statement: (table) =>
      isOnSegments(options) ? copyFromSegments(table, columns, { ...how, options }) : copyFrom(table, columns, how),
    counting: countingOf(options),
    rejects,
  }
}

async function rejectsFile(
  session: PostgresConnection,
  { name, schema, relation }: ManifestObject,
  target: Target,
  { rejects }: ObjectSource,
): Promise<RejectsFile | undefined> {
  if (rejects === undefined) return undefined
  await checkErrorLog(session, target.relation)
  const stem = escapeObjectName(schema, relation ?? name)
  const table = escapeObjectName(target.table.schema, target.table.name)
  // An object may go into several tables, and several into one.
  const file = stem === table ? `${stem}.csv` : `${table}/${stem}.csv`
  return new RejectsFile(rejects, file)
}

async function openParts(
  object: ManifestObject,
  { store, path, connections, checkBodies }: ObjectSource,
  { signal, progress }: RunContext,
): Promise<Load['parts']> {
  if (object.segments !== undefined) return [{ onSegments: true, storedBytes: 0n, rows: BigInt(object.rows) }]
  const key = joinKey(path, object.file)
  const { name, bodySHA256 } = object
  if (object.format !== 'PGPack') {
    const facts = { name, method: object.compression.method, sha256: bodySHA256, rows: BigInt(object.rows) }
    return [rawFile(await openSource(store, key, signal), facts, progress)]
  }
  const file = await openFile(store, key, signal)
  checkHash(name, 'head', object.headSHA256, file.headSHA256)
  const ranges = planParts(object, connections)
  if (ranges.length === 1) return [wholeFile(file, { name, bodySHA256 }, progress)]
  if (checkBodies) await checkBody(file, name, bodySHA256)
  return ranges.map((range) => filePart(file, range, progress))
}

import { checkCompression } from '../compression/compress.ts'
import type { CompressionOptions } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import type { MetadataSpelling } from '../pgpack/columns.ts'
import { describeTypes } from '../postgres/catalog-types.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { DumpObject, DumpRunConfig } from '../run/config.ts'
import type { ArtifactRef, Outcome, RunTotals } from '../run/result.ts'
import { checkManifest, MANIFEST_NAME, type Manifest, writeManifest } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { ObjectDump } from './dump-object.ts'
import { drawDump } from './dump-plan.ts'
import { dumpAll } from './dump-pool.ts'
import { SegmentDump } from './dump-segments.ts'
import { copyOf, extensionOf, type FileFormat } from './format.ts'
import { buildManifest, fileName, manifestObject, type RunIdentity } from './manifest.ts'
import { endReading, type Readers, type ReadOptions, withReaders } from './readers.ts'
import { checkSegmentPaths, isOnSegments } from './segments.ts'
import type { DumpSource } from './source.ts'
import { explainSelect } from './source-check.ts'
import { findSources } from './source-list.ts'
import { addTotals, noTotals } from './totals.ts'
import { verifyFiles } from './verify.ts'

interface DumpRequest extends Omit<ReadOptions, 'rehearsal'>, Partial<FileFormat> {
  readonly source: ConnectionConfig
  readonly connections: number
  readonly compression: CompressionOptions
  /** `released` when not given. */
  readonly spelling?: MetadataSpelling
  readonly store: ObjectStore
  /** Run on the source after the last row, outside the snapshot's transaction, each committed on its own. */
  readonly after?: readonly string[] | undefined
  readonly explain?: DumpRunConfig['explain'] | undefined
}

export interface ArtifactDumpRequest extends DumpRequest {
  readonly objects: readonly DumpObject[]
  /** Key prefix of this attempt: nothing else may have written below it. */
  readonly path: string
  readonly run?: RunIdentity
  readonly verify?: DumpRunConfig['verify'] | undefined
}

export interface FileDumpRequest extends DumpRequest {
  readonly object: DumpObject
  /** Key of the file. */
  readonly key: string
}

/** A dump that was carried out, not only planned. */
export type DumpOutcome = Outcome & { readonly artifact: ArtifactRef }

/**
 * Dumps objects in one snapshot into files below `path` and commits them by `<path>/manifest.json`, which is written
 * last and read back. Without that manifest a reader trusts nothing of what lies there.
 * @throws PgpackError; after a failure no file of this attempt is left where the store lets us remove it.
 */
export async function dump(request: ArtifactDumpRequest, context: RunContext): Promise<DumpOutcome> {
  const { store, path } = request
  checkUnverified(request)
  return withSources(request, request.objects, context, async (readers, sources) => {
    const keys = sources.map((source) => keyOf(source, request))
    try {
      const dumps = await dumpSources(sources, keys, readers, request, context)
      return await commit(dumps, readers, request, context)
    } catch (error) {
      await removeLeftovers(store, path, keys, context)
      logSegmentLeftovers(sources, context)
      throw error
    }
  })
}

/** Dumps one object into one file of its own, without a manifest: the file's header holds its lengths. */
export async function dumpFile(request: FileDumpRequest, context: RunContext): Promise<Outcome> {
  checkIntoStore(request)
  return withSources(request, [request.object], context, async (readers, sources) => {
    checkSingle(sources)
    const dumps = await dumpSources(sources, [request.key], readers, request, context)
    await endReading(readers, request.after)
    return { totals: totalsOf(dumps) }
  })
}

/**
 * Does all that comes before the first row and tells what would go where; writes nothing, and what `before` does is
 * rolled back. Throws what the dump would.
 */
export async function planDump(request: ArtifactDumpRequest | FileDumpRequest, context: RunContext): Promise<Outcome> {
  const objects = 'object' in request ? [request.object] : request.objects
  const rehearsal = { ...request, rehearsal: true }
  if ('object' in request) checkIntoStore(request)
  else checkUnverified(request)
  return withSources(rehearsal, objects, context, async (_readers, sources) => {
    if ('object' in request) checkSingle(sources)
    const end = (source: DumpSource) => ('object' in request ? request.key : keyOf(source, request))
    return drawDump(request, sources, (source) => source.onSegment ?? end(source), context)
  })
}

/** A file alone has no manifest beside it that could say where the segments' files are. */
function checkIntoStore({ copyOptions }: DumpRequest): void {
  if (!isOnSegments(copyOptions)) return
  const message =
    'copyOptions.onSegment leaves the rows on the hosts of the segments: name a folder, by a / at its end, for the manifest that says where'
  throw new PgpackError('CONFIG_INVALID', message, { expected: 'a folder', found: 'a file' })
}

/** What a dump of files that only the segments can read cannot promise. */
function checkUnverified({ copyOptions, verify = 'None' }: ArtifactDumpRequest): void {
  if (!isOnSegments(copyOptions) || verify === 'None') return
  const message = `verify ${verify} reads back what was written, and copyOptions.onSegment leaves it where only the server reads it: leave one of them out`
  throw new PgpackError('CONFIG_INVALID', message, { expected: 'None', found: verify })
}

function checkSingle(sources: readonly DumpSource[]): void {
  if (sources.length === 1) return
  const message = `the pattern fits ${sources.length} tables: name a folder for them, by a / at its end`
  throw new PgpackError('CONFIG_INVALID', message, { expected: '1 table', found: `${sources.length} tables` })
}

function keyOf(source: DumpSource, request: ArtifactDumpRequest): string {
  const { format } = formatOf(request)
  return `${request.path}/${fileName(source, extensionOf(format, request.compression))}`
}

function formatOf({ format = 'PGPack', copyOptions }: Partial<FileFormat>): FileFormat {
  return { format, copyOptions }
}

type Dump = ObjectDump | SegmentDump

/** Finds and checks every object on both sides before `work` moves the first row. */
async function withSources<T>(
  request: DumpRequest & Pick<ReadOptions, 'rehearsal'>,
  objects: readonly DumpObject[],
  context: RunContext,
  work: (readers: Readers, sources: readonly DumpSource[]) => Promise<T>,
): Promise<T> {
  const { source, connections, store, session, before, rehearsal } = request
  const { format, copyOptions } = formatOf(request)
  if (format === 'PGPack' && copyOptions !== undefined) {
    throw new PgpackError('CONFIG_INVALID', 'copyOptions go with format Binary, Text or CSV: a PGPack file has none')
  }
  checkCompression(request.compression)
  await store.check(context.signal)
  const read = async (readers: Readers) => {
    const how = { connections, log: context.log, ...copyOf({ format, copyOptions }) }
    const sources = await findSources(readers.leader, objects, how)
    checkMoment(request, sources)
    checkSegmentPaths(copyOptions, sources.length)
    if (request.explain === 'Plan') await logPlans(readers, sources, context)
    return work(readers, sources)
  }
  return withReaders(source, connections, context, read, { session, before, rehearsal })
}

/** Each statement of a ReadCommitted transaction has a snapshot of its own: several objects would be of several moments. */
function checkMoment({ session }: DumpRequest, sources: readonly DumpSource[]): void {
  if (session?.isolation !== 'ReadCommitted' || sources.length === 1) return
  const message = `session.isolation ReadCommitted goes with one object, found ${sources.length}: use RepeatableRead, which reads all of them in one snapshot`
  throw new PgpackError('CONFIG_INVALID', message, { expected: '1 object', found: `${sources.length} objects` })
}

async function logPlans({ leader }: Readers, sources: readonly DumpSource[], { log }: RunContext): Promise<void> {
  for (const { name, select } of sources) {
    log.info({ object: name, plan: await explainSelect(leader, select) }, 'how the server reads the object')
  }
}

async function dumpSources(
  sources: readonly DumpSource[],
  keys: readonly string[],
  readers: Readers,
  request: DumpRequest,
  context: RunContext,
): Promise<readonly Dump[]> {
  startProgress(sources, context)
  const { store, compression, spelling } = request
  const target = { store, compression, ...formatOf(request), ...(spelling === undefined ? {} : { spelling }) }
  const dumps = sources.map((source, index) =>
    source.onSegment === undefined
      ? new ObjectDump(source, { ...target, key: keys[index] ?? '' }, context.progress)
      : new SegmentDump(source, source.onSegment, context.progress),
  )
  await dumpAll(dumps, readers.all, context.signal)
  return dumps
}

function startProgress(sources: readonly DumpSource[], context: RunContext): void {
  const estimates = sources.map((source) => source.estimatedRows)
  const total = estimates.reduce((sum, rows) => (sum === undefined || rows === undefined ? undefined : sum + rows), 0n)
  context.progress.start({ objects: sources.length, unit: 'rows', total })
}

function totalsOf(dumps: readonly Dump[]): RunTotals {
  return dumps.reduce((totals, { dumped }) => addTotals(totals, dumped), noTotals)
}

/** All files are there: the manifest makes a dump of them. */
async function commit(
  dumps: readonly Dump[],
  readers: Readers,
  request: ArtifactDumpRequest,
  { signal }: RunContext,
): Promise<DumpOutcome> {
  const { store, path, compression, verify, session, run } = request
  const written = { ...formatOf(request), compression }
  const objects = dumps.map(({ source, dumped }) => manifestObject(source, written, dumped))
  const oids = dumps.flatMap(({ source }) => source.columns.map((column) => column.typeOid))
  const types = await describeTypes(readers.leader, oids)
  await endReading(readers, request.after)
  if (verify !== undefined && verify !== 'None') await verifyFiles(store, path, objects, verify, signal)
  const { database } = request.source
  const isolation = session?.isolation ?? 'RepeatableRead'
  const facts = { database, createdAt: new Date(), run, isolation, types }
  const manifest: Manifest = buildManifest(readers, objects, facts)
  const { sha256 } = await writeManifest(store, path, manifest, signal)
  await checkManifest(store, path, manifest, signal)
  return { totals: totalsOf(dumps), artifact: { path, manifestSHA256: sha256 } }
}

/** Only a program could remove a file from a segment's host, and none is run there. */
function logSegmentLeftovers(sources: readonly DumpSource[], { log }: RunContext): void {
  const paths = sources.flatMap(({ onSegment }) => onSegment ?? [])
  if (paths.length > 0)
    log.warn({ paths }, 'segments may have written files, which stay; another attempt writes over them')
}

/** Time for removing what a failed attempt wrote; well within the pod's grace period of 30 s. */
const CLEANUP_MS = 8000

/** The manifest goes first: while it stands, the files below it count as whole. The run's own error is what matters. */
async function removeLeftovers(
  store: ObjectStore,
  path: string,
  keys: readonly string[],
  context: RunContext,
): Promise<void> {
  const signal = AbortSignal.timeout(CLEANUP_MS)
  try {
    await store.remove([`${path}/${MANIFEST_NAME}`], signal)
    await store.remove(keys, signal)
  } catch (err) {
    context.log.warn({ err, path }, 'files of the failed attempt could not be removed; they have no manifest')
  }
}

import type { CompressionOptions } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import type { MetadataSpelling } from '../pgpack/columns.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { DumpObject } from '../run/config.ts'
import type { ArtifactRef, RunTotals } from '../run/result.ts'
import { checkManifest, MANIFEST_NAME, type ManifestObject, writeManifest } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { dumpObject } from './dump-object.ts'
import { buildManifest, fileName, manifestObject, type RunIdentity } from './manifest.ts'
import { type Readers, withReaders } from './readers.ts'
import { type DumpSource, findSource } from './source.ts'
import { addTotals, noTotals } from './totals.ts'

interface DumpRequest {
  readonly source: ConnectionConfig
  readonly connections: number
  readonly compression: CompressionOptions
  /** `released` when not given. */
  readonly spelling?: MetadataSpelling
  readonly store: ObjectStore
}

export interface ArtifactDumpRequest extends DumpRequest {
  readonly objects: readonly DumpObject[]
  /** Key prefix of this attempt: nothing else may have written below it. */
  readonly path: string
  readonly run?: RunIdentity
}

export interface FileDumpRequest extends DumpRequest {
  readonly object: DumpObject
  /** Key of the file. */
  readonly key: string
}

/**
 * Dumps objects in one snapshot into `<path>/<object>.pgpack` and commits them by `<path>/manifest.json`, which is
 * written last and read back. Without that manifest a reader trusts nothing of what lies there.
 * @throws PgpackError; after a failure no file of this attempt is left where the store lets us remove it.
 */
export async function dump(
  request: ArtifactDumpRequest,
  context: RunContext,
): Promise<{ totals: RunTotals; artifact: ArtifactRef }> {
  const { store, path } = request
  const { database } = request.source
  await store.check(context.signal)
  return withReaders(request.source, request.connections, context, async (readers) => {
    const sources = await findSources(request.objects, readers)
    startProgress(sources, context)
    const files = sources.map((source) => ({ source, file: fileName(source) }))
    const keys = files.map(({ file }) => `${path}/${file}`)
    try {
      const entries: ManifestObject[] = []
      let totals = noTotals
      for (const { source, file } of files) {
        const summary = await dumpObject(source, readers.all, { ...request, key: `${path}/${file}` }, context)
        entries.push(manifestObject(source, file, request.compression, summary))
        totals = addTotals(totals, summary)
      }
      const manifest = buildManifest(readers, entries, { database, createdAt: new Date(), run: request.run })
      const { sha256 } = await writeManifest(store, path, manifest, context.signal)
      await checkManifest(store, path, manifest, context.signal)
      return { totals, artifact: { path, manifestSHA256: sha256 } }
    } catch (error) {
      await removeLeftovers(store, path, keys, context)
      throw error
    }
  })
}

/** Dumps one object into one file of its own, without a manifest: the file's header holds its lengths. */
export async function dumpFile(request: FileDumpRequest, context: RunContext): Promise<RunTotals> {
  await request.store.check(context.signal)
  return withReaders(request.source, request.connections, context, async (readers) => {
    const source = await findSource(readers.leader, request.object, readers.all.length)
    startProgress([source], context)
    return addTotals(noTotals, await dumpObject(source, readers.all, request, context))
  })
}

/** All objects are looked up before the first row moves, so that a misspelled one costs nothing. */
async function findSources(objects: readonly DumpObject[], readers: Readers): Promise<DumpSource[]> {
  const sources: DumpSource[] = []
  for (const object of objects) {
    const source = await findSource(readers.leader, object, readers.all.length)
    if (sources.some((other) => other.name === source.name)) {
      throw new PgpackError('CONFIG_INVALID', `${source.name} is asked for twice: give each object its own name`)
    }
    sources.push(source)
  }
  return sources
}

function startProgress(sources: readonly DumpSource[], context: RunContext): void {
  const estimates = sources.map((source) => source.estimatedRows)
  const total = estimates.reduce((sum, rows) => (sum === undefined || rows === undefined ? undefined : sum + rows), 0n)
  context.progress.start({ objects: sources.length, unit: 'rows', total })
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

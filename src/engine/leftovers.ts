import { errorCode } from '../errors.ts'
import { joinKey } from '../storage/keys.ts'
import { MANIFEST_NAME } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'

/** What was removed: objects, and their bytes in the store. */
export interface Removed {
  readonly objects: number
  readonly storedBytes: number
}

/** Keys that are held in memory and removed at once: what S3 takes in one request. */
const BATCH = 1000
/** A new attempt has better things to do than to wait for a slow store. */
const CLEANUP_MS = 30_000

/**
 * Removes what earlier attempts of the same dump left below `<path>/<attempt>/`, uploads that they had begun included:
 * they were killed before they could do it themselves. An attempt with a manifest is whole and stays: a status or a
 * person may name it. Never fails the new attempt, which trusts nothing that lies there.
 */
export async function removeEarlierAttempts(
  store: ObjectStore,
  path: string,
  attempt: string,
  context: RunContext,
): Promise<void> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(CLEANUP_MS)])
  try {
    for (const earlier of await attemptsBelow(store, path, signal)) {
      if (earlier !== attempt) await removeUnfinished(store, joinKey(path, earlier), context, signal)
    }
  } catch (err) {
    context.log.warn({ err, path }, 'files of earlier attempts could not be removed; they have no manifest')
  }
  await abortUploadsBelow(store, path, { ...context, signal }, (key) => attemptOf(path, key) !== attempt)
}

/**
 * Gives up the uploads below `<path>/` that were begun and never completed. What prevents it is told and no more:
 * listing uploads is a right of its own (`s3:ListBucketMultipartUploads`), and nobody reads what they hold.
 */
export async function abortUploadsBelow(
  store: ObjectStore,
  path: string,
  { signal, log }: RunContext,
  wanted?: (key: string) => boolean,
): Promise<void> {
  try {
    const uploads = await store.abortUploads(`${path}/`, signal, wanted)
    if (uploads > 0) log.info({ path, uploads }, 'gave up uploads that an earlier attempt left unfinished')
  } catch (err) {
    log.warn({ err, path }, 'unfinished uploads of earlier attempts may remain in the store')
  }
}

/** The folder of an attempt; undefined for what lies beside them. */
function attemptOf(path: string, key: string): string | undefined {
  const [attempt, ...rest] = key.slice(path.length + 1).split('/')
  return rest.length > 0 ? attempt : undefined
}

/** Names of the folders below a dump's path, one for each attempt that wrote something. */
async function attemptsBelow(store: ObjectStore, path: string, signal: AbortSignal): Promise<Set<string>> {
  const attempts = new Set<string>()
  for await (const { key } of store.list(`${path}/`, signal)) {
    const attempt = attemptOf(path, key)
    if (attempt !== undefined) attempts.add(attempt)
  }
  return attempts
}

async function removeUnfinished(store: ObjectStore, path: string, context: RunContext, signal: AbortSignal) {
  const manifest = joinKey(path, MANIFEST_NAME)
  if (await exists(store, manifest, signal)) return
  const removed = await removeBelow(store, `${path}/`, signal, (key) => key !== manifest)
  context.log.info({ path, ...removed }, 'removed what an earlier attempt left')
  // A pod that its lost node kept running may have ended meanwhile: its manifest names files that are gone.
  if (await exists(store, manifest, signal)) await store.remove([manifest], signal)
}

async function exists(store: ObjectStore, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    await store.stat(key, signal)
    return true
  } catch (error) {
    if (errorCode(error) === 'STORE_NO_OBJECT') return false
    throw error
  }
}

/** Removes every object whose key begins with `prefix` and that `wanted` names, a batch at a time. */
export async function removeBelow(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
  wanted: (key: string) => boolean = () => true,
): Promise<Removed> {
  let removed: Removed = { objects: 0, storedBytes: 0 }
  let keys: string[] = []
  const flush = async () => {
    if (keys.length > 0) await store.remove(keys, signal)
    keys = []
  }
  for await (const { key, size } of store.list(prefix, signal)) {
    // A store that lists more than it was asked for must not make us remove it.
    if (!key.startsWith(prefix) || !wanted(key)) continue
    removed = { objects: removed.objects + 1, storedBytes: removed.storedBytes + size }
    if (keys.push(key) === BATCH) await flush()
  }
  await flush()
  return removed
}

import type { RunContext } from '../engine/context.ts'
import { abortUploadsBelow, type Removed, removeBelow } from '../engine/leftovers.ts'
import { errorCode, PgpackError } from '../errors.ts'
import type { RemoveRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import { MANIFEST_NAME } from '../storage/manifest.ts'
import type { ObjectStore } from '../storage/store.ts'
import { storeFromMounts } from './mounts.ts'

/**
 * Removes everything that the attempts of a dump wrote below its path. The manifests go first: whatever comes in
 * between, what is left counts as whole for nobody.
 * @throws PgpackError STORE_*; STORE_FAILED (retryable) when something is still written there
 */
export async function executeRemove(config: RemoveRunConfig, context: RunContext): Promise<Outcome> {
  const store = await storeFromMounts(config.destination)
  try {
    const { objects, storedBytes } = await removeArtifact(store, config.path, context)
    return { totals: { objects, rows: '0', bytes: '0', storedBytes: String(storedBytes) } }
  } finally {
    store.close()
  }
}

async function removeArtifact(store: ObjectStore, path: string, context: RunContext): Promise<Removed> {
  const { signal, log } = context
  const prefix = `${path}/`
  if (!(await hasPlace(store, signal))) {
    log.warn({ path, location: store.location }, 'the bucket or folder does not exist, and nothing can be in it')
    return { objects: 0, storedBytes: 0 }
  }
  const manifests = await removeBelow(store, prefix, signal, (key) => key.endsWith(`/${MANIFEST_NAME}`))
  const files = await removeBelow(store, prefix, signal)
  await abortUploadsBelow(store, path, context)
  const { objects: left } = await removeBelow(store, prefix, signal)
  if (left > 0) {
    const message = `${store.location}: ${left} objects came below ${path} while it was removed; it is tried again`
    throw new PgpackError('STORE_FAILED', message, { retryable: true })
  }
  return { objects: manifests.objects + files.objects, storedBytes: manifests.storedBytes + files.storedBytes }
}

async function hasPlace(store: ObjectStore, signal: AbortSignal): Promise<boolean> {
  try {
    await store.check(signal)
    return true
  } catch (error) {
    if (errorCode(error) === 'STORE_NO_BUCKET') return false
    throw error
  }
}

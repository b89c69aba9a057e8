import type { RunContext } from '../engine/context.ts'
import { restore } from '../engine/restore.ts'
import type { RestoreRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import { databaseFromMounts, storeFromMounts } from './mounts.ts'

/** A restore as a job pod runs it: its ledger row bears the resource's uid, which every attempt shares. */
export async function executeRestore(config: RestoreRunConfig, context: RunContext): Promise<Outcome> {
  const { path, objects, mode, manifestSHA256 } = config
  const target = await databaseFromMounts(config.target)
  const store = await storeFromMounts(config.source)
  const expected = manifestSHA256 === undefined ? {} : { manifestSHA256 }
  try {
    return await restore({ store, path, objects, mode, target, runId: config.uid, ...expected }, context)
  } finally {
    store.close()
  }
}

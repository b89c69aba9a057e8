import type { RunContext } from '../engine/context.ts'
import { restore } from '../engine/restore.ts'
import type { RestoreRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import { databaseFromMounts, storeFromMounts } from './mounts.ts'

/** A restore as a job pod runs it: its ledger rows bear the resource's uid, which every attempt shares. */
export async function executeRestore(config: RestoreRunConfig, context: RunContext): Promise<Outcome> {
  const target = await databaseFromMounts(config.target)
  const store = await storeFromMounts(config.source)
  try {
    return await restore({ ...config, target, store, runId: config.uid }, context)
  } finally {
    store.close()
  }
}

import type { RunContext } from '../engine/context.ts'
import { transfer } from '../engine/transfer.ts'
import type { TransferRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import { databaseFromMounts } from './mounts.ts'

/** A transfer as a job pod runs it: its ledger rows bear the resource's uid, which every attempt shares. */
export async function executeTransfer(config: TransferRunConfig, context: RunContext): Promise<Outcome> {
  const source = await databaseFromMounts(config.source)
  const target = await databaseFromMounts(config.target)
  return transfer({ ...config, source, target, runId: config.uid }, context)
}

import type { RunContext } from '../engine/context.ts'
import { dump } from '../engine/dump.ts'
import type { DumpRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import { databaseFromMounts, storeFromMounts } from './mounts.ts'

/** A dump as a job pod runs it. `attempt` names the folder that nothing else writes to. */
export async function executeDump(config: DumpRunConfig, attempt: string, context: RunContext): Promise<Outcome> {
  const { objects, connections, compression, namespace, name, uid } = config
  const source = await databaseFromMounts(config.source)
  const store = await storeFromMounts(config.destination)
  const run = { namespace, name, uid, attempt }
  try {
    return await dump(
      { source, objects, connections, compression, store, path: `${config.path}/${attempt}`, run },
      context,
    )
  } finally {
    store.close()
  }
}

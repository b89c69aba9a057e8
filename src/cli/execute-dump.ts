import type { RunContext } from '../engine/context.ts'
import { dump, planDump } from '../engine/dump.ts'
import { removeEarlierAttempts } from '../engine/leftovers.ts'
import type { DumpRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import { databaseFromMounts, storeFromMounts } from './mounts.ts'

/** A dump as a job pod runs it. `attempt` names the folder that nothing else writes to. */
export async function executeDump(config: DumpRunConfig, attempt: string, context: RunContext): Promise<Outcome> {
  const { namespace, name, uid, objects, connections, compression, session, before, after } = config
  const { format, copyOptions, explain, verify, runMode } = config
  const source = await databaseFromMounts(config.source)
  const store = await storeFromMounts(config.destination)
  const request = {
    ...{ source, store, objects, connections, compression, session, before, after, copyOptions, explain, verify },
    ...(format === undefined ? {} : { format }),
    path: `${config.path}/${attempt}`,
    run: { namespace, name, uid, attempt },
  }
  try {
    if (runMode === 'DryRun') return await planDump(request, context)
    await removeEarlierAttempts(store, config.path, attempt, context)
    return await dump(request, context)
  } finally {
    store.close()
  }
}

import type { PostgresConnection } from '../postgres/connection.ts'
import { truncateTables } from '../postgres/copy.ts'
import { type Entry, findEntries, forget } from './ledger.ts'
import { type Load, pairName } from './load.ts'

/**
 * Empties the tables of objects of which nothing is loaded, before their parts come in transactions of their own;
 * resolves with what earlier attempts have loaded of the others. The ledger is read again once the tables are locked: a
 * pod that was thought dead may have loaded the first part in the meantime.
 */
export async function emptyTables(
  session: PostgresConnection,
  loads: readonly Load[],
  runId: string | undefined,
): Promise<readonly Entry[]> {
  for (;;) {
    const earlier = await findEntries(session, runId)
    const pending = loads.filter((load) => !isBegun(load, earlier))
    if (pending.length === 0) return earlier
    // A later snapshot than the lock's: what an isolation level above would keep.
    await session.query('BEGIN ISOLATION LEVEL READ COMMITTED')
    await session.query(truncateTables(pending.map(({ table }) => table)))
    const entries = await findEntries(session, runId)
    if (pending.some((load) => isBegun(load, entries))) {
      await session.query('ROLLBACK')
      continue
    }
    const names = pending.map(pairName)
    if (runId !== undefined) await forget(session, runId, names)
    await session.query('COMMIT')
    return entries.filter(({ object }) => !names.includes(object))
  }
}

/** Of what finds the same parts again, any part counts; of what does not, only all of them. */
function isBegun(load: Load, entries: readonly Entry[]): boolean {
  const found = entries.filter(({ object }) => object === pairName(load))
  const [first] = found
  return first !== undefined && (load.repeatable || found.length >= first.parts)
}

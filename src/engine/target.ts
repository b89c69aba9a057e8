import { PgpackError } from '../errors.ts'
import { connect, type PostgresConnection } from '../postgres/connection.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { RunTotals } from '../run/result.ts'
import type { RunContext } from './context.ts'
import { claimRun, findRun, openLedger, recordRun } from './ledger.ts'

/** Opens one session for writing, runs `work` and closes it; closing an unfinished transaction rolls it back. */
export async function withTarget<T>(
  config: ConnectionConfig,
  context: RunContext,
  work: (session: PostgresConnection) => Promise<T>,
): Promise<T> {
  const session = await connect(config, { signal: context.signal, applicationName: 'pgpack restore' })
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

/** Runs `work` in one transaction; what fails rolls it back with the session that it closes. */
export async function inTransaction(session: PostgresConnection, work: () => Promise<RunTotals>): Promise<RunTotals> {
  await session.query('BEGIN')
  const totals = await work()
  await commit(session, false)
  return totals
}

/** Runs `work` in one transaction, unless another pod of the same run commits first: then with what that one did. */
export async function onceInTransaction(
  session: PostgresConnection,
  runId: string,
  context: RunContext,
  work: () => Promise<RunTotals>,
): Promise<RunTotals> {
  await openLedger(session)
  await session.query('BEGIN')
  if (!(await claimRun(session, runId))) {
    const committed = await committedBefore(session, runId, context)
    if (committed === undefined) throw new PgpackError('INTERNAL', `run ${runId} is in the ledger and is not`)
    return committed
  }
  const totals = await work()
  await recordRun(session, runId, totals)
  await commit(session, true)
  return totals
}

/** What an earlier attempt of the run committed; a retry then has nothing to do, and needs nothing that is gone since. */
export async function committedBefore(
  session: PostgresConnection,
  runId: string,
  context: RunContext,
): Promise<RunTotals | undefined> {
  const committed = await findRun(session, runId)
  if (committed !== undefined) {
    context.log.info({ runId, ...committed }, 'an earlier attempt of this run committed already')
  }
  return committed
}

/** A connection that breaks during COMMIT leaves it open whether the server committed; only the ledger can tell. */
async function commit(session: PostgresConnection, repeatable: boolean): Promise<void> {
  try {
    await session.query('COMMIT')
  } catch (cause) {
    if (repeatable || !(cause instanceof PgpackError) || cause.code !== 'POSTGRES_CONNECTION_LOST') throw cause
    throw new PgpackError(
      'POSTGRES_CONNECTION_LOST',
      'the connection was lost during COMMIT: the rows may be in the table or not; look before you try again',
      { cause, retryable: false },
    )
  }
}

import { PgpackError } from '../errors.ts'
import { connect, type PostgresConnection } from '../postgres/connection.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { RestoreMode, SessionConfig, TransferRunConfig } from '../run/config.ts'
import type { RunTotals } from '../run/result.ts'
import type { RunContext } from './context.ts'

/** What is said of the target alike by a restore and a transfer. */
export interface TargetRequest {
  readonly target: ConnectionConfig
  readonly mode: RestoreMode
  /** Sessions that write at once; 1 when not given. */
  readonly connections?: number | undefined
  /** All with one connection, PerObject with several when not given. */
  readonly transaction?: TransferRunConfig['transaction']
  readonly before?: readonly string[] | undefined
  readonly after?: readonly string[] | undefined
  readonly session?: SessionConfig | undefined
  /** Always when not given. */
  readonly analyze?: TransferRunConfig['analyze']
  /** DryRun writes nothing; Run when not given. */
  readonly runMode?: TransferRunConfig['runMode']
  /** Makes an Append exactly-once by rows in the target's ledger; the same for every attempt of a run. */
  readonly runId?: string | undefined
}

/** How the rows get into transactions. @throws PgpackError CONFIG_INVALID for All with several connections */
export function transactionOf({ transaction, connections = 1 }: TargetRequest): 'PerObject' | 'All' {
  if (transaction === 'All' && connections > 1) {
    throw new PgpackError(
      'CONFIG_INVALID',
      `transaction All goes with one connection, found ${connections}: several connections are several transactions`,
    )
  }
  return transaction ?? (connections > 1 ? 'PerObject' : 'All')
}

/** Whether rows are added to those that are there: doing it twice would double them. */
export function addsRows(mode: RestoreMode): boolean {
  return mode === 'Append' || mode === 'CreateIfMissing'
}

/** Opens sessions for writing, runs `work` and closes them; closing an unfinished transaction rolls it back. */
export async function withTargets<T>(
  { target, session }: Pick<TargetRequest, 'target' | 'session'>,
  count: number,
  { signal, log }: RunContext,
  work: (sessions: readonly PostgresConnection[]) => Promise<T>,
): Promise<T> {
  const sessions: PostgresConnection[] = []
  const settings = session === undefined ? {} : { session: withoutUndefined(session) }
  try {
    while (sessions.length < count) {
      sessions.push(await connect(target, { signal, log, applicationName: 'pgpack restore', ...settings }))
    }
    return await work(sessions)
  } finally {
    await Promise.all(sessions.map((one) => one.close()))
  }
}

function withoutUndefined({ statementTimeoutSeconds, lockTimeoutSeconds, settings }: SessionConfig) {
  return {
    ...(statementTimeoutSeconds === undefined ? {} : { statementTimeoutSeconds }),
    ...(lockTimeoutSeconds === undefined ? {} : { lockTimeoutSeconds }),
    ...(settings === undefined ? {} : { settings }),
  }
}

export async function withTarget<T>(
  request: Pick<TargetRequest, 'target' | 'session'>,
  context: RunContext,
  work: (session: PostgresConnection) => Promise<T>,
): Promise<T> {
  return withTargets(request, 1, context, async ([session]) => {
    if (session === undefined) throw new PgpackError('INTERNAL', 'no session was opened')
    return work(session)
  })
}

const ISOLATION_SQL = {
  ReadCommitted: 'READ COMMITTED',
  RepeatableRead: 'REPEATABLE READ',
  Serializable: 'SERIALIZABLE',
} as const

export async function begin(connection: PostgresConnection, session: SessionConfig | undefined): Promise<void> {
  const level = session?.isolation
  await connection.query(level === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${ISOLATION_SQL[level]}`)
}

/** Runs each statement on its own; an error says which one it was. */
export async function runStatements(
  connection: PostgresConnection,
  statements: readonly string[] | undefined,
): Promise<void> {
  for (const statement of statements ?? []) await connection.query(statement)
}

/**
 * COMMIT. A connection that breaks during it, or is cut because the server does not answer a cancellation, leaves it open
 * whether the server committed; only a ledger can tell.
 * @param repeatable another attempt finds out, or does no harm
 */
export async function commit(session: PostgresConnection, repeatable: boolean): Promise<void> {
  try {
    await session.query('COMMIT')
  } catch (cause) {
    if (repeatable || !session.closed) throw cause
    throw new PgpackError(
      'POSTGRES_CONNECTION_LOST',
      'the connection was lost during COMMIT: the rows may be in the table or not; look before you try again',
      { cause, retryable: false },
    )
  }
}

/** Says in the log that an earlier attempt did the work. */
export function logCommitted(context: RunContext, runId: string, totals: RunTotals): RunTotals {
  context.log.info({ runId, ...totals }, 'an earlier attempt of this run committed already')
  return totals
}

import { PgpackError } from '../errors.ts'
import { connect, type PostgresConnection } from '../postgres/connection.ts'
import { exportSnapshot, importSnapshot } from '../postgres/snapshot.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { SessionConfig } from '../run/config.ts'
import type { RunContext } from './context.ts'

/** Sessions that all see the database as it was at one moment. */
export interface Readers {
  /** The session that owns the snapshot; also in `all`. */
  readonly leader: PostgresConnection
  readonly all: readonly PostgresConnection[]
  /** Absent with one session, which needs to share nothing. */
  readonly snapshot: string | undefined
}

export interface ReadOptions {
  /** Of every session. */
  readonly session?: SessionConfig | undefined
  /** Run on the leader, each committed on its own, before the snapshot is taken. */
  readonly before?: readonly string[] | undefined
  /** Of a dry run: what `before` does is seen by the leader alone and rolled back in the end. */
  readonly rehearsal?: boolean | undefined
}

type Isolation = NonNullable<SessionConfig['isolation']>

/** The leader's transaction; the others import its snapshot, which only REPEATABLE READ can beside DEFERRABLE. */
const BEGIN: Readonly<Record<Isolation, string>> = {
  ReadCommitted: 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY',
  RepeatableRead: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
  // Waits for a moment at which the snapshot is safe: then nothing serializable could make it wrong.
  Serializable: 'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE',
}

const BEGIN_REHEARSAL = 'BEGIN ISOLATION LEVEL REPEATABLE READ'

/**
 * Opens `count` sessions in one snapshot, runs `work` and closes them all, whatever happened: a session that is closed
 * in the middle of a COPY is cancelled first, so that no backend is left behind.
 * @throws PgpackError CONFIG_INVALID for an isolation that the server or the number of sessions rules out, and for
 *   temporary tables that only one of several sessions would see
 */
export async function withReaders<T>(
  config: ConnectionConfig,
  count: number,
  context: Pick<RunContext, 'signal' | 'log'>,
  work: (readers: Readers) => Promise<T>,
  { session, before = [], rehearsal = false }: ReadOptions = {},
): Promise<T> {
  const isolation = session?.isolation ?? 'RepeatableRead'
  const opened: PostgresConnection[] = []
  const open = async () => {
    const settings = session === undefined ? {} : { session }
    // Of several hosts only the leader's has the snapshot.
    const place = opened[0]?.config ?? config
    const connection = await connect(place, { signal: context.signal, applicationName: 'pgpack dump', ...settings })
    opened.push(connection)
    return connection
  }
  try {
    const leader = await open()
    checkIsolation(leader, isolation, count)
    if (rehearsal) await leader.query(BEGIN_REHEARSAL)
    for (const sql of before) await leader.query(sql)
    if (count > 1 && before.length > 0) await checkTemporaryTables(leader)
    if (!rehearsal) await leader.query(BEGIN[isolation])
    const snapshot = count > 1 ? await exportSnapshot(leader) : undefined
    if (snapshot !== undefined) {
      for (let number = 1; number < count; number += 1) await join(await open(), snapshot)
    }
    return await work({ leader, all: opened, snapshot })
  } finally {
    await Promise.all(opened.map((connection) => connection.close()))
  }
}

/**
 * The leader holds the locks on all that is read, so whatever another session has to wait for is somebody who waits for
 * the leader: to wait behind them would be for ever, and no server sees that deadlock, for the leader is idle.
 */
const LOCK_TIMEOUT_MS = 5000
const BOUND_LOCK_TIMEOUT = `SELECT set_config('lock_timeout', '${LOCK_TIMEOUT_MS}ms', false)
FROM pg_catalog.pg_settings WHERE name = 'lock_timeout' AND setting::int8 NOT BETWEEN 1 AND ${LOCK_TIMEOUT_MS}`

async function join(connection: PostgresConnection, snapshot: string): Promise<void> {
  await connection.query(BOUND_LOCK_TIMEOUT)
  await connection.query(BEGIN.RepeatableRead)
  await importSnapshot(connection, snapshot)
}

/** Ends the leader's transaction, then runs `after` on it, each statement committed on its own. */
export async function endReading({ leader }: Readers, after: readonly string[] = []): Promise<void> {
  await leader.query('COMMIT')
  for (const sql of after) await leader.query(sql)
}

function checkIsolation({ name, inRecovery }: PostgresConnection, isolation: Isolation, count: number): void {
  if (isolation === 'ReadCommitted' && count > 1) {
    const message = `session.isolation ReadCommitted has a snapshot for each statement, which ${count} connections cannot share: use one connection, or RepeatableRead`
    throw new PgpackError('CONFIG_INVALID', message, { expected: '1 connection', found: `${count} connections` })
  }
  if (isolation === 'Serializable' && inRecovery) {
    const message = `${name} is a standby, which has no session.isolation Serializable: use RepeatableRead, or read from the primary`
    throw new PgpackError('CONFIG_INVALID', message, { expected: 'a primary', found: 'a server in recovery' })
  }
}

async function checkTemporaryTables(leader: PostgresConnection): Promise<void> {
  const tables = await leader.query<{ name: string }>(
    `SELECT relname AS name FROM pg_catalog.pg_class
     WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p', 'v') ORDER BY 1`,
  )
  if (tables.length === 0) return
  const names = tables.map(({ name }) => `"${name}"`).join(', ')
  const message = `before has made what only its own session sees: temporary ${names}. Use one connection, or an ordinary table`
  throw new PgpackError('CONFIG_INVALID', message, { expected: '1 connection', found: 'several connections' })
}

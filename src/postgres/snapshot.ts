import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'
import { quoteLiteral } from './identifiers.ts'

/**
 * The snapshot of the session's transaction, for other sessions to share while that transaction lasts. The session is
 * in a REPEATABLE READ or SERIALIZABLE transaction.
 */
export async function exportSnapshot(connection: PostgresConnection): Promise<string> {
  const [row] = await connection.query<{ snapshot: string }>('SELECT pg_export_snapshot() AS snapshot')
  if (row === undefined) throw new PgpackError('POSTGRES_PROTOCOL', `${connection.name}: no snapshot was returned`)
  return row.snapshot
}

/** Of another server, of another database, or of a transaction that is over; from PostgreSQL 17 on the first is 42704. */
const UNKNOWN_SNAPSHOT = new Set(['22023', '42704', '0A000', '55000'])

/**
 * Takes over an exported snapshot: the first statement of a REPEATABLE READ transaction that has just begun.
 * @throws PgpackError POSTGRES_STATEMENT where the server does not know the snapshot
 */
export async function importSnapshot(connection: PostgresConnection, snapshot: string): Promise<void> {
  try {
    await connection.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
  } catch (cause) {
    if (!(cause instanceof PgpackError) || !UNKNOWN_SNAPSHOT.has(cause.details.status ?? '')) throw cause
    const remedy = 'a Service or load balancer may lead each elsewhere: name one server, or use one connection'
    const message = `${cause.message}; the sessions that share a snapshot must reach one and the same server: ${remedy}`
    throw new PgpackError('POSTGRES_STATEMENT', message, { ...cause.details, cause })
  }
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'
import { quoteLiteral } from './identifiers.ts'

/**
 * The snapshot of the session's transaction, for other sessions to share while that transaction lasts. The session is
 * in a REPEATABLE READ or SERIALIZABLE transaction.
 * @throws PgpackError CONFIG_INVALID for a Greenplum whose segments would not keep to it
 */
export async function exportSnapshot(connection: PostgresConnection): Promise<string> {
  const [row] = await connection.query<{ snapshot: string; version: string }>(
    'SELECT pg_export_snapshot() AS snapshot, version() AS version',
  )
  if (row === undefined) throw new PgpackError('POSTGRES_PROTOCOL', `${connection.name}: no snapshot was returned`)
  checkSnapshots(connection.name, row.version)
  return row.snapshot
}

/**
 * Greenplum 6 brought an exported snapshot to its segments from 6.21 on, and kept its rows of one moment only when gpdb
 * pull request 14203 was in.
 */
const GREENPLUM_6_MINOR = 23

/** @param version what version() says. @throws PgpackError CONFIG_INVALID */
export function checkSnapshots(name: string, version: string): void {
  const [found, minor] = /Greenplum Database 6\.(\d+)/.exec(version) ?? []
  if (minor === undefined || Number(minor) >= GREENPLUM_6_MINOR) return
  const expected = `Greenplum Database 6.${GREENPLUM_6_MINOR}`
  const message = `${name} is ${found}, on which sessions cannot share a snapshot: use one connection, or ${expected} or later`
  throw new PgpackError('CONFIG_INVALID', message, { expected, ...(found === undefined ? {} : { found }) })
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

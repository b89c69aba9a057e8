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

/** Takes over an exported snapshot: the first statement of a REPEATABLE READ transaction that has just begun. */
export async function importSnapshot(connection: PostgresConnection, snapshot: string): Promise<void> {
  await connection.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
}

import type { PostgresConnection } from '../postgres/connection.ts'
import type { RestoreMode } from '../run/config.ts'
import type { Readers } from './readers.ts'
import { explainSelect } from './source-check.ts'

/** An object and its table; OIDs are undefined for a query, or a table that is yet to be made. */
export interface SourceAndTarget {
  readonly source: number | undefined
  readonly target: number | undefined
  /** All the object's rows, as a SELECT. */
  readonly select: string
}

/** The moment of the start tells servers apart without a privilege, whatever names and proxies lead to them. */
const DATABASE_IDENTITY = `SELECT
  extract(epoch FROM pg_postmaster_start_time())::text || ' ' || d.oid::text AS identity
FROM pg_catalog.pg_database d WHERE d.datname = current_database()`

/** Which of the tables $1, or of the partitions below them, are locked by one of the sessions $2. */
const READ_TABLES = `WITH RECURSIVE tree AS (
  SELECT unnest($1::oid[]) AS root, unnest($1::oid[]) AS oid
  UNION
  SELECT tree.root, i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
)
SELECT DISTINCT tree.root AS oid FROM tree
JOIN pg_catalog.pg_locks l ON l.relation = tree.oid AND l.pid = ANY ($2::int4[])
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database()`

/**
 * What is wrong with a transfer within one database, for each pair: a table that is copied into itself, or one that is
 * to be emptied while our own readers hold it: TRUNCATE would wait for them, and they for the end of the transfer.
 */
export async function selfProblems(
  target: PostgresConnection,
  { leader, all }: Readers,
  pairs: readonly SourceAndTarget[],
  mode: RestoreMode,
): Promise<readonly (string | undefined)[]> {
  if (!(await sameDatabase(target, leader))) return pairs.map(() => undefined)
  const empties = mode === 'Truncate' || mode === 'Replace'
  if (empties) for (const { select } of pairs) await explainSelect(leader, select)
  const read = empties ? await tablesRead(target, all, pairs) : new Set<number>()
  return pairs.map((pair) => {
    if (pair.target === undefined) return undefined
    if (pair.source === pair.target) return 'source and target are the same table: name another one in to'
    if (!read.has(pair.target)) return undefined
    return `the source reads it (itself, a partition, or through a view), so that it cannot be emptied in mode ${mode}: use Append, or another table`
  })
}

async function sameDatabase(one: PostgresConnection, other: PostgresConnection): Promise<boolean> {
  const identity = async (session: PostgresConnection) => {
    const [row] = await session.query<{ identity: string }>(DATABASE_IDENTITY)
    return row?.identity
  }
  return (await identity(one)) === (await identity(other))
}

/** Planning a query locks all that it reads until its transaction ends, as running it does. */
async function tablesRead(
  target: PostgresConnection,
  readers: readonly PostgresConnection[],
  pairs: readonly SourceAndTarget[],
): Promise<ReadonlySet<number>> {
  const oids = pairs.flatMap((pair) => (pair.target === undefined ? [] : [pair.target]))
  const pids = readers.map((reader) => reader.processId)
  const rows = await target.query<{ oid: number }>(READ_TABLES, [oids, pids])
  return new Set(rows.map(({ oid }) => oid))
}

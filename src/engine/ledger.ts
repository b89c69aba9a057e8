import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { RunTotals } from '../run/result.ts'

/**
 * Exactly-once Append: a row per run, written in the transaction that writes the rows. A retry that finds it knows that
 * an earlier attempt committed, even when that attempt was killed before it could say so.
 */
const LEDGER = 'pgpack.ledger'

/** SQLSTATE unique_violation. */
const UNIQUE_VIOLATION = '23505'

const CREATE_SCHEMA = 'CREATE SCHEMA IF NOT EXISTS pgpack'
const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS ${LEDGER} (
  run_id text PRIMARY KEY,
  objects bigint NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  stored_bytes bigint NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT now()
)`

/** Creates the ledger where there is none; not within a transaction. @throws PgpackError POSTGRES_PRIVILEGE */
export async function openLedger(session: PostgresConnection): Promise<void> {
  if (!(await ledgerExists(session))) await createLedger(session)
}

/** What an attempt of the run committed, if one did. */
export async function findRun(session: PostgresConnection, runId: string): Promise<RunTotals | undefined> {
  if (!(await ledgerExists(session))) return undefined
  const [row] = await session.query<{ objects: string; rows: string; bytes: string; stored_bytes: string }>(
    `SELECT objects, rows, bytes, stored_bytes FROM ${LEDGER} WHERE run_id = $1`,
    [runId],
  )
  if (row === undefined) return undefined
  return { objects: Number(row.objects), rows: row.rows, bytes: row.bytes, storedBytes: row.stored_bytes }
}

/**
 * Claims the run within the caller's transaction, before its first row. A second pod of the same run waits here until
 * the first one has committed or rolled back; false when it committed, and then the transaction is over.
 */
export async function claimRun(session: PostgresConnection, runId: string): Promise<boolean> {
  const claim = `INSERT INTO ${LEDGER} (run_id, objects, rows, bytes, stored_bytes) VALUES ($1, 0, 0, 0, 0)`
  try {
    await session.query(claim, [runId])
    return true
  } catch (error) {
    // Not ON CONFLICT, which PostgreSQL 9.4, and with it Greenplum 6, does not have.
    if (!isUniqueViolation(error)) throw error
    await session.query('ROLLBACK')
    return false
  }
}

export async function recordRun(session: PostgresConnection, runId: string, totals: RunTotals): Promise<void> {
  await session.query(
    `UPDATE ${LEDGER} SET objects = $2, rows = $3, bytes = $4, stored_bytes = $5, committed_at = now() WHERE run_id = $1`,
    [runId, totals.objects, totals.rows, totals.bytes, totals.storedBytes],
  )
}

async function ledgerExists(session: PostgresConnection): Promise<boolean> {
  const [row] = await session.query<{ found: boolean }>(`SELECT to_regclass('${LEDGER}') IS NOT NULL AS found`)
  return row?.found === true
}

async function createLedger(session: PostgresConnection): Promise<void> {
  try {
    await session.query(CREATE_SCHEMA)
    await session.query(CREATE_TABLE)
  } catch (cause) {
    // Two runs that are the first ones here: IF NOT EXISTS does not keep them from colliding in the catalog.
    if (isUniqueViolation(cause)) return createLedger(session)
    if (!(cause instanceof PgpackError) || cause.code !== 'POSTGRES_PRIVILEGE') throw cause
    throw new PgpackError(
      'POSTGRES_PRIVILEGE',
      `an exactly-once Append needs the table ${LEDGER}, and this user may not create it: GRANT CREATE ON DATABASE to ` +
        `the user, or create it as an administrator and GRANT SELECT, INSERT, UPDATE on it: ${CREATE_TABLE}`,
      { cause },
    )
  }
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof PgpackError && error.details.status === UNIQUE_VIOLATION
}

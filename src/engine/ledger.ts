import { createHash } from 'node:crypto'
import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { RunTotals } from '../run/result.ts'
import { noTotals } from './totals.ts'

/**
 * Exactly-once Append: a row per run, or per part of an object where each part is a transaction of its own, written in
 * the transaction that writes the rows. A retry that finds it knows that an earlier attempt committed, even when that
 * attempt was killed before it could say so.
 */
const LEDGER = 'pgpack.ledger'

/** What one row of the ledger stands for. */
export interface Mark {
  /** `source -> schema.table`; empty for what concerns the whole run. */
  readonly object: string
  readonly part: number
  /** Into how many parts the object was split: another attempt that splits it otherwise must not go on from here. */
  readonly parts: number
}

/** The run, with all its objects. */
export const WHOLE_RUN: Mark = { object: '', part: 0, parts: 1 }
/** SQLSTATE unique_violation. */
const UNIQUE_VIOLATION = '23505'
/** As which catalog's entry two CREATEs collide is chance: unique_violation, or duplicate object, schema or table. */
const COLLISIONS: ReadonlySet<string | undefined> = new Set([UNIQUE_VIOLATION, '42710', '42P06', '42P07'])

const CREATE_SCHEMA = 'CREATE SCHEMA IF NOT EXISTS pgpack'
const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS ${LEDGER} (
  run_id text NOT NULL,
  object text NOT NULL DEFAULT '',
  part integer NOT NULL DEFAULT 0,
  parts integer NOT NULL DEFAULT 1,
  objects bigint NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  stored_bytes bigint NOT NULL,
  rejected_rows bigint NOT NULL DEFAULT 0,
  committed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, object, part)
)`

/** Creates the ledger where there is none; not within a transaction. @throws PgpackError POSTGRES_PRIVILEGE */
export async function openLedger(session: PostgresConnection): Promise<void> {
  if (!(await ledgerExists(session))) await createLedger(session)
}

/** What an earlier attempt committed under a mark. */
export interface Entry extends Mark {
  readonly totals: RunTotals
}

interface EntryRow extends Mark {
  readonly objects: string
  readonly rows: string
  readonly bytes: string
  readonly stored_bytes: string
  readonly rejected_rows: string
}

/** What attempts of the run have committed; empty where there is no ledger, or no run id. */
export async function findEntries(session: PostgresConnection, runId: string | undefined): Promise<readonly Entry[]> {
  if (runId === undefined || !(await ledgerExists(session))) return []
  const rows = await session.query<EntryRow>(
    `SELECT object, part, parts, objects, rows, bytes, stored_bytes, rejected_rows FROM ${LEDGER} WHERE run_id = $1`,
    [runId],
  )
  return rows.map(({ object, part, parts, ...row }) => ({
    object,
    part,
    parts,
    totals: {
      objects: Number(row.objects),
      rows: row.rows,
      bytes: row.bytes,
      storedBytes: row.stored_bytes,
      ...(row.rejected_rows === '0' ? {} : { rejectedRows: row.rejected_rows }),
    },
  }))
}

/**
 * Claims a mark within the caller's transaction, before its first row. A second pod of the same run waits here until
 * the first one has committed or rolled back; false when it committed, and then the transaction is over.
 */
export async function claim(session: PostgresConnection, runId: string, mark: Mark): Promise<boolean> {
  const claimed = await (session.flavour === 'Greenplum' ? claimByLock : claimByRow)(session, runId, mark)
  if (!claimed) await session.query('ROLLBACK')
  return claimed
}

async function claimByRow(session: PostgresConnection, runId: string, mark: Mark): Promise<boolean> {
  try {
    await insertRow(session, runId, mark, noTotals)
    return true
  } catch (error) {
    if (isUniqueViolation(error)) return false
    throw error
  }
}

/**
 * An UPDATE locks the whole table on a Greenplum without its global deadlock detector, and waits there for every other
 * row that was inserted: loads that run side by side would wait for one another for ever. So the row comes at the end.
 */
async function claimByLock(session: PostgresConnection, runId: string, { object, part }: Mark): Promise<boolean> {
  const key = createHash('sha256')
    .update(JSON.stringify([LEDGER, runId, object, part]))
    .digest()
    .readBigInt64BE()
  await session.query('SELECT pg_advisory_xact_lock($1::int8)', [String(key)])
  const entries = await findEntries(session, runId)
  return !entries.some((entry) => entry.object === object && entry.part === part)
}

/** Fills in what was loaded under a mark that this transaction has claimed. */
export async function record(session: PostgresConnection, runId: string, mark: Mark, totals: RunTotals): Promise<void> {
  if (session.flavour === 'Greenplum') return recordByRow(session, runId, mark, totals)
  const { objects, rows, bytes, storedBytes, rejectedRows = '0' } = totals
  await session.query(
    `UPDATE ${LEDGER} SET objects = $4, rows = $5, bytes = $6, stored_bytes = $7, rejected_rows = $8,
      committed_at = now() WHERE run_id = $1 AND object = $2 AND part = $3`,
    [runId, mark.object, mark.part, objects, rows, bytes, storedBytes, rejectedRows],
  )
}

/** Above READ COMMITTED, whoever waited for the lock does not see what the other one has committed meanwhile. */
async function recordByRow(session: PostgresConnection, runId: string, mark: Mark, totals: RunTotals): Promise<void> {
  try {
    await insertRow(session, runId, mark, totals)
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    const what = mark.object === '' ? 'everything' : mark.object
    throw new PgpackError('POSTGRES_BUSY', `another attempt of run ${runId} has just loaded ${what}`, { cause })
  }
}

/** Not ON CONFLICT, which PostgreSQL 9.4, and with it Greenplum 6, does not have. */
async function insertRow(
  session: PostgresConnection,
  runId: string,
  { object, part, parts }: Mark,
  { objects, rows, bytes, storedBytes, rejectedRows = '0' }: RunTotals,
): Promise<void> {
  await session.query(
    `INSERT INTO ${LEDGER} (run_id, object, part, parts, objects, rows, bytes, stored_bytes, rejected_rows)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [runId, object, part, parts, objects, rows, bytes, storedBytes, rejectedRows],
  )
}

/** Forgets what was recorded of objects whose tables are emptied in the same transaction. */
export async function forget(session: PostgresConnection, runId: string, objects: readonly string[]): Promise<void> {
  await session.query(`DELETE FROM ${LEDGER} WHERE run_id = $1 AND object = ANY ($2::text[])`, [runId, objects])
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
    if (cause instanceof PgpackError && COLLISIONS.has(cause.details.status)) return createLedger(session)
    if (!(cause instanceof PgpackError) || cause.code !== 'POSTGRES_PRIVILEGE') throw cause
    throw new PgpackError(
      'POSTGRES_PRIVILEGE',
      `an exactly-once Append needs the table ${LEDGER}, and this user may not create it: GRANT CREATE ON DATABASE to ` +
        `the user, or create it as an administrator and GRANT SELECT, INSERT, UPDATE, DELETE on it: ${CREATE_TABLE}`,
      { cause },
    )
  }
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof PgpackError && error.details.status === UNIQUE_VIOLATION
}

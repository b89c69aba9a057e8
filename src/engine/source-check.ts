import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'

/** What the planner thinks of a SELECT. */
export interface PlannedRows {
  readonly rows: bigint
  readonly bytes: bigint
  /** A policy hides rows from this user, and the session's row_security lets it. */
  readonly rowSecurity: boolean
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Plan Rows': number
  readonly 'Plan Width': number
  readonly Plans?: readonly PlanNode[]
}

/** SQLSTATE insufficient_privilege: also what row_security = off makes of a policy that applies. */
const INSUFFICIENT_PRIVILEGE = '42501'
/** Row-level security came with PostgreSQL 9.5; Greenplum 6 is older. */
const ROW_SECURITY_VERSION = 90_500

/**
 * Has the server plan a SELECT, which checks every privilege and runs nothing. What the SELECT reads stays locked
 * (ACCESS SHARE) until the transaction's end, as pg_dump locks it: a TRUNCATE between the snapshot and the COPY would
 * leave an empty table, because it does not ask who still wants to see the rows.
 * @throws PgpackError POSTGRES_PRIVILEGE, also for rows that a policy would hide without a word; CONFIG_INVALID for a
 *   query that changes data
 */
export async function checkSelect(connection: PostgresConnection, select: string): Promise<PlannedRows> {
  const asked = await tryExplain(connection, select)
  if (asked instanceof PgpackError) throw await explained(connection, select, asked)
  if (nodesOf(asked).some((node) => node['Node Type'] === 'ModifyTable')) {
    throw new PgpackError('CONFIG_INVALID', 'the query changes data: expected a SELECT that only reads')
  }
  const rows = Math.max(0, Math.round(asked['Plan Rows']))
  return {
    rows: BigInt(rows),
    bytes: BigInt(rows * Math.max(0, asked['Plan Width'])),
    rowSecurity: await hidesRows(connection, select),
  }
}

/**
 * Does `work` about a SELECT, such that the transaction goes on where a privilege is missing.
 * @throws PgpackError POSTGRES_PRIVILEGE as checkSelect, and what `work` throws
 */
export async function asAllowed<T>(connection: PostgresConnection, select: string, work: () => Promise<T>): Promise<T> {
  const done = await withSavepoint(connection, true, work)
  if (done instanceof PgpackError) throw await explained(connection, select, done)
  return done
}

/** The server's plan as EXPLAIN writes it for people. */
export async function explainSelect(connection: PostgresConnection, select: string): Promise<string> {
  const lines = await connection.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${select}`)
  return lines.map((line) => line['QUERY PLAN']).join('\n')
}

/**
 * What `work` gives; the error for a privilege that is missing, after which the transaction goes on.
 * @param keep what it has locked and set stays for the rest of the transaction.
 */
async function withSavepoint<T>(
  connection: PostgresConnection,
  keep: boolean,
  work: () => Promise<T>,
): Promise<T | PgpackError> {
  await connection.query('SAVEPOINT pgpack_plan')
  let undo = true
  try {
    const done = await work()
    undo = !keep
    return done
  } catch (error) {
    if (error instanceof PgpackError && error.details.status === INSUFFICIENT_PRIVILEGE) return error
    throw error
  } finally {
    await connection.query(`${undo ? 'ROLLBACK TO SAVEPOINT pgpack_plan; ' : ''}RELEASE SAVEPOINT pgpack_plan`)
  }
}

function tryExplain(
  connection: PostgresConnection,
  select: string,
  rowSecurity?: 'on' | 'off',
): Promise<PlanNode | PgpackError> {
  return withSavepoint(connection, rowSecurity === undefined, async () => {
    if (rowSecurity !== undefined) await connection.query(`SET LOCAL row_security = ${rowSecurity}`)
    const [row] = await connection.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(`EXPLAIN (FORMAT JSON) ${select}`)
    if (row === undefined) throw new PgpackError('POSTGRES_PROTOCOL', 'EXPLAIN gave no plan')
    return row['QUERY PLAN'][0].Plan
  })
}

/** The error for a SELECT that may not be run: where a policy is the cause, it says so and what to do. */
async function explained(connection: PostgresConnection, select: string, refusal: PgpackError): Promise<PgpackError> {
  if (connection.versionNumber < ROW_SECURITY_VERSION) return refusal
  if ((await tryExplain(connection, select, 'on')) instanceof PgpackError) return refusal
  return new PgpackError(
    'POSTGRES_PRIVILEGE',
    `row-level security would hide rows from this user, and a dump that lacks rows must not look whole: dump as the table's owner or a role with BYPASSRLS, or allow it by the session setting row_security = on`,
    { ...refusal.details, cause: refusal },
  )
}

async function hidesRows(connection: PostgresConnection, select: string): Promise<boolean> {
  if (connection.versionNumber < ROW_SECURITY_VERSION) return false
  const [setting] = await connection.query<{ on: boolean }>(`SELECT current_setting('row_security')::bool AS on`)
  return setting?.on === true && (await tryExplain(connection, select, 'off')) instanceof PgpackError
}

function* walk(node: PlanNode): Generator<PlanNode> {
  yield node
  for (const child of node.Plans ?? []) yield* walk(child)
}

function nodesOf(node: PlanNode): readonly PlanNode[] {
  return [...walk(node)]
}

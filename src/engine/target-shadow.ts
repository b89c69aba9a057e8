import { createHash, randomBytes } from 'node:crypto'
import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { type QualifiedName, quoteIdentifier, quoteQualified } from '../postgres/identifiers.ts'
import { type Load, pairName } from './load.ts'

/**
 * Where the rows of a Replace wait until all of them are there. Only then is the table emptied and filled from here, in
 * one transaction, so that nobody sees it empty or half full. The table itself stays: to rename another one into its
 * place would leave behind its grants, policies, triggers and sequences, and the views, foreign keys and publications
 * that point at it, since all of them go by its OID.
 */
export interface Shadow extends QualifiedName {
  readonly load: Load
}

/**
 * Makes the shadow of a load's table, with the loaded columns alone: no index, constraint or trigger.
 * @param owner the run, when several sessions are to see the table; else it is of this session and transaction
 */
export async function createShadow(
  session: PostgresConnection,
  load: Load,
  owner: { readonly runId: string | undefined } | undefined,
): Promise<Shadow> {
  const random = randomBytes(8).toString('hex')
  const shadow = {
    schema: owner === undefined ? 'pg_temp' : load.table.schema,
    name: `${prefixOf(owner?.runId)}${random}`,
    load,
  }
  const types = new Map(load.table.columns.map((column) => [column.name, column.typeName]))
  const columns = load.columns.map((name) => `${quoteIdentifier(name)} ${types.get(name)}`).join(', ')
  const [kind, end] = owner === undefined ? ['TEMPORARY', ' ON COMMIT DROP'] : ['UNLOGGED', '']
  // Else by the first column, which may put all rows on one segment.
  const distributed = session.flavour === 'Greenplum' ? ' DISTRIBUTED RANDOMLY' : ''
  await session.query(`CREATE ${kind} TABLE ${quoteQualified(shadow)} (${columns})${end}${distributed}`)
  return shadow
}

/** The same for every attempt of a run, so that each finds what the ones before could not drop. */
function prefixOf(runId: string | undefined): string {
  const run = runId === undefined ? '' : `${createHash('sha256').update(runId).digest('hex').slice(0, 16)}_`
  return `pgpack_shadow_${run}`
}

const SHADOWS = `SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = ANY ($1::text[]) AND left(c.relname::text, length($2)) = $2`

/** Drops shadows that killed attempts of the run left. One of them that still lives fails for want of its table. */
export async function dropLeftovers(session: PostgresConnection, loads: readonly Load[], runId: string): Promise<void> {
  const schemas = loads.map(({ table }) => table.schema)
  const shadows = await session.query<QualifiedName>(SHADOWS, [schemas, prefixOf(runId)])
  for (const shadow of shadows) await dropShadow(session, shadow)
}

/**
 * Fills the emptied table from its shadow, within the caller's transaction. Values of GENERATED ALWAYS AS IDENTITY
 * columns are written as COPY writes them; the table's rules, which COPY passes over, are not.
 * @throws PgpackError POSTGRES_CONNECTION_LOST when an unlogged shadow lost rows in the server's crash
 */
export async function fillFromShadow(session: PostgresConnection, shadow: Shadow, rows: bigint): Promise<void> {
  const { load } = shadow
  const names = load.columns.map(quoteIdentifier).join(', ')
  const [found] = await session.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${quoteQualified(shadow)}`)
  if (found?.rows !== String(rows)) throw lostRows(load, rows, found?.rows)
  // Identity columns came with PostgreSQL 10.
  const overriding = session.versionNumber >= 100_000 ? ' OVERRIDING SYSTEM VALUE' : ''
  await session.query(
    `INSERT INTO ${quoteQualified(load.table)} (${names})${overriding} SELECT ${names} FROM ${quoteQualified(shadow)}`,
  )
}

function lostRows(load: Load, expected: bigint, found: string | undefined): PgpackError {
  return new PgpackError(
    'POSTGRES_CONNECTION_LOST',
    `${pairName(load)}: ${expected} rows were loaded beside the table and ${found} are left: the server has crashed since; nothing was replaced`,
    { expected: String(expected), found: String(found) },
  )
}

export async function dropShadow(session: PostgresConnection, shadow: QualifiedName): Promise<void> {
  await session.query(`DROP TABLE IF EXISTS ${quoteQualified(shadow)}`)
}

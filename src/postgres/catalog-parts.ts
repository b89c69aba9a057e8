import type { PostgresConnection } from './connection.ts'
import { quoteIdentifier, quoteQualified } from './identifiers.ts'
import type { RelationInfo } from './types.ts'

/** The blocks of a table and of the tables below it: its partitions, or its inheritance children. */
export interface TreeBlocks {
  /** Blocks of the largest of them. */
  readonly pages: number
  readonly totalPages: number
  /** One of them is foreign, and has no ctid of this server's. */
  readonly foreign: boolean
}

const TREE_BLOCKS = `WITH RECURSIVE tree AS (
  SELECT $1::oid AS oid
  UNION
  SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
), leaf AS (
  SELECT c.relkind, coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8 AS pages
  FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
)
SELECT max(pages)::float8 AS pages, sum(pages)::float8 AS "totalPages", bool_or(relkind = 'f') AS foreign FROM leaf`

export async function treeBlocks(connection: PostgresConnection, relation: RelationInfo): Promise<TreeBlocks> {
  const [blocks] = await connection.query<TreeBlocks>(TREE_BLOCKS, [relation.oid])
  return blocks ?? { pages: 0, totalPages: 0, foreign: false }
}

/** Who may read some columns only may read neither ctid nor gp_segment_id, by which rows are told apart. */
export async function mayReadAllColumns(connection: PostgresConnection, { oid }: RelationInfo): Promise<boolean> {
  const [row] = await connection.query<{ allowed: boolean }>(
    `SELECT has_table_privilege($1::oid, 'SELECT') AS allowed`,
    [oid],
  )
  return row?.allowed === true
}

/** A column whose values part a table's rows: a whole number, never null, found by an index. */
export interface IntegerKey {
  readonly column: string
  /** Of the rows now; undefined for a table without rows. */
  readonly bounds: { readonly min: bigint; readonly max: bigint } | undefined
}

/** Of int2, int4 and int8: the column of a unique index of one column, the primary key's first. */
const INTEGER_KEY = `SELECT a.attname AS name
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indnatts = 1
  AND a.attnotnull AND a.atttypid IN (20, 21, 23) AND has_column_privilege(i.indrelid, a.attnum, 'SELECT')
ORDER BY i.indisprimary DESC, a.attnum LIMIT 1`

export async function integerKey(
  connection: PostgresConnection,
  relation: RelationInfo,
): Promise<IntegerKey | undefined> {
  const [found] = await connection.query<{ name: string }>(INTEGER_KEY, [relation.oid])
  if (found === undefined) return undefined
  const column = quoteIdentifier(found.name)
  const only = relation.kind === 'r' ? 'ONLY ' : ''
  const [bounds] = await connection.query<{ min: string | null; max: string | null }>(
    `SELECT min(${column})::text AS min, max(${column})::text AS max FROM ${only}${quoteQualified(relation)}`,
  )
  const { min = null, max = null } = bounds ?? {}
  return {
    column: found.name,
    bounds: min === null || max === null ? undefined : { min: BigInt(min), max: BigInt(max) },
  }
}

/** Greenplum: where a table's rows are kept. */
export interface Distribution {
  readonly policy: 'Hash' | 'Random' | 'Replicated'
  /** Names in the key's order; empty but for Hash. */
  readonly columns: readonly string[]
}

/** gp_distribution_policy: of Greenplum 6 the attribute numbers are in `distkey`, as in 7; `policytype` r is replicated. */
const DISTRIBUTION = `SELECT p.policytype::text AS policy, coalesce((
  SELECT json_agg(a.attname ORDER BY key.position)
  FROM unnest(p.distkey::int2[]) WITH ORDINALITY AS key (attnum, position)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.localoid AND a.attnum = key.attnum
), '[]') AS columns
FROM gp_distribution_policy p WHERE p.localoid = $1`

/** Undefined for what has no policy: a view, a foreign table. Not to be asked of PostgreSQL. */
export async function distributionOf(
  connection: PostgresConnection,
  relation: RelationInfo,
): Promise<Distribution | undefined> {
  const [row] = await connection.query<{ policy: string; columns: string[] }>(DISTRIBUTION, [relation.oid])
  if (row === undefined) return undefined
  if (row.policy === 'r') return { policy: 'Replicated', columns: [] }
  return { policy: row.columns.length > 0 ? 'Hash' : 'Random', columns: row.columns }
}

/** The content ids of a Greenplum's segments, which `gp_segment_id` shows of a row. */
export async function segmentIds(connection: PostgresConnection): Promise<readonly number[]> {
  const rows = await connection.query<{ content: number }>(
    `SELECT content FROM pg_catalog.gp_segment_configuration WHERE role = 'p' AND content >= 0 ORDER BY content`,
  )
  return rows.map(({ content }) => content)
}

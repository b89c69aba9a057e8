import type { PostgresConnection } from '../postgres/connection.ts'
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from '../postgres/identifiers.ts'
import type { RunContext } from './context.ts'
import type { Load } from './load.ts'
import type { TargetRequest } from './target.ts'

/** pg_sequence came with PostgreSQL 10; before, each sequence's own row holds its limits. */
const SEQUENCE_CATALOG_VERSION = 100_000

interface OwnedSequence {
  readonly column: string
  readonly sequence: string
  readonly allowed: boolean
}

/** Sequences that serial and identity columns own (pg_depend: auto and internal dependencies of sequences on columns). */
const OWNED_SEQUENCES = `SELECT
  a.attname AS column,
  quote_ident(n.nspname) || '.' || quote_ident(s.relname) AS sequence,
  has_sequence_privilege(s.oid, 'UPDATE') AND has_sequence_privilege(s.oid, 'SELECT') AS allowed
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 AND d.refobjid = to_regclass($1)::oid`

/**
 * What is done for a table when its rows are in: sequences of its columns go on behind the largest value, and the
 * planner's statistics are renewed. Both bear repetition, and neither can undo what was loaded.
 */
export async function finishTable(
  session: PostgresConnection,
  load: Load,
  request: TargetRequest,
  context: RunContext,
): Promise<void> {
  await advanceSequences(session, load, context)
  if ((request.analyze ?? 'Always') === 'Always') await session.query(`ANALYZE ${quoteQualified(load.table)}`)
}

async function advanceSequences(session: PostgresConnection, load: Load, { log }: RunContext): Promise<void> {
  const table = quoteQualified(load.table)
  const sequences = await session.query<OwnedSequence>(OWNED_SEQUENCES, [table])
  for (const { column, sequence, allowed } of sequences) {
    if (!load.columns.includes(column)) continue
    if (allowed) await session.query(advanceSequence(session, sequence, load.table, column))
    else log.warn({ table, column, sequence }, 'the sequence was not set: this user may not')
  }
}

/**
 * Never lowered: values that others drew, and rows that are gone since, stay behind it. A sequence that counts down, or
 * that does not reach so far, is left alone.
 */
function advanceSequence(
  { versionNumber }: PostgresConnection,
  sequence: string,
  table: QualifiedName,
  column: string,
): string {
  const literal = `${quoteLiteral(sequence)}::regclass`
  const reaches =
    versionNumber >= SEQUENCE_CATALOG_VERSION
      ? `EXISTS (SELECT 1 FROM pg_catalog.pg_sequence WHERE seqrelid = ${literal} AND seqincrement > 0 AND seqmax >= largest)`
      : 's.increment_by > 0 AND s.max_value >= largest'
  return `SELECT setval(${literal}, largest) FROM (
    SELECT max(${quoteIdentifier(column)})::int8 AS largest FROM ${quoteQualified(table)}
  ) loaded, ${sequence} s
  WHERE ${reaches} AND (largest > s.last_value OR largest = s.last_value AND NOT s.is_called)`
}

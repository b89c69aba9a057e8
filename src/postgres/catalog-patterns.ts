import { PgpackError } from '../errors.ts'
import { nearest } from './catalog-hints.ts'
import { relationKind } from './catalog-queries.ts'
import type { PostgresConnection } from './connection.ts'
import type { ServerInfo } from './session.ts'

/** The tables of one schema by the patterns of their names. */
export interface TablePatterns {
  readonly schema: string
  readonly include: readonly string[]
  readonly exclude: readonly string[]
}

export interface FoundTable {
  readonly schema: string
  readonly name: string
  /** r table, p partitioned table, f foreign table. */
  readonly kind: string
}

/** `*`, `?`, a set in brackets, or one character. A bracket that is never closed is a character like others. */
const PIECE = /\*+|\?|\[(!?)(\]?[^\]]*)\]|./gsu
/** A range, or one character. */
const SET_ITEM = /(.)-(.)|./gsu
const MAX_HINTS = 3

/**
 * A glob as a regular expression that PostgreSQL (ARE) and JavaScript (flags `su`) read alike: `*` is any characters,
 * `?` one, `[a-z]` one of a set, `[!a-z]` one that is not. Case counts; there is no escape but a set of one: `[*]`.
 * @throws PgpackError CONFIG_INVALID for a range that runs backwards
 */
export function globToRegex(glob: string): string {
  const pieces = [...glob.matchAll(PIECE)].map(([piece, negated, set]) => {
    if (piece.startsWith('*')) return '.*'
    if (piece === '?') return '.'
    if (set === undefined || set === '') return literally(piece)
    return `[${negated === '!' ? '^' : ''}${setItems(glob, set)}]`
  })
  return `^(?:${pieces.join('')})$`
}

function setItems(glob: string, set: string): string {
  const items = [...set.matchAll(SET_ITEM)].map(([item, from, to]) => {
    if (from === undefined || to === undefined) return literally(item)
    if ((from.codePointAt(0) ?? 0) <= (to.codePointAt(0) ?? 0)) return `${literally(from)}-${literally(to)}`
    throw new PgpackError('CONFIG_INVALID', `the pattern "${glob}" has the range ${item}, which runs backwards`)
  })
  return items.join('')
}

/** Both languages take a backslash before punctuation for the character itself, within brackets too. */
function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)
}

const V10 = 100_000

/** Partitions come with their parent. Greenplum before 7 has partitions of its own kind. */
function isPartition({ versionNumber, flavour }: Pick<ServerInfo, 'versionNumber' | 'flavour'>): string {
  if (versionNumber >= V10) return 'c.relispartition'
  return flavour === 'Greenplum'
    ? 'EXISTS (SELECT 1 FROM pg_catalog.pg_partition_rule p WHERE p.parchildrelid = c.oid)'
    : 'false'
}

/** Of schema $1: whatever fits one of the patterns $2, with the positions of those, and whether one of $3 fits. */
function matching(connection: PostgresConnection): string {
  return `SELECT c.relname AS name, ${relationKind(connection)} AS kind,
  ${isPartition(connection)} AS partition,
  EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS extension,
  (SELECT coalesce(json_agg(i), '[]') FROM generate_subscripts($2::text[], 1) i WHERE c.relname ~ ($2::text[])[i]) AS included,
  EXISTS (SELECT 1 FROM unnest($3::text[]) AS pattern WHERE c.relname ~ pattern) AS excluded
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
  AND EXISTS (SELECT 1 FROM unnest($2::text[]) AS pattern WHERE c.relname ~ pattern)
ORDER BY c.relname::text COLLATE "C"`
}

interface Candidate {
  readonly name: string
  readonly kind: string
  readonly partition: boolean
  readonly extension: boolean
  readonly included: readonly number[]
  readonly excluded: boolean
}

const TABLE_KINDS = new Set(['r', 'p', 'f'])

/**
 * Ordinary, partitioned and foreign tables of a schema by glob patterns, sorted by name. Left out, as pg_dump leaves
 * them out: partitions, which come with their parent, and what belongs to an extension. Views and materialized views
 * hold no rows of their own: only an object that names one asks for it.
 * @throws PgpackError POSTGRES_NO_RELATION for a schema that is not there, a pattern that nothing fits, and patterns
 *   that exclude all they include
 */
export async function findTables(
  connection: PostgresConnection,
  patterns: TablePatterns,
): Promise<readonly FoundTable[]> {
  const { schema, include, exclude } = patterns
  const candidates = await connection.query<Candidate>(matching(connection), [
    schema,
    include.map(globToRegex),
    exclude.map(globToRegex),
  ])
  const tables = candidates.filter(
    ({ kind, partition, extension }) => TABLE_KINDS.has(kind) && !partition && !extension,
  )
  for (const [index, pattern] of include.entries()) {
    const fits = ({ included }: Candidate) => included.includes(index + 1)
    if (!tables.some(fits)) throw await nothingFits(connection, schema, pattern, candidates.filter(fits))
  }
  const found = tables.filter(({ excluded }) => !excluded)
  if (found.length > 0) return found.map(({ name, kind }) => ({ schema, name, kind }))
  const message = `of schema "${schema}" the patterns exclude all ${tables.length} tables that they include; change exclude`
  throw new PgpackError('POSTGRES_NO_RELATION', message, { found: 'none', expected: 'at least one table' })
}

async function nothingFits(
  connection: PostgresConnection,
  schema: string,
  pattern: string,
  others: readonly Candidate[],
): Promise<PgpackError> {
  const message = `${connection.name}: no table of schema "${schema}" fits the pattern "${pattern}"`
  const hint = await hintFor(connection, schema, pattern, others)
  return new PgpackError('POSTGRES_NO_RELATION', `${message}${hint}`, { found: 'none', expected: 'at least one table' })
}

async function hintFor(
  connection: PostgresConnection,
  schema: string,
  pattern: string,
  [other]: readonly Candidate[],
): Promise<string> {
  if (other !== undefined) return `; "${other.name}" does, but is ${whatItIs(other)}: name it in an object of its own`
  const rows = await connection.query<{ schema: string; name: string | null }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_namespace n
     LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'f')
     WHERE n.nspname = $1`,
    [schema],
  )
  if (rows.length === 0) return ': there is no such schema'
  const names = rows.flatMap(({ name }) => (name === null ? [] : [{ schema, name }]))
  if (names.length === 0) return ': the schema has no tables, or none that may be seen'
  const near = nearest({ schema, name: pattern.replaceAll(/[*?]/g, '') }, names)
  const shown = (near.length > 0 ? near : names).slice(0, MAX_HINTS).map(({ name }) => `"${name}"`)
  return near.length > 0
    ? `; did you mean ${shown.join(' or ')}?`
    : `; it has ${names.length}: ${shown.join(', ')}${names.length > MAX_HINTS ? ' …' : ''}`
}

function whatItIs({ kind, partition, extension }: Candidate): string {
  if (kind === 'v') return 'a view'
  if (kind === 'm') return 'a materialized view'
  if (partition) return 'a partition, which comes with its parent'
  return extension ? "an extension's" : 'of another kind'
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'
import type { QualifiedName } from './identifiers.ts'

const MAX_CANDIDATES = 2000
const MAX_HINTS = 3

const CANDIDATES = `SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_(toast|temp)'
  AND (lower(n.nspname) = lower($1) OR lower(c.relname) = lower($2))
ORDER BY 1, 2 LIMIT ${MAX_CANDIDATES}`

/** The error for a relation that is not there, with the names that the user may have meant. */
export async function missingRelation(connection: PostgresConnection, wanted: QualifiedName): Promise<PgpackError> {
  const candidates = await connection.query<QualifiedName>(CANDIDATES, [wanted.schema, wanted.name])
  const hints = nearest(wanted, candidates).map(({ schema, name }) => `"${schema}"."${name}"`)
  const hint = hints.length === 0 ? '' : `; did you mean ${hints.join(' or ')}?`
  const name = `"${wanted.schema}"."${wanted.name}"`
  return new PgpackError('POSTGRES_NO_RELATION', `${connection.name} has no relation ${name}${hint}`, { found: 'none' })
}

/** Names within a third of their length of edits away, the nearest first; the schema counts as part of the name. */
export function nearest(wanted: QualifiedName, candidates: readonly QualifiedName[]): readonly QualifiedName[] {
  return candidates
    .map((candidate) => ({ candidate, distance: distanceOf(wanted, candidate) }))
    .filter(({ distance }) => distance <= Math.max(1, wanted.name.length / 3))
    .sort((one, other) => one.distance - other.distance)
    .slice(0, MAX_HINTS)
    .map(({ candidate }) => candidate)
}

/** Case alone costs half an edit, and so does another schema. */
function distanceOf(wanted: QualifiedName, { schema, name }: QualifiedName): number {
  const edits = editDistance(wanted.name.toLowerCase(), name.toLowerCase())
  return edits + (wanted.name === name ? 0 : 0.5) + (wanted.schema === schema ? 0 : 0.5)
}

/** Levenshtein's: insertions, deletions and replacements of one character. */
function editDistance(one: string, other: string): number {
  let previous = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (const [row, letter] of [...one].entries()) {
    const current = [row + 1]
    for (let column = 0; column < other.length; column += 1) {
      const replaced = (previous[column] ?? 0) + (letter === other[column] ? 0 : 1)
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1))
    }
    previous = current
  }
  return previous.at(-1) ?? 0
}

import { errorMessage, PgpackError } from '../../errors.ts'
import { describe } from './codec.ts'
import type { CompositeField } from './composite.ts'

interface Named {
  /** pg_type.oid on the server that wrote the file. */
  readonly oid: number
  readonly name: string
  /** pg_type.typarray; none when not given or 0. */
  readonly arrayOid?: number
}

/** A type that the server's users made, or an extension: its OID differs from database to database. */
export type TypeDefinition = Named &
  (
    | { readonly kind: 'enum'; readonly labels?: readonly string[] | null }
    | { readonly kind: 'domain'; readonly base: number }
    | { readonly kind: 'composite'; readonly fields: readonly CompositeField[] }
    | { readonly kind: 'range'; readonly subtype: number }
    | { readonly kind: 'multirange'; readonly range: number }
    /** A base type whose bytes are those of a known one: hstore, or citext as text. */
    | { readonly kind: 'base'; readonly like: string }
  )

/**
 * Asks a server for the definitions of its types beyond the built-in ones: one row, whose column `definitions` is the
 * JSON of a list of TypeDefinition. Multiranges need PostgreSQL 14.
 */
export const TYPE_DEFINITIONS_SQL = `
SELECT coalesce(json_agg(definition), '[]') AS definitions FROM (
  SELECT CASE
    WHEN t.typtype = 'e' THEN json_build_object('kind', 'enum', 'labels',
      (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
    WHEN t.typtype = 'd' THEN json_build_object('kind', 'domain', 'base', t.typbasetype::int8)
    WHEN t.typtype = 'c' THEN json_build_object('kind', 'composite', 'fields',
      (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'oid', a.atttypid::int8) ORDER BY a.attnum), '[]')
       FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
    WHEN t.typtype = 'r' THEN json_build_object('kind', 'range', 'subtype',
      (SELECT r.rngsubtype::int8 FROM pg_range r WHERE r.rngtypid = t.oid))
    WHEN t.typtype = 'm' THEN json_build_object('kind', 'multirange', 'range',
      (SELECT r.rngtypid::int8 FROM pg_range r WHERE r.rngmultitypid = t.oid))
    ELSE json_build_object('kind', 'base', 'like', CASE t.typname WHEN 'citext' THEN 'text' ELSE t.typname END)
  END::jsonb || jsonb_build_object('oid', t.oid::int8, 'name', t.typname, 'arrayOid', t.typarray::int8) AS definition
  FROM pg_type t
  WHERE t.oid >= 16384 AND (t.typtype IN ('e', 'd', 'c', 'r', 'm') OR t.typname IN ('hstore', 'citext'))
) AS user_types`

/**
 * Definitions from JSON: the list that TYPE_DEFINITIONS_SQL gives, perhaps kept in a file beside the dump. A base type
 * that is said to be like none (null) is left out, and passes as its bytes.
 * @throws PgpackError CONFIG_INVALID
 */
export function parseTypeDefinitions(json: string): TypeDefinition[] {
  const list = parseList(json).filter((item) => !isOpaque(item))
  for (const item of list) {
    if (!isDefinition(item)) throw new PgpackError('CONFIG_INVALID', `not the definition of a type: ${describe(item)}`)
  }
  return list.filter(isDefinition)
}

function parseList(json: string): readonly unknown[] {
  try {
    const list: unknown = JSON.parse(json)
    if (Array.isArray(list)) return list
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the type definitions are not JSON: ${errorMessage(cause)}`, { cause })
  }
  throw new PgpackError('CONFIG_INVALID', 'the type definitions are not a list')
}

type Fields = Readonly<Record<string, unknown>>

const isOid = (value: unknown): value is number => Number.isInteger(value)
const isName = (value: unknown): value is string => typeof value === 'string'
const isField = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  isName(value.name) &&
  'oid' in value &&
  isOid(value.oid)

/** What each kind has beyond OID and name. */
const KINDS: Readonly<Record<TypeDefinition['kind'], (fields: Fields) => boolean>> = {
  enum: ({ labels }) => labels === undefined || labels === null || (Array.isArray(labels) && labels.every(isName)),
  domain: ({ base }) => isOid(base),
  composite: ({ fields }) => Array.isArray(fields) && fields.every(isField),
  range: ({ subtype }) => isOid(subtype),
  multirange: ({ range }) => isOid(range),
  base: ({ like }) => isName(like),
}

function isOpaque(item: unknown): boolean {
  if (typeof item !== 'object' || item === null) return false
  const { kind, like }: Fields = { ...item }
  return kind === 'base' && like === null
}

function isDefinition(item: unknown): item is TypeDefinition {
  if (typeof item !== 'object' || item === null) return false
  const fields: Fields = { ...item }
  const { kind, oid, name, arrayOid } = fields
  const isKind = (value: unknown): value is TypeDefinition['kind'] => isName(value) && Object.hasOwn(KINDS, value)
  return (
    isKind(kind) && isOid(oid) && isName(name) && (arrayOid === undefined || isOid(arrayOid)) && KINDS[kind](fields)
  )
}

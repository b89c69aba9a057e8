import type { PostgresConnection } from './connection.ts'

/** Below it an OID means the same type on every server (access/transam.h, FirstNormalObjectId). */
export const FIRST_USER_OID = 16_384

/** A type that the server's users or an extension made; which members there are depends on the kind. */
export interface UserType {
  readonly kind: 'enum' | 'domain' | 'composite' | 'range' | 'multirange' | 'base'
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** pg_type.typarray. */
  readonly arrayOid: number
  /** enum: in their order. */
  readonly labels?: readonly string[] | null
  /** domain: the type's OID, and its name with modifier. */
  readonly base?: number
  readonly baseType?: string
  readonly notNull?: boolean
  /** domain: an expression. */
  readonly default?: string | null
  /** domain: as pg_get_constraintdef has them. */
  readonly constraints?: readonly { readonly name: string; readonly definition: string }[]
  /** composite. */
  readonly fields?: readonly { readonly name: string; readonly oid: number; readonly type: string }[]
  /** range. */
  readonly subtype?: number
  /** multirange. */
  readonly range?: number
  /** base: whose bytes it has. */
  readonly like?: string
}

const V14_MULTIRANGES = 140_000

/** Types $1 and all that they stand on. */
function usedTypes(versionNumber: number): string {
  const multiranges =
    versionNumber >= V14_MULTIRANGES
      ? 'UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid'
      : ''
  return `WITH RECURSIVE used AS (
  SELECT unnest($1::oid[]) AS oid
  UNION
  SELECT below.oid FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid, LATERAL (
    SELECT t.typelem AS oid
    UNION ALL SELECT t.typbasetype
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
    ${multiranges}
  ) AS below
)`
}

/** Domains of one base each: what a domain on a domain has of its own is in its own row. */
const DOMAIN = `json_build_object('kind', 'domain', 'base', t.typbasetype::int8,
    'baseType', format_type(t.typbasetype, t.typtypmod), 'notNull', t.typnotnull, 'default', t.typdefault,
    'constraints', (SELECT coalesce(json_agg(json_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid)) ORDER BY k.conname), '[]')
      FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))`

function typeDefinitions(versionNumber: number): string {
  const multirange =
    versionNumber >= V14_MULTIRANGES
      ? `WHEN t.typtype = 'm' THEN json_build_object('kind', 'multirange', 'range',
      (SELECT r.rngtypid::int8 FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid))`
      : ''
  return `${usedTypes(versionNumber)}
SELECT CASE
    WHEN t.typtype = 'e' THEN json_build_object('kind', 'enum', 'labels',
      (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid))
    WHEN t.typtype = 'd' THEN ${DOMAIN}
    WHEN t.typtype = 'c' THEN json_build_object('kind', 'composite', 'fields',
      (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'oid', a.atttypid::int8,
          'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]')
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
    WHEN t.typtype = 'r' THEN json_build_object('kind', 'range', 'subtype',
      (SELECT r.rngsubtype::int8 FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid))
    ${multirange}
    ELSE json_build_object('kind', 'base', 'like', CASE t.typname WHEN 'citext' THEN 'text' ELSE t.typname END)
  END AS definition,
  t.oid, n.nspname AS schema, t.typname AS name, t.typarray AS "arrayOid"
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid IN (SELECT oid FROM used) AND t.oid >= ${FIRST_USER_OID}
  AND (t.typtype IN ('e', 'd', 'c', 'r', 'm') OR t.typname IN ('hstore', 'citext'))
ORDER BY t.oid`
}

interface TypeRow extends Pick<UserType, 'oid' | 'schema' | 'name' | 'arrayOid'> {
  readonly definition: Omit<UserType, 'oid' | 'schema' | 'name' | 'arrayOid'>
}

/** The definitions of the user-made types among these, and of those that they stand on, by OID. */
export async function describeTypes(
  connection: PostgresConnection,
  oids: readonly number[],
): Promise<readonly UserType[]> {
  if (!oids.some((oid) => oid >= FIRST_USER_OID)) return []
  const rows = await connection.query<TypeRow>(typeDefinitions(connection.versionNumber), [[...new Set(oids)]])
  return rows.map(({ definition, ...type }) => ({ ...type, ...definition }))
}

const WITHOUT_SEND = `SELECT t.oid FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_type element ON element.oid = t.typelem AND t.typcategory = 'A'
WHERE t.oid = ANY ($1::oid[]) AND (t.typsend = 0 OR element.typsend = 0)`

/** Those among the types that have no binary form, as aclitem and its array: binary COPY fails on them. */
export async function typesWithoutBinaryForm(
  connection: PostgresConnection,
  oids: readonly number[],
): Promise<ReadonlySet<number>> {
  const rows = await connection.query<{ oid: number }>(WITHOUT_SEND, [[...new Set(oids)]])
  return new Set(rows.map(({ oid }) => oid))
}

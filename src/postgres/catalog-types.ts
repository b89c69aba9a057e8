import { typeNameOf } from './catalog-queries.ts'
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
  /** range: the type's OID, and its name. */
  readonly subtype?: number
  readonly subtypeName?: string
  /** range, each as SQL has it: only where it is not the subtype's default. */
  readonly opclass?: string | null
  readonly collation?: string | null
  /** range, each as SQL has it: where there is one. */
  readonly canonical?: string | null
  readonly subtypeDiff?: string | null
  /** range, from PostgreSQL 14 on: as SQL has it. */
  readonly multirange?: string
  /** multirange. */
  readonly range?: number
  /** base: whose bytes it has, where that is known. */
  readonly like?: string | null
  /** Whose CREATE EXTENSION made the type. */
  readonly extension?: Extension
}

export interface Extension {
  readonly name: string
  readonly schema: string
  readonly version: string
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
    'baseType', ${typeNameOf('t.typbasetype', 't.typtypmod')}, 'notNull', t.typnotnull, 'default', t.typdefault,
    'constraints', (SELECT coalesce(json_agg(json_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid)) ORDER BY k.conname), '[]')
      FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))`

/** The opclass and the collation of a range are said where CREATE TYPE would choose others of its own accord. */
function rangeDefinition(versionNumber: number): string {
  const multirange =
    versionNumber >= V14_MULTIRANGES
      ? `, 'multirange', (SELECT quote_ident(mn.nspname) || '.' || quote_ident(m.typname) FROM pg_catalog.pg_type m
      JOIN pg_catalog.pg_namespace mn ON mn.oid = m.typnamespace WHERE m.oid = r.rngmultitypid)`
      : ''
  return `(SELECT json_build_object('kind', 'range', 'subtype', r.rngsubtype::int8,
    'subtypeName', ${typeNameOf('r.rngsubtype', 'NULL')},
    'opclass', (SELECT quote_ident(cn.nspname) || '.' || quote_ident(c.opcname) FROM pg_catalog.pg_opclass c
      JOIN pg_catalog.pg_namespace cn ON cn.oid = c.opcnamespace WHERE c.oid = r.rngsubopc AND NOT c.opcdefault),
    'collation', (SELECT quote_ident(cn.nspname) || '.' || quote_ident(c.collname) FROM pg_catalog.pg_collation c
      JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace
      WHERE c.oid = r.rngcollation AND c.oid <> (SELECT s.typcollation FROM pg_catalog.pg_type s WHERE s.oid = r.rngsubtype)),
    'canonical', CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::text END,
    'subtypeDiff', (SELECT quote_ident(fn.nspname) || '.' || quote_ident(f.proname) FROM pg_catalog.pg_proc f
      JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace WHERE f.oid = r.rngsubdiff)${multirange})
    FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)`
}

const IS_ARRAY = 'EXISTS (SELECT 1 FROM pg_catalog.pg_type element WHERE element.typarray = t.oid)'

const EXTENSION = `(SELECT json_build_object('name', x.extname, 'schema', xn.nspname, 'version', x.extversion)
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
    JOIN pg_catalog.pg_namespace xn ON xn.oid = x.extnamespace
    WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid
      AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e')`

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
          'type', ${typeNameOf('a.atttypid', 'a.atttypmod')}) ORDER BY a.attnum), '[]')
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
    WHEN t.typtype = 'r' THEN ${rangeDefinition(versionNumber)}
    ${multirange}
    ELSE json_build_object('kind', 'base', 'like', CASE t.typname WHEN 'citext' THEN 'text' WHEN 'hstore' THEN 'hstore' END)
  END AS definition,
  t.oid, n.nspname AS schema, t.typname AS name, t.typarray AS "arrayOid", ${EXTENSION} AS extension
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid IN (SELECT oid FROM used) AND t.oid >= ${FIRST_USER_OID}
  AND (t.typtype IN ('e', 'd', 'c', 'r', 'm') OR t.typtype = 'b' AND NOT ${IS_ARRAY})
ORDER BY t.oid`
}

interface TypeRow extends Pick<UserType, 'oid' | 'schema' | 'name' | 'arrayOid'> {
  readonly definition: Omit<UserType, 'oid' | 'schema' | 'name' | 'arrayOid' | 'extension'>
  readonly extension: Extension | null
}

/** The definitions of the user-made types among these, and of those that they stand on, by OID. */
export async function describeTypes(
  connection: PostgresConnection,
  oids: readonly number[],
): Promise<readonly UserType[]> {
  if (!oids.some((oid) => oid >= FIRST_USER_OID)) return []
  const rows = await connection.query<TypeRow>(typeDefinitions(connection.versionNumber), [[...new Set(oids)]])
  return rows.map(({ definition, extension, ...type }) => {
    return { ...type, ...definition, ...(extension === null ? {} : { extension }) }
  })
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

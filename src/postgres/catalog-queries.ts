import type { ServerInfo } from './session.ts'

type Server = Pick<ServerInfo, 'versionNumber' | 'flavour'>

/** From this version on pg_attribute has attidentity, pg_class partitions of PostgreSQL's own. */
const V10 = 100_000
const V12_GENERATED = 120_000

/** Greenplum 6 (a PostgreSQL 9.4) has partitions of its own kind; its partitioned tables are of relkind r. */
function hasGreenplumPartitions({ flavour, versionNumber }: Server): boolean {
  return flavour === 'Greenplum' && versionNumber < V10
}

/** The kind of a pg_class `c`. Greenplum 6 keeps external tables, foreign ones since 7, under relkind r. */
export function relationKind(server: Server): string {
  return hasGreenplumPartitions(server)
    ? "CASE WHEN c.relstorage = 'x' THEN 'f' ELSE c.relkind::text END"
    : 'c.relkind::text'
}

/**
 * One row for a relation by schema and name ($1, $2). Sizes and estimates of a partitioned table are those of its
 * leaves; an inheritance parent counts for itself, as COPY reads it.
 */
export function relationByName(server: Server): string {
  const partitioned = hasGreenplumPartitions(server)
    ? 'EXISTS (SELECT 1 FROM pg_catalog.pg_partition p WHERE p.parrelid = c.oid AND NOT p.paristemplate)'
    : "c.relkind = 'p'"
  return `WITH RECURSIVE root AS (
  SELECT c.oid, n.nspname, c.relname, ${relationKind(server)} AS relkind, ${partitioned} AS partitioned
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2
), tree AS (
  SELECT oid FROM root
  UNION ALL
  SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
  WHERE (SELECT partitioned FROM root)
)
SELECT
  root.oid,
  root.nspname AS schema,
  root.relname AS name,
  CASE WHEN partitioned THEN 'p' ELSE root.relkind END AS kind,
  ${PRIMARY_KEY} AS "primaryKey",
  size."estimatedRows",
  size."sizeBytes",
  (pg_relation_size(root.oid) / current_setting('block_size')::int8)::int4 AS pages
FROM root, (
  SELECT
    CASE WHEN count(*) = 1 THEN max(c.reltuples)
      ELSE sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind <> 'p') END::float8 AS "estimatedRows",
    sum(pg_table_size(c.oid))::int8 AS "sizeBytes"
  FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
) size`
}

const PRIMARY_KEY = `coalesce((
    SELECT json_agg(a.attname ORDER BY key.position)
    FROM pg_catalog.pg_constraint k, unnest(k.conkey) WITH ORDINALITY AS key (attnum, position)
    JOIN pg_catalog.pg_attribute a ON true
    WHERE k.conrelid = root.oid AND k.contype = 'p' AND a.attrelid = root.oid AND a.attnum = key.attnum
  ), '[]')`

/** format_type with the schema of every type that is not built in, whatever the search_path. */
function typeName(oid: string, typmod: string): string {
  return `CASE WHEN tn.nspname <> 'pg_catalog' AND pg_type_is_visible(element.oid)
    THEN quote_ident(tn.nspname) || '.' ELSE '' END || format_type(${oid}, ${typmod})`
}

/** The element type of an array, else the type itself: it is what format_type names. */
function elementOf(type: string): string {
  return `pg_catalog.pg_type element
  ON element.oid = CASE WHEN ${type}.typcategory = 'A' AND ${type}.typelem <> 0 THEN ${type}.typelem ELSE ${type}.oid END
JOIN pg_catalog.pg_namespace tn ON tn.oid = element.typnamespace`
}

const ELEMENT = elementOf('t')

/** The same as a subquery, for whatever gives the OID of a type and its modifier. */
export function typeNameOf(oid: string, typmod: string): string {
  return `(SELECT ${typeName('named.oid', typmod)} FROM pg_catalog.pg_type named JOIN ${elementOf('named')} WHERE named.oid = ${oid})`
}

/** The columns of a relation ($1: its oid) in the table's order. */
export function columnsOfRelation({ versionNumber }: Server): string {
  const generated = versionNumber >= V12_GENERATED ? "a.attgenerated <> ''" : 'false'
  const identity =
    versionNumber >= V10 ? "CASE a.attidentity WHEN 'a' THEN 'Always' WHEN 'd' THEN 'ByDefault' END" : 'NULL::text'
  return `SELECT
  a.attname AS name,
  a.atttypid AS "typeOid",
  a.atttypmod AS typmod,
  a.attlen AS "typeLength",
  a.attndims::int4 AS dimensions,
  ${typeName('a.atttypid', 'a.atttypmod')} AS "typeName",
  t.typtype::text AS "typeKind",
  a.attnotnull AS "notNull",
  a.atthasdef OR t.typdefault IS NOT NULL AS "hasDefault",
  ${generated} AS generated,
  ${identity} AS identity
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN ${ELEMENT}
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`
}

/** Result columns by their types and modifiers ($1, $2), and by the tables and columns they come from ($3, $4). */
export function columnsOfTypes(_server: Server): string {
  return `SELECT
  t.oid AS "typeOid",
  field.typmod,
  t.typlen AS "typeLength",
  coalesce(a.attndims::int4, CASE WHEN t.typcategory = 'A' THEN 1 ELSE 0 END) AS dimensions,
  ${typeName('t.oid', 'field.typmod')} AS "typeName",
  t.typtype::text AS "typeKind",
  false AS "notNull",
  false AS "hasDefault",
  false AS generated
FROM unnest($1::oid[], $2::int4[], $3::oid[], $4::int4[]) WITH ORDINALITY
  AS field (type, typmod, relation, attnum, position)
JOIN pg_catalog.pg_type t ON t.oid = field.type
JOIN ${ELEMENT}
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = field.relation AND a.attnum = field.attnum AND field.attnum > 0
ORDER BY field.position`
}

import type { ErrorCode } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { RelationInfo } from '../postgres/types.ts'
import type { RestoreMode } from '../run/config.ts'

/** What a load does with a table, beside COPY … FROM. */
export interface TableUse {
  readonly mode: RestoreMode
  readonly columns: readonly string[]
  /** OIDs of all tables that are emptied in one statement with this one, itself included. */
  readonly emptiedTogether: readonly number[]
  /** Replace: whether the table beside it is seen by several sessions, or lasts for one transaction. */
  readonly sharedShadow: boolean
}

export interface TableProblem {
  readonly code: ErrorCode
  readonly text: string
}

interface TableFacts {
  readonly usable: boolean
  readonly creatable: boolean
  readonly temporary: boolean
  readonly insertable: boolean
  readonly truncatable: boolean
  readonly rowSecurity: boolean
  readonly insteadOfInsert: boolean
  /** Tables with a foreign key to this one, itself left out. */
  readonly referencing: readonly { readonly oid: number; readonly name: string }[]
}

/** row_security_active and BYPASSRLS came with PostgreSQL 9.5. */
const ROW_SECURITY_VERSION = 90_500
/** TGTYPE_ROW, TGTYPE_INSERT and TGTYPE_INSTEAD (catalog/pg_trigger.h). */
const INSTEAD_OF_INSERT = 1 + 4 + 64

/** Partitions have copies of their table's foreign keys from PostgreSQL 11 on. */
const INHERITED_KEYS_VERSION = 110_000

function tableFacts(versionNumber: number): string {
  const rowSecurity = versionNumber >= ROW_SECURITY_VERSION ? 'row_security_active(c.oid)' : 'false'
  const own = versionNumber >= INHERITED_KEYS_VERSION ? 'AND k.conparentid = 0' : ''
  return `SELECT
  has_schema_privilege(c.relnamespace, 'USAGE') AS usable,
  has_schema_privilege(c.relnamespace, 'CREATE') AS creatable,
  has_database_privilege(current_database(), 'TEMPORARY') AS temporary,
  has_table_privilege(c.oid, 'INSERT') OR NOT EXISTS (
    SELECT 1 FROM unnest($2::text[]) AS given (name) WHERE NOT has_column_privilege(c.oid, given.name, 'INSERT')
  ) AS insertable,
  has_table_privilege(c.oid, 'TRUNCATE') AS truncatable,
  ${rowSecurity} AS "rowSecurity",
  EXISTS (
    SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype::int4 & ${INSTEAD_OF_INSERT} = ${INSTEAD_OF_INSERT}
  ) AS "insteadOfInsert",
  coalesce((
    SELECT json_agg(json_build_object('oid', key.oid, 'name', key.name)) FROM (
      SELECT DISTINCT k.conrelid::int8 AS oid, k.conrelid::regclass::text AS name
      FROM pg_catalog.pg_constraint k
      WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conrelid <> c.oid ${own}
    ) key
  ), '[]') AS referencing
FROM pg_catalog.pg_class c WHERE c.oid = $1`
}

/** What stands in the way of a load, apart from its columns' types. Asks the catalog once. */
export async function tableProblems(
  session: PostgresConnection,
  table: RelationInfo,
  use: TableUse,
): Promise<TableProblem[]> {
  const known = new Set(table.columns.map(({ name }) => name))
  const columns = use.columns.filter((name) => known.has(name))
  const [facts] = await session.query<TableFacts>(tableFacts(session.versionNumber), [table.oid, columns])
  if (facts === undefined) return [{ code: 'POSTGRES_NO_RELATION', text: 'the table was dropped a moment ago' }]
  return [...kindProblems(table, facts, use), ...privilegeProblems(table, facts, use), ...otherProblems(facts, use)]
}

function* kindProblems({ kind }: RelationInfo, facts: TableFacts, { mode }: TableUse): Generator<TableProblem> {
  const empties = mode === 'Truncate' || mode === 'Replace'
  const text = kindText(kind, facts, empties)
  if (text !== undefined) yield { code: 'OBJECT_UNSUPPORTED', text }
}

function kindText(kind: string, { insteadOfInsert }: TableFacts, empties: boolean): string | undefined {
  switch (kind) {
    case 'r':
    case 'p':
      return undefined
    case 'f':
      return empties ? 'it is a foreign table, which is not emptied from here: use Append' : undefined
    case 'v':
      if (empties) return 'it is a view, which cannot be emptied: name the table behind it'
      return insteadOfInsert ? undefined : 'it is a view without an INSTEAD OF INSERT trigger: name the table behind it'
    case 'm':
      return 'it is a materialized view, whose rows come from its query alone: name a table'
    default:
      return `it has relkind "${kind}" and takes no rows: name a table`
  }
}

function* privilegeProblems(table: RelationInfo, facts: TableFacts, use: TableUse): Generator<TableProblem> {
  const missing = (text: string): TableProblem => ({ code: 'POSTGRES_PRIVILEGE', text: `this user lacks ${text}` })
  const name = `${table.schema}.${table.name}`
  if (!facts.usable) yield missing(`USAGE on schema ${table.schema}`)
  if (!facts.insertable) yield missing(`INSERT on ${name}`)
  const empties = use.mode === 'Truncate' || use.mode === 'Replace'
  if (empties && !facts.truncatable) yield missing(`TRUNCATE on ${name}`)
  if (use.mode !== 'Replace') return
  if (use.sharedShadow && !facts.creatable) yield missing(`CREATE on schema ${table.schema}, where Replace loads first`)
  if (!use.sharedShadow && !facts.temporary) yield missing('TEMPORARY on the database, where Replace loads first')
}

function* otherProblems(facts: TableFacts, { mode, emptiedTogether }: TableUse): Generator<TableProblem> {
  if (facts.rowSecurity) {
    const text = 'row-level security applies to this user, and COPY FROM does not go with it'
    yield { code: 'POSTGRES_PRIVILEGE', text: `${text}: use the table's owner or a role with BYPASSRLS` }
  }
  if (mode !== 'Truncate' && mode !== 'Replace') return
  const others = facts.referencing.filter(({ oid }) => !emptiedTogether.includes(oid)).map(({ name }) => name)
  if (others.length === 0) return
  const text = `foreign keys of ${others.join(', ')} point at it, so that it cannot be emptied alone`
  yield {
    code: 'TARGET_REFERENCED',
    text: `${text}: restore them in the same transaction, drop the keys, or use Append`,
  }
}

/** Why this server takes no rows at all now; undefined when it does. */
export async function readOnlyProblem(session: PostgresConnection): Promise<TableProblem | undefined> {
  if (session.inRecovery) {
    return { code: 'POSTGRES_READ_ONLY', text: `${session.name} is a standby (in recovery): name the primary` }
  }
  const [row] = await session.query<{ readOnly: boolean }>(
    `SELECT current_setting('transaction_read_only') = 'on' AS "readOnly"`,
  )
  if (row?.readOnly !== true) return undefined
  const text = `transactions on ${session.name} are read-only (default_transaction_read_only)`
  return { code: 'POSTGRES_READ_ONLY', text: `${text}: set it to off in session.settings, or for the role or database` }
}

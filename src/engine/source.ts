import { PgpackError } from '../errors.ts'
import { describeQuery, describeTable, isPopulated } from '../postgres/catalog.ts'
import { type Distribution, distributionOf } from '../postgres/catalog-parts.ts'
import { typesWithoutBinaryForm } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyQueryTo, copyTableTo, copyTableToSegments } from '../postgres/copy.ts'
import type { CopyFormatOptions } from '../postgres/copy-options/clause.ts'
import { checkCopyOptions } from '../postgres/copy-options/validate.ts'
import { quoteIdentifier, quoteQualified } from '../postgres/identifiers.ts'
import { describeStatement } from '../postgres/statement.ts'
import type { ColumnInfo, RelationInfo } from '../postgres/types.ts'
import type { DumpObject } from '../run/config.ts'
import { checkFileRole, isOnSegments, withObjectName } from './segments.ts'
import { asAllowed, checkSelect } from './source-check.ts'
import { about, objectName } from './source-name.ts'
import { type Part, partsOf } from './source-parts.ts'

/** An object that is to be dumped, found in the catalog: what it is called, what its rows look like, and how to read them. */
export interface DumpSource {
  /** `schema.table`, or the query's name. */
  readonly name: string
  readonly kind: 'Table' | 'Query'
  readonly relation: RelationInfo | undefined
  /** Exactly the columns that COPY sends, in its order. */
  readonly columns: readonly ColumnInfo[]
  /** All its rows, as a SELECT. */
  readonly select: string
  /** COPY … TO STDOUT statements that together send every row once. */
  readonly statements: readonly string[]
  /** COPY that sends the line of column names alone, where several statements share one; it goes first. */
  readonly header: string | undefined
  /** From the table's statistics; undefined where there are none, or a condition leaves rows out. */
  readonly estimatedRows: bigint | undefined
  /** The planner's guess. */
  readonly planned: { readonly rows: bigint; readonly bytes: bigint }
  /** Row-level security hides rows from this user, who has allowed that. */
  readonly rowSecurity: boolean
  /** Greenplum only. */
  readonly distribution: Distribution | undefined
  /** ON SEGMENT: the path of the files that the segments write; nothing is sent. */
  readonly onSegment?: string | undefined
}

/** One object by its name or query; `tables` stands for several. */
export type SingleObject = Exclude<DumpObject, { tables: unknown }>
type TableObject = Extract<SingleObject, { table: unknown }>['table']

const READABLE_KINDS: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
}

/**
 * Finds one object and checks all that can be checked before it is read. The session is in a transaction.
 * @param how the COPY's format and options; binary without options when not given.
 * @throws PgpackError POSTGRES_NO_RELATION, POSTGRES_NO_COLUMN, POSTGRES_STATEMENT, POSTGRES_PRIVILEGE,
 *   OBJECT_UNSUPPORTED, CONFIG_INVALID
 */
export async function findSource(
  connection: PostgresConnection,
  object: SingleObject,
  connections: number,
  how: CopyFormatOptions = {},
): Promise<DumpSource> {
  if ('query' in object) return about(`query "${object.query.name}"`, () => querySource(connection, object.query, how))
  return about(objectName(object.table), () => tableSource(connection, object.table, connections, how))
}

async function querySource(
  connection: PostgresConnection,
  { name, sql }: { name: string; sql: string },
  how: CopyFormatOptions,
): Promise<DumpSource> {
  // Between parentheses, as COPY has it, the server takes nothing that changes data and no second statement.
  const select = `(\n${sql.replace(/[;\s]+$/, '')}\n)`
  const columns = await oneSelect(() => asAllowed(connection, select, () => describeQuery(connection, sql)))
  await checkFormat(connection, columns, how, 'Query')
  const { rowSecurity, ...planned } = await oneSelect(() => checkSelect(connection, select))
  return {
    name,
    kind: 'Query',
    relation: undefined,
    columns,
    select,
    statements: [copyQueryTo(sql, how)],
    header: undefined,
    estimatedRows: undefined,
    planned,
    rowSecurity,
    distribution: undefined,
  }
}

/** SQLSTATE syntax_error. */
const SYNTAX_ERROR = '42601'

async function oneSelect<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof PgpackError) || error.details.status !== SYNTAX_ERROR) throw error
    const expected = 'one SELECT, WITH … SELECT, VALUES or TABLE'
    throw new PgpackError(error.code, `${error.message}; expected ${expected}`, {
      ...error.details,
      expected,
      cause: error,
    })
  }
}

async function tableSource(
  connection: PostgresConnection,
  table: TableObject,
  connections: number,
  given: CopyFormatOptions,
): Promise<DumpSource> {
  const relation = await describeTable(connection, table)
  await checkKind(connection, relation)
  const columns = chooseColumns(relation, table.columns)
  const names = columns.map((column) => column.name)
  const how = withObjectName(given, relation)
  const select = selectOf(relation, names, table)
  if (table.where !== undefined) await asAllowed(connection, select, () => describeStatement(connection, select))
  const { rowSecurity, ...planned } = await checkSelect(connection, select)
  const { statements, header } = await copies(connection, relation, { table, names, connections, how })
  const isQuery = statements.length > 1 || statements[0]?.startsWith('COPY (') === true
  await checkFormat(connection, columns, how, isQuery ? 'Query' : 'Table')
  const exact = table.where === undefined && relation.estimatedRows > 0
  return {
    name: objectName(relation),
    kind: 'Table',
    relation,
    columns,
    select,
    statements,
    header,
    estimatedRows: exact ? BigInt(Math.round(relation.estimatedRows)) : undefined,
    planned,
    rowSecurity,
    distribution: connection.flavour === 'Greenplum' ? await distributionOf(connection, relation) : undefined,
    onSegment: how.options?.onSegment,
  }
}

async function checkKind(connection: PostgresConnection, relation: RelationInfo): Promise<void> {
  const { kind } = relation
  if (!(kind in READABLE_KINDS)) {
    const kinds = Object.values(READABLE_KINDS).join(', ')
    throw new PgpackError('OBJECT_UNSUPPORTED', `it has relkind "${kind}": only a ${kinds} can be dumped`)
  }
  if (kind !== 'm' || (await isPopulated(connection, relation))) return
  throw new PgpackError('OBJECT_UNSUPPORTED', 'it has never been filled: run REFRESH MATERIALIZED VIEW first')
}

/** @throws PgpackError CONFIG_INVALID for options that do not fit, OBJECT_UNSUPPORTED for types that the format does not have */
async function checkFormat(
  connection: PostgresConnection,
  columns: readonly ColumnInfo[],
  how: CopyFormatOptions,
  source: 'Table' | 'Query',
): Promise<void> {
  checkOptions(connection, columns, how, source)
  if (isOnSegments(how.options)) await checkFileRole(connection, 'To')
  if ((how.format ?? 'Binary') !== 'Binary') return
  const types = await typesWithoutBinaryForm(
    connection,
    columns.map((column) => column.typeOid),
  )
  const unfit = columns.filter((column) => types.has(column.typeOid))
  if (unfit.length === 0) return
  const named = unfit.map(({ name, typeName }) => `"${name}" (${typeName})`).join(', ')
  const many = unfit.length > 1
  const message = `column${many ? 's' : ''} ${named} ${many ? 'have' : 'has'} a type without binary form: leave ${many ? 'them' : 'it'} out, cast ${many ? 'them' : 'it'} to text in a query, or use format Text or CSV`
  throw new PgpackError('OBJECT_UNSUPPORTED', message)
}

function checkOptions(
  { versionNumber, flavour }: PostgresConnection,
  columns: readonly ColumnInfo[],
  { format = 'Binary', options = {} }: CopyFormatOptions,
  source: 'Table' | 'Query',
): void {
  const names = columns.map((column) => column.name)
  checkCopyOptions(options, { format, direction: 'To', versionNumber, flavour, source, columns: names })
}

/** As copyTableTo reads it. */
function selectOf(relation: RelationInfo, columns: readonly string[], { where, descendants }: TableObject): string {
  const only = relation.kind === 'r' && descendants !== 'Include' ? 'ONLY ' : ''
  const condition = where === undefined ? '' : ` WHERE (\n${where}\n)`
  return `SELECT ${columns.map(quoteIdentifier).join(', ')} FROM ${only}${quoteQualified(relation)}${condition}`
}

interface Wanted {
  readonly table: TableObject
  readonly names: readonly string[]
  readonly connections: number
  readonly how: CopyFormatOptions
}

async function copies(
  connection: PostgresConnection,
  relation: RelationInfo,
  { table, names, connections, how }: Wanted,
): Promise<Pick<DumpSource, 'statements' | 'header'>> {
  const descendants = table.descendants === 'Include'
  const tree = descendants || relation.kind === 'p'
  const { options = {} } = how
  // What these are for is said of a table's COPY only; parts are queries.
  const whole = options.oids === true || options.ignoreExternalPartitions === true || isOnSegments(options)
  const parts = await partsOf(connection, relation, whole ? 1 : connections, tree)
  // Greenplum reads a partitioned table by its name; what else is no plain table is a query, and refused as one.
  const named = relation.kind === 'p' || (relation.kind === 'r' && !descendants)
  if (isOnSegments(options) && named && table.where === undefined) {
    return { statements: [copyTableToSegments(relation, names, { ...how, options })], header: undefined }
  }
  const statement = ({ keys, ...part }: Part, of: CopyFormatOptions, condition = table.where) => {
    const conditions = [condition, keys].filter((one) => one !== undefined)
    const where = conditions.length === 2 ? conditions.map((one) => `(\n${one}\n)`).join(' AND ') : conditions[0]
    return copyTableTo(relation, names, { ...of, ...part, descendants, ...(where === undefined ? {} : { where }) })
  }
  if (parts.length === 1 || options.header !== 'Present') {
    return { statements: parts.map((part) => statement(part, how)), header: undefined }
  }
  const headless = { ...how, options: { ...options, header: 'Absent' as const } }
  return { statements: parts.map((part) => statement(part, headless)), header: statement({}, how, 'false') }
}

/** The asked-for columns in their order, or all that COPY sends: it leaves generated columns out. */
function chooseColumns(relation: RelationInfo, wanted: readonly string[] | undefined): readonly ColumnInfo[] {
  const stored = relation.columns.filter((column) => !column.generated)
  const table = objectName(relation)
  if (wanted === undefined) {
    if (stored.length > 0) return stored
    throw new PgpackError('OBJECT_UNSUPPORTED', `${table} has no columns that COPY could send`)
  }
  const twice = wanted.find((name, index) => wanted.indexOf(name) !== index)
  if (twice !== undefined) throw new PgpackError('CONFIG_INVALID', `${table}: column "${twice}" is asked for twice`)
  return wanted.map((name) => {
    const column = stored.find((candidate) => candidate.name === name)
    if (column !== undefined) return column
    const have = stored.map((candidate) => candidate.name).join(', ')
    throw new PgpackError(
      'POSTGRES_NO_COLUMN',
      `${table} has no column "${name}" that COPY could send; it has: ${have}`,
    )
  })
}

import { PgpackError } from '../errors.ts'
import { describeQuery, describeTable } from '../postgres/catalog.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyQueryTo, copyTableTo } from '../postgres/copy.ts'
import type { ColumnInfo, RelationInfo } from '../postgres/types.ts'
import type { DumpObject } from '../run/config.ts'
import { type BlockRange, planRanges } from './plan.ts'

/** An object that is to be dumped, found in the catalog: what it is called, what its rows look like, and how to read them. */
export interface DumpSource {
  /** `schema.table`, or the query's name. */
  readonly name: string
  readonly kind: 'Table' | 'Query'
  readonly relation: RelationInfo | undefined
  /** Exactly the columns that COPY sends, in its order. */
  readonly columns: readonly ColumnInfo[]
  /** COPY … TO STDOUT statements that together send every row once. */
  readonly statements: readonly string[]
  /** The planner's estimate; undefined where there is none. */
  readonly estimatedRows: bigint | undefined
}

const READABLE_KINDS: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
}

/** @throws PgpackError POSTGRES_NO_RELATION, POSTGRES_NO_COLUMN, POSTGRES_STATEMENT, OBJECT_UNSUPPORTED */
export async function findSource(
  connection: PostgresConnection,
  object: DumpObject,
  connections: number,
): Promise<DumpSource> {
  return 'query' in object ? querySource(connection, object.query) : tableSource(connection, object.table, connections)
}

async function querySource(connection: PostgresConnection, query: { name: string; sql: string }): Promise<DumpSource> {
  return {
    name: query.name,
    kind: 'Query',
    relation: undefined,
    columns: await describeQuery(connection, query.sql),
    statements: [copyQueryTo(query.sql)],
    estimatedRows: undefined,
  }
}

type TableObject = Extract<DumpObject, { table: unknown }>['table']

async function tableSource(
  connection: PostgresConnection,
  table: TableObject,
  connections: number,
): Promise<DumpSource> {
  const relation = await describeTable(connection, table)
  const name = `${relation.schema}.${relation.name}`
  if (!(relation.kind in READABLE_KINDS)) {
    const kinds = Object.values(READABLE_KINDS).join(', ')
    throw new PgpackError('OBJECT_UNSUPPORTED', `${name} has relkind "${relation.kind}": only a ${kinds} can be dumped`)
  }
  const columns = chooseColumns(relation, table.columns)
  const names = columns.map((column) => column.name)
  const statement = (blocks: BlockRange | undefined) =>
    copyTableTo(relation, names, {
      ...(table.where === undefined ? {} : { where: table.where }),
      ...(blocks === undefined ? {} : { blocks }),
    })
  const exact = table.where === undefined && relation.estimatedRows > 0
  return {
    name,
    kind: 'Table',
    relation,
    columns,
    statements: planRanges(relation, connection, connections).map(statement),
    estimatedRows: exact ? BigInt(Math.round(relation.estimatedRows)) : undefined,
  }
}

/** The asked-for columns in their order, or all that COPY sends: it leaves generated columns out. */
function chooseColumns(relation: RelationInfo, wanted: readonly string[] | undefined): readonly ColumnInfo[] {
  const stored = relation.columns.filter((column) => !column.generated)
  const table = `${relation.schema}.${relation.name}`
  if (wanted === undefined) {
    if (stored.length > 0) return stored
    throw new PgpackError('OBJECT_UNSUPPORTED', `${table} has no columns that COPY could send`)
  }
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

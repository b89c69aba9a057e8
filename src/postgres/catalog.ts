import { PgpackError } from '../errors.ts'
import { missingRelation } from './catalog-hints.ts'
import { columnsOfRelation, columnsOfTypes, relationByName } from './catalog-queries.ts'
import type { PostgresConnection } from './connection.ts'
import type { QualifiedName } from './identifiers.ts'
import { describeStatement } from './statement.ts'
import type { ColumnInfo, RelationInfo } from './types.ts'

export { pgpackColumn } from './pgpack-column.ts'

type RelationRow = Omit<RelationInfo, 'columns' | 'sizeBytes'> & { readonly sizeBytes: string }

/**
 * What the catalog says of a relation.
 * @throws PgpackError POSTGRES_NO_RELATION, with names that come near
 */
export async function describeTable(connection: PostgresConnection, table: QualifiedName): Promise<RelationInfo> {
  const [relation] = await connection.query<RelationRow>(relationByName(connection), [table.schema, table.name])
  if (relation === undefined) throw await missingRelation(connection, table)
  const columns = await connection.query<ColumnInfo>(columnsOfRelation(connection), [relation.oid])
  return { ...relation, sizeBytes: Number(relation.sizeBytes), columns: columns.map(withIdentity) }
}

/** A materialized view that was made WITH NO DATA cannot be read before its first REFRESH. */
export async function isPopulated(connection: PostgresConnection, { oid }: RelationInfo): Promise<boolean> {
  const [row] = await connection.query<{ populated: boolean }>(
    'SELECT relispopulated AS populated FROM pg_catalog.pg_class WHERE oid = $1',
    [oid],
  )
  return row?.populated === true
}

/** SQL has no undefined. */
function withIdentity(column: ColumnInfo): ColumnInfo {
  return { ...column, identity: column.identity ?? undefined }
}

/**
 * The columns of a query's result, without running it. What a column takes straight from a table keeps its array
 * dimensions; any other array counts as one-dimensional.
 * @throws PgpackError CONFIG_INVALID for columns that cannot be told apart, or a statement that returns no rows
 */
export async function describeQuery(connection: PostgresConnection, sql: string): Promise<readonly ColumnInfo[]> {
  const fields = await describeStatement(connection, sql)
  checkNames(fields.map((field) => field.name))
  const types = await connection.query<Omit<ColumnInfo, 'name'>>(columnsOfTypes(connection), [
    fields.map((field) => field.dataTypeID),
    fields.map((field) => field.dataTypeModifier),
    fields.map((field) => field.tableID),
    fields.map((field) => field.columnID),
  ])
  return fields.map(({ name }, index) => {
    const type = types[index]
    if (type === undefined) throw new PgpackError('INTERNAL', `no type was found for the query's column "${name}"`)
    return { name, ...type, identity: undefined }
  })
}

function checkNames(names: readonly string[]): void {
  const unnamed = names.indexOf('?column?')
  if (unnamed !== -1) {
    throw new PgpackError('CONFIG_INVALID', `column ${unnamed + 1} of the query has no name: give it one with AS`)
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new PgpackError('CONFIG_INVALID', `the query has two columns "${twice}": rename one with AS`)
  }
}

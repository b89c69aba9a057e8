import type { Distribution } from '../postgres/catalog-parts.ts'
import type { UserType } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { type QualifiedName, quoteIdentifier, quoteQualified } from '../postgres/identifiers.ts'
import type { Flavour } from '../postgres/types.ts'
import type { Load } from './load.ts'

/** What a table is made of that is not there. */
export interface TableDefinition {
  readonly columns: readonly ColumnDefinition[]
  /** Names in key order; empty when there is none. */
  readonly primaryKey: readonly string[]
  /** Greenplum only; none leaves it to the server. */
  readonly distribution?: Distribution | undefined
  /** Types of users in the source, by which those that are missing here can be made. */
  readonly types: readonly UserType[]
}

export interface ColumnDefinition {
  readonly name: string
  /** format_type(), which quotes what must be quoted. */
  readonly type: string
  /** The source's. */
  readonly typeOid: number
  readonly notNull: boolean
}

/**
 * CREATE TABLE. A primary key or a distribution whose columns are not all loaded is left out, and so is a distribution
 * where the server is no Greenplum.
 */
export function createTable(table: QualifiedName, definition: TableDefinition, flavour: Flavour): string {
  const { columns, primaryKey, distribution } = definition
  const lines = columns.map(
    ({ name, type, notNull }) => `${quoteIdentifier(name)} ${type}${notNull ? ' NOT NULL' : ''}`,
  )
  const all = (names: readonly string[]) => names.every((name) => columns.some((column) => column.name === name))
  if (primaryKey.length > 0 && all(primaryKey)) {
    lines.push(`PRIMARY KEY (${primaryKey.map(quoteIdentifier).join(', ')})`)
  }
  const distributed = flavour === 'Greenplum' && distribution !== undefined && all(distribution.columns)
  const suffix = distributed ? ` ${distributedBy(distribution)}` : ''
  return `CREATE TABLE ${quoteQualified(table)} (\n  ${lines.join(',\n  ')}\n)${suffix}`
}

function distributedBy({ policy, columns }: Distribution): string {
  if (policy === 'Hash') return `DISTRIBUTED BY (${columns.map(quoteIdentifier).join(', ')})`
  return policy === 'Random' ? 'DISTRIBUTED RANDOMLY' : 'DISTRIBUTED REPLICATED'
}

/** Makes the tables that are not there, and their types; two objects may go into one, two tables may share a type. */
export async function createTables(session: PostgresConnection, loads: readonly Load[]): Promise<void> {
  const tables = new Map(loads.map((load) => [quoteQualified(load.table), load.create ?? []]))
  for (const statement of new Set([...tables.values()].flat())) await session.query(statement)
}

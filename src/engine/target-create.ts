import { describeTable } from '../postgres/catalog.ts'
import type { Distribution } from '../postgres/catalog-parts.ts'
import { describeTypes, type UserType } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { type QualifiedName, quoteIdentifier, quoteQualified } from '../postgres/identifiers.ts'
import type { Flavour } from '../postgres/types.ts'
import type { Load } from './load.ts'
import { oidTrees, withTargetOids } from './target-oids.ts'

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

/** From PostgreSQL 14 on, array_recv and record_recv take the OID of a user's type for what the table declares. */
const USER_OIDS_TAKEN_VERSION = 140_000

/**
 * Makes the tables that are not there, and what they stand on; two objects may go into one, two tables may share a type.
 * @returns the loads as this server takes them
 */
export async function createTables(session: PostgresConnection, loads: readonly Load[]): Promise<readonly Load[]> {
  const tables = new Map(loads.map((load) => [quoteQualified(load.table), load.create ?? []]))
  for (const statement of new Set([...tables.values()].flat())) await session.query(statement)
  if (session.versionNumber >= USER_OIDS_TAKEN_VERSION) return loads
  const fitted: Load[] = []
  for (const load of loads) fitted.push(load.foreignOids === true ? await withOids(session, load) : load)
  return fitted
}

/** Types that were made a moment ago have OIDs only now. */
async function withOids(session: PostgresConnection, load: Load): Promise<Load> {
  const { columns } = load.create === undefined ? load.table : await describeTable(session, load.table)
  const oidOf = new Map(columns.map(({ name, typeOid }) => [name, typeOid]))
  const oids = load.columns.map((name) => oidOf.get(name) ?? 0)
  const trees = oidTrees(await describeTypes(session, oids), oids)
  if (trees.every((tree) => tree === undefined)) return load
  return { ...load, parts: load.parts.map((part) => ('onSegments' in part ? part : withTargetOids(part, trees))) }
}

import { type QualifiedName, quoteIdentifier, quoteQualified } from './identifiers.ts'
import type { RelationInfo } from './types.ts'

export type CopyRelation = Pick<RelationInfo, 'schema' | 'name' | 'kind'>

export interface CopyTableOptions {
  /** A condition in SQL, as the user wrote it. */
  readonly where?: string
  /** Heap blocks to read: `from` inclusive, `to` exclusive, open where undefined. Of plain tables only. */
  readonly blocks?: { readonly from: number; readonly to: number | undefined }
  /** Greenplum: rows of one segment only; the condition is dispatched to that segment alone. */
  readonly segment?: number
}

const BINARY = '(FORMAT binary)'

/**
 * COPY of a relation's rows, binary. A plain table goes by its name; everything else COPY reads only as a query. A
 * table's inheritance children are left out in both forms; a partitioned table's partitions are read.
 */
export function copyTableTo(
  relation: CopyRelation,
  columns: readonly string[],
  options: CopyTableOptions = {},
): string {
  const conditions = [...conditionsOf(options)]
  const plain = relation.kind === 'r'
  if (plain && conditions.length === 0) {
    return `COPY ${quoteQualified(relation)}${columnList(columns)} TO STDOUT ${BINARY}`
  }
  const from = `${plain ? 'ONLY ' : ''}${quoteQualified(relation)}`
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return `COPY (SELECT ${columns.map(quoteIdentifier).join(', ')} FROM ${from}${where}) TO STDOUT ${BINARY}`
}

function* conditionsOf({ where, blocks, segment }: CopyTableOptions): Generator<string> {
  // tid constants, so that the planner can make a TID Range Scan of it (PostgreSQL 14).
  if (blocks !== undefined && blocks.from > 0) yield `ctid >= '(${blocks.from},0)'::tid`
  if (blocks?.to !== undefined) yield `ctid < '(${blocks.to},0)'::tid`
  if (segment !== undefined) yield `gp_segment_id = ${segment}`
  // The line breaks keep a comment at the end from swallowing the parenthesis.
  if (where !== undefined) yield `(\n${where}\n)`
}

/** COPY of a query's rows, binary. The server refuses a semicolon within the parentheses. */
export function copyQueryTo(sql: string): string {
  return `COPY (\n${sql.replace(/[;\s]+$/, '')}\n) TO STDOUT ${BINARY}`
}

export function copyFrom(table: QualifiedName, columns: readonly string[]): string {
  return `COPY ${quoteQualified(table)}${columnList(columns)} FROM STDIN ${BINARY}`
}

/** One statement for all of them, so that tables which point at one another by foreign keys can be emptied together. */
export function truncateTables(tables: readonly QualifiedName[]): string {
  return `TRUNCATE TABLE ${[...new Set(tables.map(quoteQualified))].join(', ')}`
}

/** An empty list is no valid SQL; a table without columns is named without one. */
function columnList(columns: readonly string[]): string {
  return columns.length === 0 ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`
}

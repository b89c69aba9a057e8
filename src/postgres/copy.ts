import { type CopyFormatOptions, copyClause, parenthesised } from './copy-options/clause.ts'
import type { CopyOptions } from './copy-options/schema.ts'
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from './identifiers.ts'
import type { RelationInfo } from './types.ts'

export type CopyRelation = Pick<RelationInfo, 'schema' | 'name' | 'kind'>

export interface CopyTableOptions extends CopyFormatOptions {
  /** A condition in SQL, as the user wrote it. */
  readonly where?: string
  /** Heap blocks to read, in a tree those of each table: `from` inclusive, `to` exclusive, open where undefined. */
  readonly blocks?: { readonly from: number; readonly to: number | undefined }
  /** Greenplum: rows of one segment only; the condition is dispatched to that segment alone. */
  readonly segment?: number
  /** The rows of inheritance children too. */
  readonly descendants?: boolean
}

/**
 * COPY of a relation's rows. A plain table goes by its name; everything else COPY reads only as a query. A table's
 * inheritance children are left out in both forms unless `descendants` asks for them; a partitioned table's partitions
 * are read.
 */
export function copyTableTo(
  relation: CopyRelation,
  columns: readonly string[],
  options: CopyTableOptions = {},
): string {
  const conditions = [...conditionsOf(options)]
  const plain = relation.kind === 'r' && options.descendants !== true
  // Greenplum 7 reads a partitioned table by its name, and only then knows IGNORE EXTERNAL PARTITIONS.
  const byName = plain || options.options?.ignoreExternalPartitions === true
  if (byName && conditions.length === 0) {
    return `COPY ${quoteQualified(relation)}${columnList(columns)} TO STDOUT ${copyClause(options)}`
  }
  const from = `${plain ? 'ONLY ' : ''}${quoteQualified(relation)}`
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return `COPY (SELECT ${columns.map(quoteIdentifier).join(', ')} FROM ${from}${where}) TO STDOUT ${copyClause(options)}`
}

function* conditionsOf({ where, blocks, segment }: CopyTableOptions): Generator<string> {
  // tid constants, so that the planner can make a TID Range Scan of it (PostgreSQL 14).
  if (blocks !== undefined && blocks.from > 0) yield `ctid >= '(${blocks.from},0)'::tid`
  if (blocks?.to !== undefined) yield `ctid < '(${blocks.to},0)'::tid`
  if (segment !== undefined) yield `gp_segment_id = ${segment}`
  if (where !== undefined) yield parenthesised(where)
}

/** COPY of a query's rows. The server refuses a semicolon within the parentheses. */
export function copyQueryTo(sql: string, how: CopyFormatOptions = {}): string {
  return `COPY ${parenthesised(sql.replace(/[;\s]+$/, ''))} TO STDOUT ${copyClause(how)}`
}

export function copyFrom(table: QualifiedName, columns: readonly string[], how: CopyFormatOptions = {}): string {
  return `COPY ${quoteQualified(table)}${columnList(columns)} FROM STDIN ${copyClause(how)}`
}

/** COPY between a table and files of the segments' hosts: `options.onSegment` says where. No stream flows. */
export interface SegmentCopy extends CopyFormatOptions {
  readonly options: CopyOptions & { readonly onSegment: string }
}

/** Each segment writes the rows it has into a file of its own. Run as a plain statement. */
export function copyTableToSegments(table: QualifiedName, columns: readonly string[], how: SegmentCopy): string {
  return `COPY ${quoteQualified(table)}${columnList(columns)} TO ${segmentFiles(how)}`
}

/** Each segment loads the file that lies on its host. Run as a plain statement. */
export function copyFromSegments(table: QualifiedName, columns: readonly string[], how: SegmentCopy): string {
  return `COPY ${quoteQualified(table)}${columnList(columns)} FROM ${segmentFiles(how)}`
}

function segmentFiles(how: SegmentCopy): string {
  return `${quoteLiteral(how.options.onSegment)} ${copyClause(how)}`
}

/** One statement for all of them, so that tables which point at one another by foreign keys can be emptied together. */
export function truncateTables(tables: readonly QualifiedName[]): string {
  return `TRUNCATE TABLE ${[...new Set(tables.map(quoteQualified))].join(', ')}`
}

/** An empty list is no valid SQL; a table without columns is named without one. */
function columnList(columns: readonly string[]): string {
  return columns.length === 0 ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`
}

import type { PostgresConnection } from './connection.ts'
import { copyClause } from './copy-options/clause.ts'
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from './identifiers.ts'

/** A moment by the clock of a segment's host, as the server spells it. */
export interface SegmentTime {
  /** Content id. */
  readonly segment: number
  readonly at: string
}

/**
 * What every segment's clock says. The error log dates its rows by the start of the statement on the segment that
 * refused them (FormErrorTuple of cdbsreh.c), and hosts do not agree on the time.
 */
export async function segmentTimes(connection: PostgresConnection): Promise<readonly SegmentTime[]> {
  return connection.query<SegmentTime>(
    `SELECT gp_execution_segment() AS segment, clock_timestamp()::text AS at FROM gp_dist_random('gp_id') ORDER BY 1`,
  )
}

/** On how many segments each row of a table lies: all of them when it is replicated, else one. */
export async function copiesOfRows(connection: PostgresConnection, table: QualifiedName): Promise<number> {
  const [row] = await connection.query<{ copies: number }>(
    `SELECT numsegments AS copies FROM gp_distribution_policy WHERE policytype = 'r' AND localoid = $1::text::regclass`,
    [quoteQualified(table)],
  )
  return row?.copies ?? 1
}

/** From when on, and until when, a segment may have refused rows. */
export interface SegmentWindow {
  readonly segment: number
  readonly from: string
  readonly to: string
}

export interface ErrorLog {
  /** The table that COPY wrote to. */
  readonly table: QualifiedName
  readonly windows: readonly SegmentWindow[]
  /** What stands for `<stdin>` in the column `filename`. */
  readonly file: string
  /** What stands in the column `relname`: the table that the rows were for. */
  readonly relname: string
}

/** Columns of gp_read_error_log, with `segment` before them. */
const COLUMNS = ['segment', 'cmdtime', 'relname', 'filename', 'linenum', 'bytenum', 'errmsg', 'rawdata', 'rawbytes']

/**
 * COPY of a table's error log, which every load adds to: the rows of statements that began within the windows, as CSV
 * with a header, in the order of the file's lines. SELECT on the table is needed.
 */
export function copyErrorLog({ table, windows, file, relname }: ErrorLog): string {
  const values = windows.map(
    ({ segment, from, to }) => `(${segment}, ${quoteLiteral(from)}::timestamptz, ${quoteLiteral(to)}::timestamptz)`,
  )
  const shown = new Map([
    ['relname', `${quoteLiteral(relname)}::text AS relname`],
    ['filename', `coalesce(nullif(refused.filename, '<stdin>'), ${quoteLiteral(file)}) AS filename`],
  ])
  const columns = COLUMNS.map((name) => shown.get(name) ?? `refused.${quoteIdentifier(name)}`)
  const log = `SELECT gp_execution_segment() AS segment, * FROM gp_read_error_log(${quoteLiteral(quoteQualified(table))})`
  return `COPY (SELECT ${columns.join(', ')} FROM (${log}) AS refused
    JOIN (VALUES ${values.join(', ')}) AS during (segment, since, until)
      ON refused.segment = during.segment AND refused.cmdtime BETWEEN during.since AND during.until
    ORDER BY filename, refused.linenum) TO STDOUT ${copyClause({ format: 'CSV', options: { header: 'Present' } })}`
}

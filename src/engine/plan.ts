import { quoteIdentifier } from '../postgres/identifiers.ts'
import type { Flavour, RelationInfo } from '../postgres/types.ts'

/** Blocks of one table that one COPY reads: `from` inclusive, `to` exclusive, open at the end for the last range. */
export interface BlockRange {
  readonly from: number
  readonly to: number | undefined
}

/** Whole numbers: `from` inclusive, `to` exclusive, open at the ends. */
export interface KeyRange {
  readonly from: bigint | undefined
  readonly to: bigint | undefined
}

/** TID range scans came with PostgreSQL 14; before, a ctid condition reads the whole table. */
const TID_RANGE_SCAN_VERSION = 140_000
/** 64 MiB of heap in 8 KiB blocks: small enough that N connections finish together, large enough that a COPY's start costs nothing. */
const BLOCKS_PER_RANGE = 8192
const BYTES_PER_RANGE = BLOCKS_PER_RANGE * 8192

/** Tables and materialized views have blocks; a ctid condition on a partitioned table goes to each of its partitions. */
const KINDS_WITH_BLOCKS = new Set(['r', 'm', 'p'])

export function hasBlockRanges(server: { readonly versionNumber: number; readonly flavour: Flavour }): boolean {
  // On Greenplum the same ctid stands on every segment.
  return server.flavour === 'PostgreSQL' && server.versionNumber >= TID_RANGE_SCAN_VERSION
}

/**
 * How a relation is split among connections by its blocks; one undefined range means that it is not split.
 * @param relation `pages` are those of its largest partition, `totalPages` of all of them.
 */
export function planRanges(
  relation: Pick<RelationInfo, 'kind' | 'pages'> & { readonly totalPages?: number },
  server: { readonly versionNumber: number; readonly flavour: Flavour },
  connections: number,
): readonly (BlockRange | undefined)[] {
  if (connections <= 1 || !hasBlockRanges(server) || !KINDS_WITH_BLOCKS.has(relation.kind)) return [undefined]
  const wanted = Math.max(connections, Math.ceil((relation.totalPages ?? relation.pages) / BLOCKS_PER_RANGE))
  const size = Math.max(1, Math.ceil(relation.pages / wanted))
  const ranges: BlockRange[] = []
  for (let from = 0; from === 0 || from < relation.pages; from += size) {
    const to = from + size
    ranges.push({ from, to: to >= relation.pages ? undefined : to })
  }
  return ranges
}

/**
 * The values of a unique key in ranges of one width, as many as there are connections or 64 MiB of table. Below the
 * least and above the greatest value they are open, for rows that come meanwhile.
 */
export function planKeyRanges(
  bounds: { readonly min: bigint; readonly max: bigint },
  sizeBytes: number,
  connections: number,
): readonly KeyRange[] {
  const values = bounds.max - bounds.min + 1n
  const wanted = BigInt(Math.max(connections, Math.ceil(sizeBytes / BYTES_PER_RANGE)))
  const count = wanted < values ? wanted : values
  // Cut by multiplying first: no width that is rounded down can leave a long last range.
  const cuts = Array.from(
    { length: Number(count) - 1 },
    (_, index) => bounds.min + (values * BigInt(index + 1)) / count,
  )
  return [undefined, ...cuts].map((from, index) => ({ from, to: cuts[index] }))
}

/** A key range as a condition; undefined for the range without ends. */
export function keyCondition(column: string, { from, to }: KeyRange): string | undefined {
  const name = quoteIdentifier(column)
  const parts = [from === undefined ? [] : `${name} >= ${from}`, to === undefined ? [] : `${name} < ${to}`].flat()
  return parts.length === 0 ? undefined : parts.join(' AND ')
}

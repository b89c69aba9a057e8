import type { Flavour, RelationInfo } from '../postgres/types.ts'

/** Blocks of one table that one COPY reads: `from` inclusive, `to` exclusive, open at the end for the last range. */
export interface BlockRange {
  readonly from: number
  readonly to: number | undefined
}

/** TID range scans came with PostgreSQL 14; before, a ctid condition reads the whole table. */
const TID_RANGE_SCAN_VERSION = 140_000
/** 64 MiB of heap in 8 KiB blocks: small enough that N connections finish together, large enough that a COPY's start costs nothing. */
const BLOCKS_PER_RANGE = 8192

/**
 * How a relation is split among connections; one undefined range means that it is not split. Only a plain table has
 * blocks of its own, and on Greenplum the same ctid stands on every segment.
 */
export function planRanges(
  relation: Pick<RelationInfo, 'kind' | 'pages'>,
  server: { readonly versionNumber: number; readonly flavour: Flavour },
  connections: number,
): readonly (BlockRange | undefined)[] {
  const splittable =
    connections > 1 &&
    relation.kind === 'r' &&
    server.flavour === 'PostgreSQL' &&
    server.versionNumber >= TID_RANGE_SCAN_VERSION
  if (!splittable) return [undefined]
  const wanted = Math.max(connections, Math.ceil(relation.pages / BLOCKS_PER_RANGE))
  const size = Math.max(1, Math.ceil(relation.pages / wanted))
  const ranges: BlockRange[] = []
  for (let from = 0; from === 0 || from < relation.pages; from += size) {
    const to = from + size
    ranges.push({ from, to: to >= relation.pages ? undefined : to })
  }
  return ranges
}

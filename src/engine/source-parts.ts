import { distributionOf, integerKey, mayReadAllColumns, segmentIds, treeBlocks } from '../postgres/catalog-parts.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { RelationInfo } from '../postgres/types.ts'
import { type BlockRange, hasBlockRanges, keyCondition, planKeyRanges, planRanges } from './plan.ts'

/** Which rows of a table one COPY reads; nothing said: all of them. */
export interface Part {
  readonly blocks?: BlockRange
  readonly segment?: number
  /** A condition of ours. */
  readonly keys?: string
}

const WHOLE: readonly Part[] = [{}]

/**
 * The parts that together hold every row of a table once: by blocks from PostgreSQL 14 on, by a unique whole number
 * before, by segments on Greenplum; where none of them can be had, the whole.
 * @param tree whether rows of tables below it are read too
 */
export async function partsOf(
  connection: PostgresConnection,
  relation: RelationInfo,
  connections: number,
  tree: boolean,
): Promise<readonly Part[]> {
  if (connections <= 1) return WHOLE
  if (connection.flavour === 'PostgreSQL' && !hasBlockRanges(connection)) {
    return tree && relation.kind === 'r' ? WHOLE : keyParts(connection, relation, connections)
  }
  if (!(await mayReadAllColumns(connection, relation))) return WHOLE
  return connection.flavour === 'Greenplum'
    ? segmentParts(connection, relation)
    : blockParts(connection, relation, connections, tree)
}

async function blockParts(
  connection: PostgresConnection,
  relation: RelationInfo,
  connections: number,
  tree: boolean,
): Promise<readonly Part[]> {
  const blocks = tree ? await treeBlocks(connection, relation) : undefined
  if (blocks?.foreign === true) return WHOLE
  const ranges = planRanges({ ...relation, ...blocks }, connection, connections)
  return ranges.map((range) => (range === undefined ? {} : { blocks: range }))
}

async function keyParts(
  connection: PostgresConnection,
  relation: RelationInfo,
  connections: number,
): Promise<readonly Part[]> {
  const key = await integerKey(connection, relation)
  if (key?.bounds === undefined) return WHOLE
  return planKeyRanges(key.bounds, relation.sizeBytes, connections).map((range) => {
    const keys = keyCondition(key.column, range)
    return keys === undefined ? {} : { keys }
  })
}

/** A replicated table is the same on every segment, and shows users no gp_segment_id. */
async function segmentParts(connection: PostgresConnection, relation: RelationInfo): Promise<readonly Part[]> {
  const distribution = await distributionOf(connection, relation)
  if (distribution === undefined || distribution.policy === 'Replicated') return WHOLE
  return (await segmentIds(connection)).map((segment) => ({ segment }))
}

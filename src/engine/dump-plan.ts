import { describeConnection } from '../postgres/describe.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { Outcome } from '../run/result.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import { type DiagramObject, transferDiagram } from './diagram.ts'
import type { DumpSource } from './source.ts'
import { noTotals } from './totals.ts'

/** What a DryRun of a dump tells: everything is found and allowed, and this is what would go where. */
export function drawDump(
  { source, store }: { readonly source: ConnectionConfig; readonly store: ObjectStore },
  sources: readonly DumpSource[],
  keyOf: (source: DumpSource) => string,
  { log }: RunContext,
): Outcome {
  const objects = sources.map((one): DiagramObject => {
    const columns = one.columns.map(({ name, typeName }) => ({ name, type: typeName }))
    const { rows, bytes } = estimateOf(one)
    return { source: { name: one.name, columns }, target: { name: keyOf(one), columns }, rows, bytes }
  })
  const plan = transferDiagram({ source: describeConnection(source), target: store.location, objects })
  log.info({ plan: plan.full }, 'what the dump would do')
  return { totals: noTotals, plan: plan.full }
}

/** A whole table's own size and statistics, else what the planner thinks of the SELECT. */
function estimateOf({ estimatedRows, planned, relation }: DumpSource): { rows: bigint; bytes: bigint } {
  const sizeBytes = relation?.sizeBytes ?? 0
  if (estimatedRows === undefined || sizeBytes === 0) return planned
  return { rows: estimatedRows, bytes: BigInt(sizeBytes) }
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { Outcome, RunTotals } from '../run/result.ts'
import type { RunContext } from './context.ts'
import { type DiagramObject, transferDiagram } from './diagram.ts'
import { findEntries } from './ledger.ts'
import { type Load, pairName } from './load.ts'
import { findRun, ledgerId, loadInOneTransaction } from './load-all.ts'
import { loadInManyTransactions } from './load-parallel.ts'
import type { Prepared } from './preflight-plan.ts'
import { throwProblems } from './preflight-report.ts'
import { readOnlyProblem } from './preflight-table.ts'
import { discardRejects } from './rejects.ts'
import { addsRows, logCommitted, type TargetRequest, transactionOf, withTarget, withTargets } from './target.ts'
import { noTotals } from './totals.ts'

/**
 * Checks everything that can be checked before the first row moves, and then moves the rows; a DryRun stops in between
 * and tells what would happen. An attempt that finds its run in the ledger has nothing to do.
 * @param source where the rows come from, for the plan: holds no secret
 * @param prepare finds the objects and their tables, and what is wrong with them
 */
export async function runLoads(
  request: TargetRequest,
  source: string,
  context: RunContext,
  prepare: (session: PostgresConnection) => Promise<Prepared>,
): Promise<Outcome> {
  // It throws for what does not go together, before anything is asked of the server.
  transactionOf(request)
  return withTarget(request, context, async (leader) => {
    const runId = ledgerId(request)
    const committed = runId === undefined ? undefined : await findRun(leader, runId)
    if (runId !== undefined && committed !== undefined) return { totals: logCommitted(context, runId, committed) }
    const prepared = await checked(leader, prepare)
    if (request.runMode === 'DryRun')
      return { totals: noTotals, plan: showPlan(source, leader, prepared.plan, context) }
    await checkEarlierParts(leader, prepared.loads, request)
    startProgress(prepared, context)
    return { totals: await moveRows(leader, prepared.loads, request, context) }
  })
}

async function moveRows(
  leader: PostgresConnection,
  loads: readonly Load[],
  request: TargetRequest,
  context: RunContext,
): Promise<RunTotals> {
  try {
    if (transactionOf(request) === 'All') return await loadInOneTransaction(leader, loads, request, context)
    return await withTargets(request, (request.connections ?? 1) - 1, context, (others) =>
      loadInManyTransactions([leader, ...others], loads, request, context),
    )
  } catch (error) {
    await discardRejects(loads, context)
    throw error
  }
}

async function checked(
  leader: PostgresConnection,
  prepare: (session: PostgresConnection) => Promise<Prepared>,
): Promise<Prepared> {
  const readOnly = await readOnlyProblem(leader)
  if (readOnly !== undefined) throw new PgpackError(readOnly.code, readOnly.text)
  const prepared = await prepare(leader)
  throwProblems(prepared.problems)
  return prepared
}

function showPlan(source: string, leader: PostgresConnection, objects: readonly DiagramObject[], { log }: RunContext) {
  const { short, full } = transferDiagram({ source, target: leader.name, objects })
  log.info({ plan: full }, 'dry run: nothing was written')
  return objects.length > 1 ? `${short}\n\n${full}` : full
}

/** An attempt that splits the objects otherwise than the one before would load some rows twice and others never. */
async function checkEarlierParts(
  leader: PostgresConnection,
  loads: readonly Load[],
  request: TargetRequest,
): Promise<void> {
  const all = transactionOf(request) === 'All'
  // One transaction that empties the tables first makes up for whatever was loaded before.
  if (all && !addsRows(request.mode)) return
  const entries = await findEntries(leader, request.runId)
  for (const load of loads.filter(({ repeatable }) => repeatable || all)) {
    const expected = all ? 0 : load.parts.length
    const entry = entries.find(({ object }) => object === pairName(load))
    if (entry === undefined || entry.parts === expected) continue
    throw new PgpackError(
      'CONFIG_INVALID',
      `run ${request.runId} has loaded some of ${pairName(load)} in ${entry.parts} parts and would now go on in ${expected || 'none'}: give it the connections and the transaction that it was begun with, or another run id`,
      { expected: `${entry.parts} parts`, found: `${expected} parts` },
    )
  }
}

function startProgress({ loads, expectedRows }: Prepared, { progress }: RunContext): void {
  const stored = loads.flatMap(({ parts }) => parts).reduce((sum, { storedBytes }) => sum + storedBytes, 0n)
  const plan =
    stored > 0n ? { unit: 'storedBytes' as const, total: stored } : { unit: 'rows' as const, total: expectedRows }
  progress.start({ objects: loads.length, ...plan })
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { truncateTables } from '../postgres/copy.ts'
import type { RunTotals } from '../run/result.ts'
import type { RunContext } from './context.ts'
import { claim, findEntries, openLedger, record, WHOLE_RUN } from './ledger.ts'
import { type Load, loadPart } from './load.ts'
import { commitRejects } from './rejects.ts'
import { addsRows, begin, commit, logCommitted, runStatements, type TargetRequest } from './target.ts'
import { createTables } from './target-create.ts'
import { finishTable } from './target-finish.ts'
import { createShadow, fillFromShadow } from './target-shadow.ts'
import { addTotals, noTotals, type ObjectTotals, sumParts } from './totals.ts'

/** What is done with the rows, in one transaction: all of it or nothing. `before` and `after` are part of it. */
export async function loadInOneTransaction(
  session: PostgresConnection,
  loads: readonly Load[],
  request: TargetRequest,
  context: RunContext,
): Promise<RunTotals> {
  const runId = ledgerId(request)
  if (runId !== undefined) await openLedger(session)
  await begin(session, request.session)
  if (runId !== undefined && !(await claim(session, runId, WHOLE_RUN)))
    return committedByAnother(session, runId, context)
  await runStatements(session, request.before)
  const fitted = await createTables(session, loads)
  const totals = await loadEach(session, fitted, request, context)
  for (const load of loads) await finishTable(session, load, request, context)
  await runStatements(session, request.after)
  if (runId !== undefined) await record(session, runId, WHOLE_RUN, totals)
  await commitRejects(session, loads, () => commit(session, runId !== undefined || !addsRows(request.mode)))
  return totals
}

/** A table that is emptied first is the same however often it is done; only added rows need the ledger. */
export function ledgerId({ mode, runId }: TargetRequest): string | undefined {
  return addsRows(mode) ? runId : undefined
}

async function committedByAnother(session: PostgresConnection, runId: string, context: RunContext): Promise<RunTotals> {
  const committed = await findRun(session, runId)
  if (committed === undefined) throw new PgpackError('INTERNAL', `run ${runId} is in the ledger and is not`)
  return logCommitted(context, runId, committed)
}

/** What an attempt of the run committed, if one did all of it. */
export async function findRun(session: PostgresConnection, runId: string): Promise<RunTotals | undefined> {
  const entries = await findEntries(session, runId)
  return entries.find(({ object, part }) => object === WHOLE_RUN.object && part === WHOLE_RUN.part)?.totals
}

async function loadEach(
  session: PostgresConnection,
  loads: readonly Load[],
  { mode }: TargetRequest,
  context: RunContext,
): Promise<RunTotals> {
  const tables = loads.map(({ table }) => table)
  if (mode === 'Truncate') await session.query(truncateTables(tables))
  const shadows = []
  let totals = noTotals
  for (const load of loads) {
    const shadow = mode === 'Replace' ? await createShadow(session, load, undefined) : undefined
    const loaded = await loadParts(session, load, shadow ?? load.table, context)
    if (shadow !== undefined) shadows.push({ shadow, rows: loaded.rows })
    totals = addTotals(totals, loaded)
  }
  if (shadows.length > 0) await session.query(truncateTables(tables))
  for (const { shadow, rows } of shadows) await fillFromShadow(session, shadow, rows)
  return totals
}

/** All parts of an object, one after another. */
async function loadParts(
  session: PostgresConnection,
  load: Load,
  into: { readonly schema: string; readonly name: string },
  context: RunContext,
): Promise<ObjectTotals> {
  const loaded: ObjectTotals[] = []
  for (const part of load.parts) loaded.push(await loadPart(session, load, part, { into, lane: 0, context }))
  context.progress.objectDone()
  return sumParts(loaded)
}

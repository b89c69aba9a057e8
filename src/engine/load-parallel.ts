import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { truncateTables } from '../postgres/copy.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { RunTotals } from '../run/result.ts'
import type { RunContext } from './context.ts'
import { claim, type Entry, findEntries, openLedger, record, WHOLE_RUN } from './ledger.ts'
import { type Load, loadPart, pairName } from './load.ts'
import { emptyTables } from './load-empty.ts'
import { loadJointly } from './load-jointly.ts'
import { commitRejects } from './rejects.ts'
import { addsRows, begin, commit, runStatements, type TargetRequest, withTarget } from './target.ts'
import { createTables } from './target-create.ts'
import { finishTable } from './target-finish.ts'
import { createShadow, dropLeftovers, dropShadow, fillFromShadow, type Shadow } from './target-shadow.ts'
import { together } from './together.ts'
import { addTotals, noTotals, type ObjectTotals, objectTotals, sumParts } from './totals.ts'

/** What all transactions of a run share. */
export interface ParallelRun {
  readonly request: TargetRequest
  readonly context: RunContext
  readonly sessions: readonly PostgresConnection[]
  /** The first of them. */
  readonly leader: PostgresConnection
  /** Absent where no ledger is kept. */
  readonly runId: string | undefined
  /** What earlier attempts have committed. */
  readonly earlier: readonly Entry[]
  /** Where a load's rows go: its table, or its table's shadow. */
  readonly into: (load: Load) => QualifiedName
}

/**
 * Loads each object, or each part of one, in a transaction of its own, over as many sessions as there are; what has
 * committed stays when a later one fails. `before` and `after` are statements of their own, and so is what is done for
 * a table when its rows are in: another attempt does them again.
 */
export async function loadInManyTransactions(
  sessions: readonly PostgresConnection[],
  planned: readonly Load[],
  request: TargetRequest,
  context: RunContext,
): Promise<RunTotals> {
  const [leader] = sessions
  if (leader === undefined) throw new PgpackError('INTERNAL', 'there is no session to load with')
  const runId = keepsLedger(request, sessions.length) ? request.runId : undefined
  if (runId !== undefined) await openLedger(leader)
  await runStatements(leader, request.before)
  const loads = await createTables(leader, planned)
  const emptied = request.mode === 'Truncate' && sessions.length > 1
  const earlier = emptied ? await emptyTables(leader, loads, runId) : await findEntries(leader, runId)
  const run = { request, context, sessions, leader, runId, earlier, into: (load: Load) => load.table }
  const totals = request.mode === 'Replace' ? await replaceTables(loads, run) : await loadObjects(loads, run)
  await runStatements(leader, request.after)
  if (runId !== undefined) await recordRun(leader, runId, totals)
  return totals
}

/** Emptying a table in the transaction that fills it, and replacing it as a whole, can be done again and again. */
function keepsLedger({ mode }: TargetRequest, sessions: number): boolean {
  return addsRows(mode) || (mode === 'Truncate' && sessions > 1)
}

/** That the whole run is done, for attempts that come later: they need nothing then that may be gone by that time. */
async function recordRun(session: PostgresConnection, runId: string, totals: RunTotals): Promise<void> {
  await session.query('BEGIN')
  if (!(await claim(session, runId, WHOLE_RUN))) return
  await record(session, runId, WHOLE_RUN, totals)
  await commit(session, true)
}

/** Fills tables beside the ones that are to be replaced, then those from them in one transaction. */
async function replaceTables(loads: readonly Load[], run: ParallelRun): Promise<RunTotals> {
  const { leader, request, context } = run
  const { runId } = request
  if (runId !== undefined) await dropLeftovers(leader, loads, runId)
  const shadows = new Map<Load, Shadow>()
  const rows = new Map<Load, bigint>()
  try {
    for (const load of loads) shadows.set(load, await createShadow(leader, load, { runId }))
    const into = (load: Load) => shadows.get(load) ?? load.table
    const totals = await loadObjects(loads, { ...run, into }, (load, loaded) => rows.set(load, loaded.rows))
    await begin(leader, request.session)
    await leader.query(truncateTables(loads.map(({ table }) => table)))
    for (const [load, shadow] of shadows) {
      await fillFromShadow(leader, shadow, rows.get(load) ?? 0n)
      await dropShadow(leader, shadow)
    }
    await commitRejects(leader, loads, () => commit(leader, true))
    for (const load of loads) await finishTable(leader, load, request, context)
    return totals
  } catch (error) {
    // What an open transaction holds is let go of, so that it can be dropped.
    await Promise.all(run.sessions.map((session) => session.close()))
    await dropShadows([...shadows.values()], request, context)
    throw error
  }
}

/** Time for what a failed attempt cleans up; well within the pod's grace period of 30 s. */
const CLEANUP_MS = 8000

/** By a session of its own, since those of a cancelled run take no statement. The run's own error is what matters. */
async function dropShadows(shadows: readonly Shadow[], request: TargetRequest, context: RunContext): Promise<void> {
  const tables = shadows.map(({ schema, name }) => `${schema}.${name}`)
  try {
    await withTarget(request, { ...context, signal: AbortSignal.timeout(CLEANUP_MS) }, async (session) => {
      for (const shadow of shadows) await dropShadow(session, shadow)
    })
  } catch (err) {
    context.log.warn({ err, tables }, 'the tables of a failed replacement could not be dropped; drop them by hand')
  }
}

/** Objects whose parts must be committed together go first, each over all sessions; then the parts of all others. */
async function loadObjects(
  loads: readonly Load[],
  run: ParallelRun,
  onLoaded: (load: Load, totals: ObjectTotals) => void = () => undefined,
): Promise<RunTotals> {
  let totals = noTotals
  const done = async (session: PostgresConnection, load: Load, loaded: ObjectTotals) => {
    onLoaded(load, loaded)
    totals = addTotals(totals, loaded)
    if (run.request.mode !== 'Replace') await finishTable(session, load, run.request, run.context)
    run.context.progress.objectDone()
  }
  const isJoint = (load: Load) => !load.repeatable && load.parts.length > 1 && run.request.mode !== 'Replace'
  for (const load of loads.filter(isJoint)) await done(run.leader, load, await loadJointly(load, run))
  await loadSeparately(
    loads.filter((load) => !isJoint(load)),
    run,
    done,
  )
  return totals
}

type OnDone = (session: PostgresConnection, load: Load, totals: ObjectTotals) => Promise<void>

/** Every part once, the largest objects' first, each session taking the next one. */
async function loadSeparately(loads: readonly Load[], run: ParallelRun, done: OnDone): Promise<void> {
  const size = (load: Load) => load.parts.reduce((sum, part) => sum + part.storedBytes, 0n)
  const sorted = [...loads].sort((one, other) => Number(size(other) - size(one)))
  const waiting = sorted.flatMap((load) => load.parts.map((_, number) => ({ load, number }))).values()
  const loaded = new Map<Load, ObjectTotals[]>(loads.map((load) => [load, []]))
  await together(
    run.context.signal,
    run.sessions.map((session, lane) => async (signal) => {
      const context = { ...run.context, signal }
      for (const { load, number } of waiting) {
        const parts = loaded.get(load) ?? []
        parts.push(await loadOnce(session, load, number, { ...run, context, lane }))
        if (parts.length === load.parts.length) await done(session, load, sumParts(parts))
      }
    }),
  )
}

/** One part in one transaction, unless an attempt of the run has committed it. */
async function loadOnce(
  session: PostgresConnection,
  load: Load,
  number: number,
  { request, context, runId, earlier, into, sessions, lane }: ParallelRun & { readonly lane: number },
): Promise<ObjectTotals> {
  const part = load.parts[number]
  if (part === undefined) throw new PgpackError('INTERNAL', `${pairName(load)} has no part ${number}`)
  const mark = { object: pairName(load), part: number, parts: load.parts.length }
  const committed = findEntry(earlier, mark)
  if (committed !== undefined) return committed
  await begin(session, request.session)
  if (runId !== undefined && !(await claim(session, runId, mark))) {
    const other = findEntry(await findEntries(session, runId), mark)
    if (other === undefined) throw new PgpackError('INTERNAL', `${pairName(load)}: the ledger has the part and has not`)
    return other
  }
  if (request.mode === 'Truncate' && sessions.length === 1) await session.query(truncateTables([load.table]))
  const totals = await loadPart(session, load, part, { into: into(load), lane, context })
  if (runId !== undefined) await record(session, runId, mark, addTotals(noTotals, totals))
  // What went into a shadow is not loaded before the table is filled from there.
  const loaded = request.mode === 'Replace' ? [] : [load]
  await commitRejects(session, loaded, () => commit(session, runId !== undefined || !addsRows(request.mode)))
  return totals
}

function findEntry(entries: readonly Entry[], mark: { readonly object: string; readonly part: number }) {
  const entry = entries.find(({ object, part }) => object === mark.object && part === mark.part)
  return entry === undefined ? undefined : objectTotals(entry.totals)
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { claim, type Mark, record } from './ledger.ts'
import { type Load, loadPart, pairName } from './load.ts'
import type { ParallelRun } from './load-parallel.ts'
import { addsRows, begin, commit } from './target.ts'
import { together } from './together.ts'
import { addTotals, noTotals, type ObjectTotals, objectTotals, sumParts } from './totals.ts'

/**
 * Loads the parts of one object over several sessions, whose transactions are committed only when all rows of all of
 * them are in. For a source that another attempt finds changed, so that parts of two attempts must never stand side by
 * side: when a commit fails after another one succeeded, the ledger knows, and the next attempt refuses to go on.
 */
export async function loadJointly(load: Load, run: ParallelRun): Promise<ObjectTotals> {
  const object = pairName(load)
  const earlier = run.earlier.filter((entry) => entry.object === object)
  const [first] = earlier
  if (first !== undefined) {
    if (earlier.length < first.parts) throw partlyCommitted(object, earlier.length, first.parts)
    return sumParts(earlier.map(({ totals }) => objectTotals(totals)))
  }
  const sessions = run.sessions.slice(0, load.parts.length)
  const marks = sessions.map((_, part) => ({ object, part, parts: sessions.length }))
  await claimAll(sessions, marks, run)
  const totals = await loadAllParts(load, sessions, marks, run)
  await commitAll(object, sessions, run)
  return sumParts(totals)
}

/** One after another and in order, so that two attempts of a run never wait for each other. */
async function claimAll(
  sessions: readonly PostgresConnection[],
  marks: readonly Mark[],
  { runId, request }: ParallelRun,
): Promise<void> {
  for (const [lane, session] of sessions.entries()) {
    await begin(session, request.session)
    const mark = marks[lane]
    if (runId === undefined || mark === undefined || (await claim(session, runId, mark))) continue
    throw new PgpackError('POSTGRES_BUSY', `${mark.object}: another attempt of run ${runId} has just loaded it`)
  }
}

async function loadAllParts(
  load: Load,
  sessions: readonly PostgresConnection[],
  marks: readonly Mark[],
  run: ParallelRun,
): Promise<ObjectTotals[]> {
  const parts = load.parts.values()
  return together(
    run.context.signal,
    sessions.map((session, lane) => async (signal) => {
      const context = { ...run.context, signal }
      const loaded: ObjectTotals[] = []
      for (const part of parts)
        loaded.push(await loadPart(session, load, part, { into: run.into(load), lane, context }))
      // What is checked at COMMIT otherwise could fail when other sessions have committed.
      await session.query('SET CONSTRAINTS ALL IMMEDIATE')
      const totals = sumParts(loaded)
      const mark = marks[lane]
      if (run.runId !== undefined && mark !== undefined) {
        await record(session, run.runId, mark, addTotals(noTotals, totals))
      }
      return totals
    }),
  )
}

async function commitAll(object: string, sessions: readonly PostgresConnection[], run: ParallelRun): Promise<void> {
  const repeatable = run.runId !== undefined || !addsRows(run.request.mode)
  for (const [committed, session] of sessions.entries()) {
    try {
      await commit(session, repeatable)
    } catch (cause) {
      if (committed === 0 || !addsRows(run.request.mode)) throw cause
      throw partlyCommitted(object, committed, sessions.length, cause)
    }
  }
}

function partlyCommitted(object: string, committed: number, parts: number, cause?: unknown): PgpackError {
  return new PgpackError(
    'TARGET_INCOMPLETE',
    `${object}: the rows of ${committed} of ${parts} connections were committed, and those of the others were lost; the source has changed since, so that they cannot be loaded anew: empty the table (mode Truncate or Replace) and start another run`,
    { expected: `${parts} parts`, found: `${committed} parts`, cause },
  )
}

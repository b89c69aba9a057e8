import type { ProgressStatus } from '../../../src/api/v1alpha1/status.ts'
import { progressDisplay } from '../../../src/cli/progressbar.ts'
import type { Progress } from '../../../src/run/progress.ts'
import { HarnessError } from '../errors.ts'
import type { ClusterApi } from './api.ts'
import { describeError, diagnose } from './diagnosis.ts'
import { condition, describeRun, type Run, type RunRef, type RunWatch, shortName } from './runs.ts'

/** A run of the quickstart that has not ended by then has gone wrong. */
const PATIENCE_SECONDS = 600

/**
 * Shows a run's progress until it has succeeded: a live bar on a terminal, a line now and then elsewhere.
 * @throws HarnessError with the conditions, Events and log lines that tell why it has not
 */
export async function follow(api: ClusterApi, runs: RunWatch, namespace: string, ref: RunRef): Promise<Run> {
  try {
    const run = await showUntilFinal(runs, ref)
    if (condition(run, 'Succeeded')?.status === 'True') return run
    throw new HarnessError('NOT_READY', `${shortName(ref)} has failed: ${describeRun(run)}`)
  } catch (error) {
    const diagnosis = await diagnose(api, namespace, ref)
    throw new HarnessError('NOT_READY', `${describeError(error)}\n\n${diagnosis}`)
  }
}

async function showUntilFinal(runs: RunWatch, ref: RunRef): Promise<Run> {
  const { env, stdout, stderr } = process
  const display = progressDisplay({ env, stdout, stderr, signal: new AbortController().signal }, false, () =>
    performance.now(),
  )
  let shown: ProgressStatus | undefined
  const show = (): void => {
    const progress = runs.latest(ref)?.status?.progress
    if (progress === undefined || JSON.stringify(progress) === JSON.stringify(shown)) return
    display.show(toProgress(progress))
    shown = progress
  }
  const forget = runs.onChange(show)
  try {
    return await runs.untilFinal(ref, PATIENCE_SECONDS)
  } finally {
    forget()
    display.stop()
  }
}

/** The status has numbers where the engine's own lines have decimal strings. */
function toProgress(status: ProgressStatus): Progress {
  const { objects = 0, objectsDone = 0, rows = 0, bytes = 0, storedBytes = 0, percent } = status
  const counts = { rows: String(rows), bytes: String(bytes), storedBytes: String(storedBytes) }
  return { objects, objectsDone, ...counts, ...(percent === undefined ? {} : { percent }) }
}

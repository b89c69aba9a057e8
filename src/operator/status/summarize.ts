import type { ArtifactStatus, AttemptFailure, Phase, ProgressStatus, RunStatus } from '../../api/v1alpha1/status.ts'
import { formatTime, isFinal, type Statement, setCondition } from './conditions.ts'
import { finishedProgress, formatBytes, type SuccessResult, toCount } from './progress.ts'
import type { Reason } from './reasons.ts'

/** Where a run stands: what was decided, before it is spelled in conditions. */
export type RunState =
  | { readonly phase: 'Pending' | 'Running' | 'Suspended'; readonly reason: Reason; readonly message: string }
  | { readonly phase: 'Succeeded'; readonly result: SuccessResult }
  | { readonly phase: 'Failed'; readonly reason: Reason; readonly message: string }

/** Where the removal of a deleted dump's artefact stands. */
export type RemovalState = Statement

/** What was observed beside the state. What is left out stays as it was. */
export interface RunFacts {
  readonly jobName?: string
  readonly attempts?: number
  readonly attempt?: string
  readonly lastFailure?: AttemptFailure
  readonly failures?: AttemptFailure[]
  /** RFC 3339. */
  readonly startTime?: string
  readonly progress?: ProgressStatus
}

export interface Visit {
  readonly now: Date
  readonly generation: number | undefined
}

/** A condition's message has 32768 characters; nobody reads more than this. */
const MAX_MESSAGE = 2048
/** An Event's message has 1024 bytes; the whole plan is in the status. */
const MAX_EVENT_PLAN = 768

/**
 * The one place where conditions are set: a run's next status from its last one. A final status is returned as it is
 * (the same object), whatever the arguments say.
 */
export function summarize(before: RunStatus | undefined, state: RunState, facts: RunFacts, visit: Visit): RunStatus {
  if (before !== undefined && isFinal(before)) return before
  const { succeeded, reconciling, stalled } = statements(state)
  let conditions = before?.conditions ?? []
  conditions = setCondition(conditions, 'Succeeded', succeeded, visit)
  conditions = setCondition(conditions, 'Reconciling', reconciling, visit)
  conditions = setCondition(conditions, 'Stalled', stalled, visit)
  return {
    ...before,
    ...facts,
    conditions,
    ...(visit.generation === undefined ? {} : { observedGeneration: visit.generation }),
    phase: state.phase satisfies Phase,
    ...outcome(state, visit.now),
  }
}

/** The condition of a removal is the last thing that is said of a resource: everything else stays as it was. */
export function summarizeRemoval(before: RunStatus | undefined, state: RemovalState, visit: Visit): RunStatus {
  const statement = { ...state, message: truncate(state.message, MAX_MESSAGE) }
  return { ...before, conditions: setCondition(before?.conditions ?? [], 'ArtifactRemoved', statement, visit) }
}

function statements(state: RunState): Record<'succeeded' | 'reconciling' | 'stalled', Statement> {
  const reason: Reason = state.phase === 'Succeeded' ? 'Succeeded' : state.reason
  const message = truncate(state.phase === 'Succeeded' ? describeSuccess(state.result) : state.message, MAX_MESSAGE)
  const say = (status: Statement['status']): Statement => ({ status, reason, message })
  if (state.phase === 'Succeeded') return { succeeded: say('True'), reconciling: say('False'), stalled: say('False') }
  if (state.phase === 'Failed') return { succeeded: say('False'), reconciling: say('False'), stalled: say('True') }
  return { succeeded: say('Unknown'), reconciling: say('True'), stalled: say('False') }
}

function outcome(state: RunState, now: Date): Partial<RunStatus> {
  if (state.phase === 'Failed') return { completionTime: formatTime(now) }
  if (state.phase !== 'Succeeded') return {}
  const { plan } = state.result
  return {
    completionTime: formatTime(now),
    progress: finishedProgress(state.result),
    ...(plan === undefined ? {} : { plan }),
    ...(isDryRun(state.result) ? {} : { artifact: artifactStatus(state.result) }),
  }
}

/** What was moved; a transfer moves it without a path. */
function artifactStatus({ artifact, totals, rejects }: SuccessResult): ArtifactStatus {
  return {
    ...artifact,
    objects: totals.objects,
    rows: toCount(totals.rows),
    bytes: toCount(totals.bytes),
    storedBytes: toCount(totals.storedBytes),
    ...(totals.rejectedRows === undefined ? {} : { rejectedRows: toCount(totals.rejectedRows) }),
    ...(rejects === undefined ? {} : { rejects }),
  }
}

/** A DryRun leaves a plan and nothing else. */
function isDryRun({ artifact, plan }: SuccessResult): boolean {
  return plan !== undefined && artifact === undefined
}

/**
 * `5000000 rows, 12 rejected, 1.2 GiB (310 MiB stored) in 14.2 s; the rejected rows lie in …`: the message of the
 * condition and of the Event.
 */
function describeSuccess(result: SuccessResult): string {
  const { totals, seconds, artifact, rejects, plan = '' } = result
  if (isDryRun(result)) return `nothing was written (DryRun), this would be done: ${truncate(plan, MAX_EVENT_PLAN)}`
  const stored = artifact === undefined ? '' : ` (${formatBytes(toCount(totals.storedBytes))} stored)`
  const rejected =
    totals.rejectedRows === undefined || totals.rejectedRows === '0' ? '' : `, ${totals.rejectedRows} rejected`
  const kept = rejects === undefined ? '' : `; the rejected rows lie in ${rejects}`
  const bytes = formatBytes(toCount(totals.bytes))
  return `${totals.rows} rows${rejected}, ${bytes}${stored} in ${Math.round(seconds * 10) / 10} s${kept}`
}

/** The text, cut to a number of characters with a mark at its end. */
export function truncate(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`
}

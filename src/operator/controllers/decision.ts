import type { RunStatus } from '../../api/v1alpha1/status.ts'
import type { JobTurn } from '../specs/job.ts'
import { isFinal } from '../status/conditions.ts'
import { type RemovalState, type RunState, summarize, summarizeRemoval } from '../status/summarize.ts'
import { factsOf } from './attempts.ts'
import type { Observation } from './observation.ts'

/** What the reconciler has to do, beside writing the status. */
export type Action =
  /** Read everything from the API server and decide again: the decision must not rest on a cache. */
  | { readonly type: 'ObserveLive' }
  | { readonly type: 'AddFinalizer' }
  | { readonly type: 'CreateJob'; readonly turn: JobTurn }
  | { readonly type: 'CreateRemovalJob'; readonly deadlineSeconds: number }
  | { readonly type: 'SuspendJob'; readonly suspend: boolean }
  /** Nobody needs the run's Job any more: end it. */
  | { readonly type: 'DeleteJob' }
  /** The result is recorded: from now on the Job may be removed when its time has come. */
  | { readonly type: 'ExpireJob'; readonly ttlSecondsAfterFinished: number }
  /** The artefact is removed, or was given up, or is to stay: the resource may go. */
  | { readonly type: 'RemoveFinalizer' }

export interface Decision {
  readonly status: RunStatus
  readonly action?: Action
  /** Look again then, even if nothing happens. */
  readonly requeueAfterSeconds?: number
}

type Rest = Omit<Decision, 'status'>

/** The run stands there: its next status. */
export function conclude(observation: Observation, state: RunState, rest: Rest = {}): Decision {
  const { run, now } = observation
  const visit = { now, generation: run.metadata.generation }
  return { status: summarize(run.status, state, factsOf(observation), visit), ...rest }
}

/** The removal of the run's artefact stands there. */
export function concludeRemoval({ run, now }: Observation, state: RemovalState, rest: Rest = {}): Decision {
  return { status: summarizeRemoval(run.status, state, { now, generation: run.metadata.generation }), ...rest }
}

/**
 * Nothing of the status changes. A final one takes notice of what may still change in the spec, or kstatus would take
 * the resource for one that nobody has looked at.
 */
export function keep({ run }: Observation, rest: Rest = {}): Decision {
  const { status = {} } = run
  const { generation } = run.metadata
  if (generation === undefined || generation === status.observedGeneration || !isFinal(status)) {
    return { status, ...rest }
  }
  return { status: { ...status, observedGeneration: generation }, ...rest }
}

/** Nothing is final on the word of a cache that may not have seen everything yet. */
export function observeLive(observation: Observation): Decision {
  return keep(observation, { action: { type: 'ObserveLive' } })
}

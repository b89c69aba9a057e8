import type { Run } from '../specs/run.ts'
import { isFinal } from '../status/conditions.ts'
import { type Action, type Decision, keep, observeLive } from './decision.ts'
import { awaitEnd, end, hasFinalizer, remove, wantsFinalizer } from './deletion.ts'
import { type JobView, viewOf } from './jobs.ts'
import type { Observation } from './observation.ts'
import { awaitDeletion, begin, complete, expire, fail, follow, replaceLost, rest } from './steps.ts'

/** Where a run stands, by what is recorded of it: its status and its metadata. */
export type State =
  /** No Job is recorded. */
  | 'New'
  /** A Job is recorded and the run is not final. */
  | 'Started'
  /** Succeeded or failed, for good. */
  | 'Final'
  /** Being deleted; nothing in the store has to go. */
  | 'Deleting'
  /** Being deleted, and held by our finalizer until its artefact is removed. */
  | 'Removing'

/** What wakes the controller again: an event of a watch. Changes of the run itself always do. */
export type Wake = 'Run' | 'Dump' | 'Job' | 'Pod'

/** What is done where a run stands and its Job looks so; and what can come of it, which the tests hold it to. */
export interface Transition {
  readonly step: (observation: Observation) => Decision
  readonly next: readonly State[]
  readonly actions: readonly Action['type'][]
  /** Events that are waited for where there is neither an action nor a time to look again. */
  readonly awaits: readonly Wake[]
}

const WATCHED = { actions: ['SuspendJob', 'ObserveLive'], awaits: ['Job', 'Pod'] } as const
const REPEATED = { actions: ['ObserveLive', 'CreateJob'], awaits: ['Run', 'Dump'] } as const
const ENDED = { actions: ['ObserveLive'], awaits: [] } as const
const NOTHING: Transition = { step: rest, next: ['Final'], actions: [], awaits: [] }
const GONE: Transition = { step: rest, next: ['Deleting'], actions: [], awaits: ['Run'] }
const EXPIRE: Transition = { step: expire, next: ['Final'], actions: ['ExpireJob'], awaits: [] }
const END: Transition = { step: end, next: ['Deleting'], actions: ['SuspendJob', 'DeleteJob'], awaits: ['Pod', 'Run'] }
const REMOVAL_ACTIONS = ['ObserveLive', 'CreateRemovalJob', 'RemoveFinalizer'] as const
const REMOVE: Transition = { step: remove, next: ['Removing'], actions: REMOVAL_ACTIONS, awaits: [] }

/**
 * The life of a run: for each state, and each view of its Job, the step that is taken. The controller takes no other
 * decision. Two rules come before it: a dump that is to be removed with its resource has our finalizer, and any other
 * has not.
 */
export const TRANSITIONS: Readonly<Record<State, Readonly<Record<JobView, Transition>>>> = {
  New: {
    None: {
      step: begin,
      next: ['New', 'Final'],
      actions: ['ObserveLive', 'CreateJob'],
      awaits: ['Run', 'Dump'],
    },
    Active: { step: follow, next: ['Started', 'Final'], ...WATCHED },
    Complete: { step: complete, next: ['Final', 'New', 'Started'], ...REPEATED },
    Failed: { step: fail, next: ['Final', 'New'], ...ENDED },
    Deleting: { step: awaitDeletion, next: ['Started'], actions: [], awaits: ['Job'] },
  },
  Started: {
    None: {
      step: replaceLost,
      next: ['Started', 'Final'],
      actions: ['ObserveLive', 'CreateJob'],
      awaits: ['Run', 'Dump'],
    },
    Active: { step: follow, next: ['Started', 'Final'], ...WATCHED },
    Complete: { step: complete, next: ['Final', 'Started'], ...REPEATED },
    Failed: { step: fail, next: ['Final', 'Started'], ...ENDED },
    Deleting: { step: awaitDeletion, next: ['Started'], actions: [], awaits: ['Job'] },
  },
  Final: {
    None: NOTHING,
    Active: { step: end, next: ['Final'], actions: ['SuspendJob', 'DeleteJob'], awaits: ['Pod'] },
    Complete: EXPIRE,
    Failed: EXPIRE,
    Deleting: NOTHING,
  },
  Deleting: { None: GONE, Active: END, Complete: END, Failed: END, Deleting: GONE },
  Removing: {
    None: REMOVE,
    Active: {
      step: awaitEnd,
      next: ['Removing'],
      actions: ['SuspendJob', ...REMOVAL_ACTIONS],
      awaits: [],
    },
    Complete: REMOVE,
    Failed: REMOVE,
    Deleting: { step: awaitEnd, next: ['Removing'], actions: [...REMOVAL_ACTIONS], awaits: [] },
  },
}

export function stateOf(run: Run): State {
  if (run.metadata.deletionTimestamp !== undefined) return hasFinalizer(run) ? 'Removing' : 'Deleting'
  if (isFinal(run.status)) return 'Final'
  return run.status?.jobName === undefined ? 'New' : 'Started'
}

/** From what was observed of a run to its next status and what has to be done. Pure. */
export function decide(observation: Observation): Decision {
  return alignFinalizer(observation) ?? transitionOf(observation).step(observation)
}

/** The cell of {@link TRANSITIONS} that an observation falls into. */
export function transitionOf({ run, job }: Observation): Transition {
  return TRANSITIONS[stateOf(run)][viewOf(job)]
}

/** `spec.deletionPolicy` may change while the run lives; nothing can get a finalizer once it is being deleted. */
function alignFinalizer(observation: Observation): Decision | undefined {
  const { run, live } = observation
  const [wants, has] = [wantsFinalizer(run), hasFinalizer(run)]
  if (wants === has || (wants && run.metadata.deletionTimestamp !== undefined)) return undefined
  if (!live) return observeLive(observation)
  return keep(observation, { action: { type: wants ? 'AddFinalizer' : 'RemoveFinalizer' } })
}

import { beforeAll, describe, expect, it } from '@jest/globals'
import type { RunStatus } from '../../../../src/api/v1alpha1/status.ts'
import type { Decision } from '../../../../src/operator/controllers/decision.ts'
import { type JobView, viewOf } from '../../../../src/operator/controllers/jobs.ts'
import { decide, type State, stateOf, TRANSITIONS, transitionOf } from '../../../../src/operator/controllers/machine.ts'
import type { Observation, Prerequisite } from '../../../../src/operator/controllers/observation.ts'
import type { Job, Pod } from '../../../../src/operator/manager/resources.ts'
import { childName, jobName, removalName } from '../../../../src/operator/specs/names.ts'
import type { Run } from '../../../../src/operator/specs/run.ts'
import { findCondition, isFinal } from '../../../../src/operator/status/conditions.ts'
import { kstatusOf } from '../../../support/kstatus.ts'
import {
  deleted,
  dumpRun,
  endedPod,
  jobOf,
  observationOf,
  PERMANENT,
  podOf,
  restoreRun,
  SUCCESS,
  TRANSIENT,
  transferRun,
} from './fixtures.ts'

const READY: Prerequisite = { ready: true }
const WAIT: Prerequisite = { ready: false, final: false, reason: 'DumpNotFound', message: 'none' }
const NEVER: Prerequisite = { ready: false, final: true, reason: 'DumpFailed', message: 'it failed' }

const RUNS: readonly (readonly [Run, Prerequisite])[] = [
  [dumpRun(), READY],
  [dumpRun({ deletionPolicy: 'Delete' }), READY],
  [restoreRun(), WAIT],
  [restoreRun(), NEVER],
  [transferRun(), READY],
]
/** Of a run that somebody else has made final: what is not ours stays as it is found. */
const condition = (status: 'True' | 'False') =>
  [{ type: 'Succeeded', status, reason: 'Because', message: '', lastTransitionTime: '' }] as const
const STATUSES: readonly ((run: Run) => RunStatus | undefined)[] = [
  () => undefined,
  (run) => ({ jobName: childName(run), attempts: 1 }),
  (run) => ({ jobName: jobName(run, 9), attempts: 9 }),
  (run) => ({ jobName: childName(run), conditions: [...condition('True')] }),
  () => ({ conditions: [...condition('False')] }),
]
const PODS: readonly (readonly Pod[])[] = [
  [],
  [podOf({ ageSeconds: 700 })],
  [podOf({ phase: 'Running' })],
  [endedPod(SUCCESS)],
  [endedPod(TRANSIENT), endedPod(PERMANENT, { name: 'pod-2' })],
  [podOf({ phase: 'Running', deleting: true })],
]
const SIGHTS = [
  { live: false },
  { live: true },
  { live: true, rejection: { final: false, reason: 'QuotaExceeded', message: 'full' } },
  { live: true, rejection: { final: false, reason: 'NamespaceTerminating', message: 'going' } },
  { live: true, rejection: { final: true, reason: 'InvalidSpec', message: 'bad' } },
] as const
const FINALIZER = 'pgpack.io/artifact'

function jobsOf(run: Run, name = childName(run)): readonly (Job | undefined)[] {
  return [
    undefined,
    jobOf(run, { name }),
    jobOf(run, { name, ageSeconds: 700 }),
    jobOf(run, { name, suspend: true }),
    jobOf(run, { name, conditions: [['Complete']] }),
    jobOf(run, { name, conditions: [['Failed', 'BackoffLimitExceeded']] }),
    jobOf(run, { name, deleting: true }),
  ]
}

/** A run at every point of its deletion. */
function* deletions(run: Run): Generator<Run> {
  yield run
  yield { ...run, metadata: { ...run.metadata, finalizers: [FINALIZER] } }
  yield deleted(run, [])
  yield deleted(run)
  yield deleted(run, [FINALIZER, 'foregroundDeletion'])
  yield deleted(run, [FINALIZER], 601)
}

/** Every observation that the controller can make, one for each combination of what it looks at. */
function* observations(): Generator<Observation> {
  for (const [plain, prerequisite] of RUNS) {
    for (const statusOf of STATUSES) {
      const status = statusOf(plain)
      for (const suspend of [false, true]) {
        const spec = { ...plain.spec, suspend }
        const base = { ...plain, spec, ...(status === undefined ? {} : { status }) } as Run
        for (const run of deletions(base)) {
          const removals = stateOf(run) === 'Removing' ? jobsOf(run, removalName(run)) : [undefined]
          for (const job of jobsOf(run)) {
            for (const pods of job === undefined ? [[]] : PODS) {
              for (const removal of removals) {
                for (const sight of SIGHTS) {
                  const seen = { job, pods, removal: { job: removal, pods: [] }, prerequisite, ...sight }
                  yield observationOf(run, seen)
                }
              }
            }
          }
        }
      }
    }
  }
}

interface Visit {
  readonly observation: Observation
  readonly decision: Decision
}

/** The rules that hold for every observation, each with what breaks it. */
const RULES: Record<string, (visit: Visit) => boolean> = {
  'an action is one of its cell, or brings the finalizer into line': ({ observation, decision: { action } }) =>
    action === undefined ||
    ['AddFinalizer', 'RemoveFinalizer', 'ObserveLive'].includes(action.type) ||
    transitionOf(observation).actions.includes(action.type),
  'the next state is one of its cell': ({ observation, decision: { status } }) => {
    const next = stateOf({ ...observation.run, status })
    return next === stateOf(observation.run) || transitionOf(observation).next.includes(next)
  },
  'what is final stays as it is, save that its artefact goes': ({ observation: { run }, decision: { status } }) => {
    if (!isFinal(run.status)) return true
    const others = (conditions: RunStatus['conditions']) => conditions?.filter(({ type }) => type !== 'ArtifactRemoved')
    const { generation: observedGeneration } = run.metadata
    const before = { ...run.status, observedGeneration, conditions: others(run.status?.conditions) }
    const after = { ...status, observedGeneration, conditions: others(status.conditions) }
    return JSON.stringify(after) === JSON.stringify(before)
  },
  'kstatus reads it as it is': ({ observation: { run }, decision: { status, action } }) => {
    if (action?.type === 'ObserveLive' || action?.type === 'AddFinalizer') return true
    const state = stateOf({ ...run, status })
    const expected = ['Deleting', 'Removing'].includes(state)
      ? 'Terminating'
      : state !== 'Final'
        ? 'InProgress'
        : findCondition(status, 'Succeeded')?.status === 'True'
          ? 'Current'
          : 'Failed'
    const isOurs = status.phase !== undefined || state === 'Deleting' || state === 'Removing'
    return !isOurs || kstatusOf({ ...run, status }) === expected
  },
  'a Job is made only by a live look that finds none, or no result, for a run that is neither final, deleted nor suspended':
    ({ observation: { run, job, pods, live, prerequisite }, decision: { action } }) =>
      action?.type !== 'CreateJob' ||
      (live &&
        (job === undefined || (viewOf(job) === 'Complete' && !pods.some(hasSucceeded))) &&
        prerequisite.ready &&
        run.spec.suspend !== true &&
        ['New', 'Started'].includes(stateOf(run))),
  'success needs a complete Job and the result of its pod': ({ observation: { run, job, pods }, decision }) =>
    isFinal(run.status) ||
    findCondition(decision.status, 'Succeeded')?.status !== 'True' ||
    (viewOf(job) === 'Complete' && pods.some((pod) => pod.status?.phase === 'Succeeded')),
  'a success of a dump has its artefact': ({ observation: { run }, decision: { status } }) =>
    isFinal(run.status) || status.phase !== 'Succeeded' || status.artifact?.manifestSHA256 !== undefined,
  'a live look asks for no other': ({ observation: { live }, decision: { action } }) =>
    !live || action?.type !== 'ObserveLive',
  'the artefact is removed only when nothing writes any more': ({
    observation: { pods, job, live, removal },
    decision,
  }) =>
    decision.action?.type !== 'CreateRemovalJob' ||
    (live &&
      removal.job === undefined &&
      (viewOf(job) === 'None' || ['Complete', 'Failed'].includes(viewOf(job)) || pods.every(hasEnded))),
  'a resource is let go only by a live look': ({ observation: { live }, decision: { action } }) =>
    action?.type !== 'RemoveFinalizer' || live,
  'there is a way out: an action, a time to look again, or an event that is waited for': ({
    observation,
    decision,
  }) => {
    const state = stateOf({ ...observation.run, status: decision.status })
    if (state === 'Final') return true
    if (decision.action !== undefined || decision.requeueAfterSeconds !== undefined) return true
    return transitionOf(observation).awaits.length > 0 && state !== 'Removing'
  },
}

const hasSucceeded = (pod: Pod): boolean => pod.status?.phase === 'Succeeded'
const hasEnded = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

describe('the state machine, for every observation', () => {
  const faults = new Map<string, string>()
  const seen = new Set<string>()
  let count = 0

  beforeAll(() => {
    for (const observation of observations()) {
      const decision = decide(observation)
      count += 1
      const from = stateOf(observation.run)
      const cell = `${from} ${viewOf(observation.job)}`
      seen.add(cell)
      if (decision.action !== undefined) seen.add(`${cell} ${decision.action.type}`)
      else seen.add(`${cell} to ${stateOf({ ...observation.run, status: decision.status })}`)
      for (const [rule, holds] of Object.entries(RULES)) {
        if (!faults.has(rule) && !holds({ observation, decision })) {
          faults.set(rule, JSON.stringify({ cell, observation, decision }, undefined, 1))
        }
      }
    }
  }, 120_000)

  it.each(Object.keys(RULES))('%s', (rule) => expect(faults.get(rule)).toBeUndefined())

  it('is asked about many', () => expect(count).toBeGreaterThan(100_000))

  const cells = Object.entries(TRANSITIONS).flatMap(([state, views]) =>
    Object.entries(views).map(([view, transition]) => [state as State, view as JobView, transition] as const),
  )

  it.each(cells)('has nothing in its table that does not happen: %s, %s', (state, view, { next, actions }) => {
    const cell = `${state} ${view}`
    expect(seen).toContain(cell)
    for (const action of actions) expect(seen).toContain(`${cell} ${action}`)
    for (const to of next) if (to !== state) expect(seen).toContain(`${cell} to ${to}`)
  })
})

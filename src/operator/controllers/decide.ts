import type { RunStatus } from '../../api/v1alpha1/status.ts'
import type { Job, Pod } from '../manager/resources.ts'
import { DEFAULT_BACKOFF_LIMIT, type JobTurn } from '../specs/job.ts'
import { incarnationOf } from '../specs/names.ts'
import type { Run } from '../specs/run.ts'
import { isFinal } from '../status/conditions.ts'
import { type Cause, failureOf, finishedAt, podCreationFailure, resultOf, waitOf } from '../status/pod.ts'
import type { Reason } from '../status/reasons.ts'
import { type RunState, type SuccessResult, summarize } from '../status/summarize.ts'
import { attemptsOf, describeAttempt, factsOf, latestFailed, latestPod } from './attempts.ts'
import type { Observation } from './observation.ts'

/** What the reconciler has to do, beside writing the status. */
export type Action =
  /** Read everything from the API server and decide again: the decision must not rest on a cache. */
  | { readonly type: 'ObserveLive' }
  | { readonly type: 'CreateJob'; readonly turn: JobTurn }
  | { readonly type: 'SuspendJob'; readonly suspend: boolean }
  /** The run is final and its Job is not: end it. */
  | { readonly type: 'DeleteJob' }
  /** The result is recorded: from now on the Job may be removed when its time has come. */
  | { readonly type: 'ExpireJob'; readonly ttlSecondsAfterFinished: number }

export interface Decision {
  readonly status: RunStatus
  readonly action?: Action
  /** Look again then, even if nothing happens. */
  readonly requeueAfterSeconds?: number
}

const DEFAULT_PENDING_DEADLINE_SECONDS = 600
const DEFAULT_TTL_SECONDS = 86_400
/** Events of pods are not watched: while a pod is awaited they are read this often. */
const PENDING_POLL_SECONDS = 5
/** The API server refused the Job: what stood in the way (a quota) does not tell us when it is gone. */
const REJECTED_POLL_SECONDS = 30

/**
 * The operator's only decision maker: from what was observed of a run to its next status and what has to be done. Pure.
 *
 *     status final ──────────────────────────────▶ nothing but tidying its Job: final is final
 *     no Job, none recorded ──▶ Suspended | waits for its prerequisite | CreateJob
 *     no Job, one recorded ───▶ CreateJob of the next incarnation | Failed: the result is unknown
 *     Job Complete ───────────▶ Succeeded, if the pod's result says so
 *     Job Failed ─────────────▶ Failed, by the cause of its last attempt
 *     Job active ─────────────▶ Suspended | Pending | Running, or Failed when no pod can start in time
 */
export function decide(observation: Observation): Decision {
  const { run, job } = observation
  // Being deleted: the garbage collector ends the Job, and nobody reads the status any more.
  if (run.metadata.deletionTimestamp !== undefined) return { status: run.status ?? {} }
  if (run.status !== undefined && isFinal(run.status)) return tidy(run, run.status, job)
  if (job === undefined) return run.status?.jobName === undefined ? begin(observation) : replaceLost(observation)
  if (hasCondition(job, 'Complete')) return complete(observation)
  if (hasCondition(job, 'Failed')) return fail(observation, job)
  if (job.metadata?.deletionTimestamp !== undefined) return waitForDeletion(observation)
  return follow(observation, job)
}

function conclude(observation: Observation, state: RunState, rest: Omit<Decision, 'status'> = {}): Decision {
  const { run, now } = observation
  const visit = { now, generation: run.metadata.generation }
  return { status: summarize(run.status, state, factsOf(observation), visit), ...rest }
}

const failed = (reason: Reason, message: string): RunState => ({ phase: 'Failed', reason, message })
const pending = (reason: Reason, message: string): RunState => ({ phase: 'Pending', reason, message })
const SUSPENDED: RunState = { phase: 'Suspended', reason: 'Suspended', message: 'spec.suspend is true' }

/** Nothing is final on the word of a cache that may not have seen everything yet. */
function observeLive(observation: Observation): Decision {
  return { status: observation.run.status ?? {}, action: { type: 'ObserveLive' } }
}

function tidy(run: Run, status: RunStatus, job: Job | undefined): Decision {
  if (job === undefined || job.metadata?.deletionTimestamp !== undefined) return { status }
  if (!hasCondition(job, 'Complete') && !hasCondition(job, 'Failed')) return { status, action: { type: 'DeleteJob' } }
  if (job.spec?.ttlSecondsAfterFinished !== undefined) return { status }
  const ttlSecondsAfterFinished = run.spec.job?.ttlSecondsAfterFinished ?? DEFAULT_TTL_SECONDS
  return { status, action: { type: 'ExpireJob', ttlSecondsAfterFinished } }
}

function begin(observation: Observation): Decision {
  const { run, prerequisite } = observation
  if (run.spec.suspend === true) return conclude(observation, SUSPENDED)
  if (!prerequisite.ready) {
    if (prerequisite.final)
      return observation.live
        ? conclude(observation, failed(prerequisite.reason, prerequisite.message))
        : observeLive(observation)
    return conclude(observation, pending(prerequisite.reason, prerequisite.message))
  }
  return create(observation, { incarnation: 1, attemptsBefore: 0 })
}

function create(observation: Observation, turn: JobTurn): Decision {
  const { rejection } = observation
  if (!observation.live) return observeLive(observation)
  if (rejection === undefined) {
    return conclude(observation, pending('Pending', 'the Job is being created'), {
      action: { type: 'CreateJob', turn },
    })
  }
  if (rejection.final) return conclude(observation, failed(rejection.reason, rejection.message))
  return conclude(observation, pending(rejection.reason, rejection.message), {
    requeueAfterSeconds: REJECTED_POLL_SECONDS,
  })
}

/**
 * The Job that the status names is gone, and its result was never read. A run that only replaces what an earlier
 * attempt left is done again, and the lost Job counts as an attempt. One that adds rows is not: they may be there.
 */
function replaceLost(observation: Observation): Decision {
  const { run } = observation
  if (!observation.live) return observeLive(observation)
  const { jobName = '', attempts = 0 } = run.status ?? {}
  if (!isRepeatable(run)) {
    const lost = `Job ${jobName} was deleted before its result was read: its rows may have been committed, or not`
    return conclude(observation, failed('ResultUnknown', lost))
  }
  const incarnation = incarnationOf(run, jobName) + 1
  const attemptsBefore = Math.max(attempts, incarnation - 1)
  const limit = run.spec.job?.backoffLimit ?? DEFAULT_BACKOFF_LIMIT
  if (attemptsBefore > limit) {
    const lost = `Job ${jobName} was deleted before it had ended, after ${attemptsBefore} of ${limit + 1} attempts`
    return conclude(observation, failed('JobDeleted', lost))
  }
  if (run.spec.suspend === true) return conclude(observation, SUSPENDED)
  return create(observation, { incarnation, attemptsBefore })
}

/** Whether a second Job can do no harm: a dump's attempts have their own keys, Truncate empties the table first. */
function isRepeatable(run: Run): boolean {
  return run.kind === 'PGPackDump' || run.spec.mode === 'Truncate'
}

function waitForDeletion(observation: Observation): Decision {
  return conclude(observation, pending('Pending', 'the Job is being deleted; its pod has to end first'))
}

function complete(observation: Observation): Decision {
  const result = successOf(observation.pods)
  if (result !== undefined) return conclude(observation, { phase: 'Succeeded', result })
  if (!observation.live) return observeLive(observation)
  const lost = 'the Job is complete, but its pod, which held the result, is gone or holds none'
  return conclude(observation, failed('ResultUnknown', lost))
}

function successOf(pods: readonly Pod[]): SuccessResult | undefined {
  for (const pod of pods) {
    const result = pod.status?.phase === 'Succeeded' ? resultOf(pod) : undefined
    if (result?.outcome === 'Succeeded') return result
  }
  return undefined
}

function fail(observation: Observation, job: Job): Decision {
  const pod = latestFailed(observation.pods)
  const attempts = attemptsOf(observation)
  if (hasCondition(job, 'Failed')?.reason === 'DeadlineExceeded') {
    const deadline = `the run took longer than spec.job.activeDeadlineSeconds (${job.spec?.activeDeadlineSeconds} s)`
    const cause = pod === undefined ? '' : `; attempt ${pod.metadata?.name} ended with ${failureOf(pod).message}`
    return conclude(observation, failed('DeadlineExceeded', deadline + cause))
  }
  if (pod !== undefined) {
    const { reason, message } = failureOf(pod)
    return conclude(observation, failed(reason, attempts > 1 ? `${message} (last of ${attempts} attempts)` : message))
  }
  if (!observation.live) return observeLive(observation)
  const said = hasCondition(job, 'Failed')?.message ?? 'no message'
  return conclude(observation, failed('BackoffLimitExceeded', `${said}; the pods are gone, and with them the cause`))
}

function follow(observation: Observation, job: Job): Decision {
  const suspend = observation.run.spec.suspend === true
  const action = suspend === (job.spec?.suspend === true) ? {} : { action: { type: 'SuspendJob', suspend } as const }
  if (suspend) return conclude(observation, SUSPENDED, action)
  const pod = latestPod(observation.pods)
  if (pod?.status?.phase === 'Running' || pod?.status?.phase === 'Succeeded') return running(observation, pod, action)
  return awaitPod(observation, job, action)
}

function running(observation: Observation, pod: Pod, action: Pick<Decision, 'action'>): Decision {
  const message = describeAttempt(observation, pod)
  return conclude(observation, { phase: 'Running', reason: 'Running', message }, action)
}

/** No pod runs: the first is on its way, or the one after a failed attempt, or something is in the way. */
function awaitPod(observation: Observation, job: Job, action: Pick<Decision, 'action'>): Decision {
  const state = awaitedState(observation)
  const { pendingDeadlineSeconds = DEFAULT_PENDING_DEADLINE_SECONDS } = observation.run.spec.job ?? {}
  const left = awaitedSince(observation, job) + pendingDeadlineSeconds - observation.now.getTime() / 1000
  // A Job that was just resumed counts as suspended until its controller has renewed its start time.
  if (left > 0 || job.spec?.suspend === true || hasCondition(job, 'Suspended')) {
    const requeueAfterSeconds = Math.min(PENDING_POLL_SECONDS, Math.max(1, left))
    return conclude(observation, state, { ...action, requeueAfterSeconds })
  }
  if (!observation.live) return observeLive(observation)
  const waited = `no pod could start within spec.job.pendingDeadlineSeconds (${pendingDeadlineSeconds} s): `
  return conclude(observation, failed('PendingDeadlineExceeded', `${waited}${state.reason}: ${state.message}`))
}

function awaitedState({ pods, warnings }: Observation) {
  const pod = latestPod(pods)
  if (pod === undefined || pod.status?.phase === 'Failed') {
    const refused = podCreationFailure(warnings)
    if (refused !== undefined) return { phase: 'Pending', ...refused } as const
  }
  if (pod === undefined) return { phase: 'Pending', reason: 'Pending', message: 'the Job creates its pod' } as const
  if (pod.status?.phase !== 'Failed') return { phase: 'Pending', ...waitOf(pod, warnings) } as const
  return { phase: 'Pending', ...retryOf(pod) } as const
}

/** After a failed attempt: the Job makes another one, or is about to fail because a retry cannot help. */
function retryOf(pod: Pod): Cause {
  const { reason, message } = failureOf(pod)
  const result = resultOf(pod)
  if (result?.outcome === 'Failed' && !result.retryable) return { reason, message }
  return { reason: 'Retrying', message: `attempt ${pod.metadata?.name} failed and is retried: ${reason}: ${message}` }
}

/** Since when a pod is awaited, in seconds of the epoch: the newest of what a pod could have followed. */
function awaitedSince({ pods }: Observation, job: Job): number {
  const pod = latestPod(pods)
  const times = [job.metadata?.creationTimestamp, job.status?.startTime, pod?.metadata?.creationTimestamp]
  const ended = pod === undefined ? undefined : finishedAt(pod)
  return Math.max(...[...times, ended].map((time) => (time === undefined ? 0 : Date.parse(time) / 1000)))
}

function hasCondition(job: Job, type: string) {
  return job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True')
}

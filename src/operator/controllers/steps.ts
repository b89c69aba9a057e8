import type { Job, Pod } from '../manager/resources.ts'
import { given } from '../specs/given.ts'
import { DEFAULT_BACKOFF_LIMIT, type JobTurn } from '../specs/job.ts'
import { incarnationOf } from '../specs/names.ts'
import type { Run } from '../specs/run.ts'
import { type Cause, failureOf, finishedAt, podCreationFailure, resultOf, waitOf } from '../status/pod.ts'
import type { SuccessResult } from '../status/progress.ts'
import type { Reason } from '../status/reasons.ts'
import type { RunState } from '../status/summarize.ts'
import { attemptsOf, describeAttempt, latestFailed, latestPod } from './attempts.ts'
import { conclude, type Decision, keep, observeLive } from './decision.ts'
import { jobCondition, jobIn } from './jobs.ts'
import type { Observation } from './observation.ts'

const DEFAULT_PENDING_DEADLINE_SECONDS = 600
const DEFAULT_TTL_SECONDS = 86_400
/** Events of pods are not watched: while a pod is awaited they are read this often. */
const PENDING_POLL_SECONDS = 5
/** A kubelet that lives has ended and removed its pod by then. */
const NODE_LOST_SECONDS = 30
/** The API server refused the Job: what stood in the way (a quota) does not tell us when it is gone. */
const REJECTED_POLL_SECONDS = 30

const failed = (reason: Reason, message: string): RunState => ({ phase: 'Failed', reason, message })
const pending = (reason: Reason, message: string): RunState => ({ phase: 'Pending', reason, message })
const SUSPENDED: RunState = { phase: 'Suspended', reason: 'Suspended', message: 'spec.suspend is true' }

/** There is nothing to do. */
export function rest(observation: Observation): Decision {
  return keep(observation)
}

/** The result is recorded: the Job may go when its time has come. */
export function expire(observation: Observation): Decision {
  const { run, job } = observation
  if (job?.metadata?.deletionTimestamp !== undefined || job?.spec?.ttlSecondsAfterFinished !== undefined) {
    return keep(observation)
  }
  const ttlSecondsAfterFinished = run.spec.job?.ttlSecondsAfterFinished ?? DEFAULT_TTL_SECONDS
  return keep(observation, { action: { type: 'ExpireJob', ttlSecondsAfterFinished } })
}

/** The first Job is made as soon as everything is there. */
export function begin(observation: Observation): Decision {
  if (observation.run.spec.suspend === true) return conclude(observation, SUSPENDED)
  return create(observation, { incarnation: 1, attemptsBefore: 0 })
}

function create(observation: Observation, turn: JobTurn): Decision {
  const { rejection, prerequisite, live } = observation
  if (!prerequisite.ready) {
    const { reason, message } = prerequisite
    if (!prerequisite.final) return conclude(observation, pending(reason, message))
    return live ? conclude(observation, failed(reason, message)) : observeLive(observation)
  }
  if (!live) return observeLive(observation)
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
 * The Job that the status names is gone, and its result was never read: it is done again, and the lost Job counts as an
 * attempt. That does no harm: a dump's attempts have their own keys, Truncate and Replace put the same rows in the place
 * of others, and rows that were added and committed are found in the ledger by the run's uid, which is the same for
 * every attempt.
 */
export function replaceLost(observation: Observation): Decision {
  const { run } = observation
  if (!observation.live) return observeLive(observation)
  const { jobName = '', attempts = 0 } = run.status ?? {}
  const lost = `Job ${jobName} was deleted before it had ended, after ${attempts} attempts`
  return again(observation, failed('JobDeleted', lost))
}

/** Under the name of the next Job; or the end of the run, when no attempt is left. */
function again(observation: Observation, end: RunState): Decision {
  const { run, job } = observation
  const incarnation = incarnationOf(run, run.status?.jobName ?? job?.metadata?.name ?? '') + 1
  const attemptsBefore = Math.max(attemptsOf(observation), incarnation - 1)
  if (attemptsBefore > (run.spec.job?.backoffLimit ?? DEFAULT_BACKOFF_LIMIT)) return conclude(observation, end)
  if (run.spec.suspend === true) return conclude(observation, SUSPENDED)
  return create(observation, { incarnation, attemptsBefore })
}

/** Somebody deletes the Job. Its pods end, and then it is gone, or another one is made. */
export function awaitDeletion(observation: Observation): Decision {
  return conclude(observation, pending('Pending', 'the Job is being deleted; its pod has to end first'))
}

/**
 * A success, if the pod's result says so: without it nobody knows what was written. Where another attempt finds that
 * out, or does not have to, it is made. It is not where it would replace what came into the tables since.
 */
export function complete(observation: Observation): Decision {
  const result = successOf(observation.pods)
  if (result !== undefined) return conclude(observation, { phase: 'Succeeded', result })
  if (!observation.live) return observeLive(observation)
  const lost = 'the Job is complete, but its pod, which held the result, is gone or holds none'
  const unknown = failed('ResultUnknown', lost)
  return replacesRows(observation.run) ? conclude(observation, unknown) : again(observation, unknown)
}

function replacesRows(run: Run): boolean {
  if (run.kind === 'PGPackDump' || run.spec.runMode === 'DryRun') return false
  return run.spec.mode === 'Truncate' || run.spec.mode === 'Replace'
}

function successOf(pods: readonly Pod[]): SuccessResult | undefined {
  for (const pod of pods) {
    const result = pod.status?.phase === 'Succeeded' ? resultOf(pod) : undefined
    if (result?.outcome === 'Succeeded') return result
  }
  return undefined
}

/** A failure, by the cause of the last attempt. */
export function fail(observation: Observation): Decision {
  const job = jobIn(observation)
  const pod = latestFailed(observation.pods)
  const attempts = attemptsOf(observation)
  if (jobCondition(job, 'Failed')?.reason === 'DeadlineExceeded') {
    const deadline = `the run took longer than spec.job.activeDeadlineSeconds (${job.spec?.activeDeadlineSeconds} s)`
    const cause = pod === undefined ? '' : `; attempt ${pod.metadata?.name} ended with ${failureOf(pod).message}`
    return conclude(observation, failed('DeadlineExceeded', deadline + cause))
  }
  if (pod !== undefined) {
    const { reason, message } = failureOf(pod)
    return conclude(observation, failed(reason, attempts > 1 ? `${message} (last of ${attempts} attempts)` : message))
  }
  if (!observation.live) return observeLive(observation)
  const said = jobCondition(job, 'Failed')?.message ?? 'no message'
  return conclude(observation, failed('BackoffLimitExceeded', `${said}; the pods are gone, and with them the cause`))
}

/** The Job is active: Suspended, Pending or Running; or Failed, when no pod can start in time. */
export function follow(observation: Observation): Decision {
  const job = jobIn(observation)
  const suspend = observation.run.spec.suspend === true
  const action = suspend === (job.spec?.suspend === true) ? {} : { action: { type: 'SuspendJob', suspend } as const }
  if (suspend) return conclude(observation, SUSPENDED, action)
  const pod = latestPod(observation.pods)
  if (pod?.status?.phase === 'Running' || pod?.status?.phase === 'Succeeded') return running(observation, pod, action)
  return awaitPod(observation, job, action)
}

function running(observation: Observation, pod: Pod, action: Pick<Decision, 'action'>): Decision {
  const untilLost = secondsUntilLost(pod, observation)
  if (untilLost !== undefined && untilLost <= 0) {
    const advice =
      'delete the node if it is gone for good, or force the deletion of the pod; the next attempt starts then'
    const message = `pod ${pod.metadata?.name} was told to end, and its node does not answer: ${advice}`
    return conclude(observation, pending('NodeLost', message), action)
  }
  const state: RunState = { phase: 'Running', reason: 'Running', message: describeAttempt(observation, pod) }
  return conclude(observation, state, { ...action, ...given({ requeueAfterSeconds: untilLost }) })
}

/** A pod's deletionTimestamp is the end of its grace period. The Job waits for its end, as two attempts must not overlap. */
function secondsUntilLost({ metadata, status }: Pod, { now }: Observation): number | undefined {
  if (metadata?.deletionTimestamp === undefined || status?.phase !== 'Running') return undefined
  return Math.ceil((Date.parse(metadata.deletionTimestamp) - now.getTime()) / 1000) + NODE_LOST_SECONDS
}

/** No pod runs: the first is on its way, or the one after a failed attempt, or something is in the way. */
function awaitPod(observation: Observation, job: Job, action: Pick<Decision, 'action'>): Decision {
  const state = awaitedState(observation)
  const { pendingDeadlineSeconds = DEFAULT_PENDING_DEADLINE_SECONDS } = observation.run.spec.job ?? {}
  const left = awaitedSince(observation, job) + pendingDeadlineSeconds - observation.now.getTime() / 1000
  // A Job that was just resumed counts as suspended until its controller has renewed its start time.
  if (left > 0 || job.spec?.suspend === true || jobCondition(job, 'Suspended')) {
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

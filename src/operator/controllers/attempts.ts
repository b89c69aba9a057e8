import type { AttemptFailure } from '../../api/v1alpha1/status.ts'
import type { Job, Pod } from '../manager/resources.ts'
import { ATTEMPTS_BEFORE_ANNOTATION, DEFAULT_BACKOFF_LIMIT } from '../specs/job.ts'
import { formatTime } from '../status/conditions.ts'
import { failureOf } from '../status/pod.ts'
import { progressStatus } from '../status/progress.ts'
import type { RunFacts } from '../status/summarize.ts'
import { truncate } from '../status/summarize.ts'
import type { Observation } from './observation.ts'

const MAX_FAILURE_MESSAGE = 2048

/** The newest pod. A Job makes one after the other, so that is the current attempt, or the last one. */
export function latestPod(pods: readonly Pod[]): Pod | undefined {
  return pods.toSorted(byAge).at(-1)
}

export function latestFailed(pods: readonly Pod[]): Pod | undefined {
  return latestPod(pods.filter((pod) => pod.status?.phase === 'Failed'))
}

/** creationTimestamp has whole seconds: the name keeps the order of two pods of one second stable. */
function byAge(left: Pod, right: Pod): number {
  const key = ({ metadata }: Pod): string => `${metadata?.creationTimestamp} ${metadata?.name}`
  return key(left) < key(right) ? -1 : 1
}

/**
 * Pods that were started for the run, as far as can be known: pods are removed (suspended, drained, collected), the
 * Job's counters leave out what podFailurePolicy ignores, and the operator may have been away. Never less than before.
 */
export function attemptsOf({ run, job, pods }: Observation): number {
  const { attempts = 0, attempt } = run.status ?? {}
  const before = Number(job?.metadata?.annotations?.[ATTEMPTS_BEFORE_ANNOTATION] ?? 0) || 0
  const { failed = 0, succeeded = 0, active = 0 } = job?.status ?? {}
  const name = latestPod(pods)?.metadata?.name
  const replaced = name !== undefined && name !== attempt ? attempts + 1 : attempts
  return Math.max(replaced, before + Math.max(pods.length, failed + succeeded + active))
}

/** What the status keeps beside its conditions. */
export function factsOf(observation: Observation): RunFacts {
  const { run, job, pods, progress } = observation
  const attempts = attemptsOf(observation)
  const attempt = latestPod(pods)?.metadata?.name
  const startTime = run.status?.startTime ?? job?.metadata?.creationTimestamp
  const lastFailure = failureFact(observation)
  return {
    ...(job?.metadata?.name === undefined ? {} : { jobName: job.metadata.name }),
    ...(attempts === 0 ? {} : { attempts }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(startTime === undefined ? {} : { startTime }),
    ...(lastFailure === undefined ? {} : { lastFailure }),
    ...(progress === undefined ? {} : { progress: progressStatus(progress) }),
  }
}

/** The newest failure, unless it is known already, or is only what a suspension asked for. */
function failureFact({ run, pods, now }: Observation): AttemptFailure | undefined {
  const pod = latestFailed(pods)
  const attempt = pod?.metadata?.name
  if (pod === undefined || attempt === undefined || attempt === run.status?.lastFailure?.attempt) return undefined
  const { reason, message } = failureOf(pod)
  if (reason === 'Cancelled' && run.spec.suspend === true) return undefined
  return { attempt, reason, message: truncate(message, MAX_FAILURE_MESSAGE), time: formatTime(now) }
}

/** `attempt 2 of 4, pod orders-dump-1a2b3c4d-x7k2p; attempt … failed: …`: the message of a run that runs. */
export function describeAttempt(observation: Observation, pod: Pod): string {
  const { run, job } = observation
  const limit = run.spec.job?.backoffLimit ?? DEFAULT_BACKOFF_LIMIT
  const attempts = attemptsOf(observation)
  // What a disruption ended is not counted against the limit, so there can be more attempts than it allows.
  const position = attempts > limit + 1 ? `attempt ${attempts}` : `attempt ${attempts} of ${limit + 1}`
  const ending = isEnding(pod, job) ? ', which is ending' : ''
  const failure = failureFact(observation) ?? run.status?.lastFailure
  const earlier =
    failure === undefined ? '' : `; attempt ${failure.attempt} failed: ${failure.reason}: ${failure.message}`
  return `${position}, pod ${pod.metadata?.name}${ending}${earlier}`
}

function isEnding(pod: Pod, job: Job | undefined): boolean {
  return pod.metadata?.deletionTimestamp !== undefined && job?.metadata?.deletionTimestamp === undefined
}

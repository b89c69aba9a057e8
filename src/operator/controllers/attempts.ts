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
const MAX_LISTED_MESSAGE = 512
const MAX_FAILURES = 10

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
 *
 * What the Job counts as active is about to be seen as a pod, and would be counted again then.
 */
export function attemptsOf({ run, job, pods }: Observation): number {
  const { attempts = 0, attempt } = run.status ?? {}
  const before = Number(job?.metadata?.annotations?.[ATTEMPTS_BEFORE_ANNOTATION] ?? 0) || 0
  const { failed = 0, succeeded = 0 } = job?.status ?? {}
  const name = latestPod(pods)?.metadata?.name
  const replaced = name !== undefined && name !== attempt ? attempts + 1 : attempts
  return Math.max(replaced, before + Math.max(pods.length, failed + succeeded))
}

/** What the status keeps beside its conditions. */
export function factsOf(observation: Observation): RunFacts {
  const { run, job, pods, progress } = observation
  const attempts = attemptsOf(observation)
  const attempt = latestPod(pods)?.metadata?.name
  const startTime = run.status?.startTime ?? job?.metadata?.creationTimestamp
  return {
    ...(job?.metadata?.name === undefined ? {} : { jobName: job.metadata.name }),
    ...(attempts === 0 ? {} : { attempts }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(startTime === undefined ? {} : { startTime }),
    ...failureFacts(observation),
    ...(progress === undefined ? {} : { progress: progressStatus(progress, run.kind !== 'PGPackTransfer') }),
  }
}

/** Failures that the status does not know yet, oldest first; not what only a suspension asked for. */
function newFailures({ run, pods, now }: Observation): AttemptFailure[] {
  const known = new Set([...(run.status?.failures ?? []), run.status?.lastFailure].map((failure) => failure?.attempt))
  const found = pods.filter((pod) => pod.status?.phase === 'Failed' && !known.has(pod.metadata?.name))
  return found.toSorted(byAge).flatMap((pod) => {
    const { reason, message } = failureOf(pod)
    if (reason === 'Cancelled' && run.spec.suspend === true) return []
    return [
      {
        attempt: pod.metadata?.name ?? '',
        reason,
        message: truncate(message, MAX_FAILURE_MESSAGE),
        time: formatTime(now),
      },
    ]
  })
}

/** The attempts that failed, with their causes: the newest in full, and the last ten cut short. */
function failureFacts(observation: Observation): Pick<RunFacts, 'failures' | 'lastFailure'> {
  const found = newFailures(observation)
  const lastFailure = found.at(-1)
  if (lastFailure === undefined) return {}
  const short = found.map((failure) => ({ ...failure, message: truncate(failure.message ?? '', MAX_LISTED_MESSAGE) }))
  return { failures: [...(observation.run.status?.failures ?? []), ...short].slice(-MAX_FAILURES), lastFailure }
}

/** `attempt 2 of 4, pod orders-dump-1a2b3c4d-x7k2p; attempt … failed: …`: the message of a run that runs. */
export function describeAttempt(observation: Observation, pod: Pod): string {
  const { run, job } = observation
  const limit = run.spec.job?.backoffLimit ?? DEFAULT_BACKOFF_LIMIT
  const attempts = attemptsOf(observation)
  // What a disruption ended is not counted against the limit, so there can be more attempts than it allows.
  const position = attempts > limit + 1 ? `attempt ${attempts}` : `attempt ${attempts} of ${limit + 1}`
  const ending = isEnding(pod, job) ? ', which is ending' : ''
  const failure = failureFacts(observation).lastFailure ?? run.status?.lastFailure
  const earlier =
    failure === undefined ? '' : `; attempt ${failure.attempt} failed: ${failure.reason}: ${failure.message}`
  return `${position}, pod ${pod.metadata?.name}${ending}${earlier}`
}

function isEnding(pod: Pod, job: Job | undefined): boolean {
  return pod.metadata?.deletionTimestamp !== undefined && job?.metadata?.deletionTimestamp === undefined
}

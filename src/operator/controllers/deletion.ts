import { REMOVAL_DEADLINE_SECONDS } from '../specs/job.ts'
import type { Run } from '../specs/run.ts'
import { dumpLocation } from '../specs/runconfig.ts'
import { failureOf, podCreationFailure, waitOf } from '../status/pod.ts'
import type { RemovalReason } from '../status/reasons.ts'
import { latestFailed, latestPod } from './attempts.ts'
import { concludeRemoval, type Decision, keep, observeLive } from './decision.ts'
import { isAlive, jobIn, nextToEnd, viewOf } from './jobs.ts'
import type { Observation } from './observation.ts'

/** Keeps a deleted dump until its artefact is removed. */
export const ARTIFACT_FINALIZER = 'pgpack.io/artifact'
/** `kubectl delete --cascade=foreground`: the garbage collector takes every child, also one that is made meanwhile. */
const FOREGROUND_FINALIZER = 'foregroundDeletion'
/** `kubectl delete --cascade=orphan`: it makes children go on without their run. */
const ORPHAN_FINALIZER = 'orphan'

/** Events of pods are not watched, and neither is the clock. */
const POLL_SECONDS = 5
/** The Job may outlive its time by so much: when we give up, its pod must still be there to say why. */
const JOB_GRACE_SECONDS = 60

/** Why the removal is not done. */
interface RemovalCause {
  readonly reason: RemovalReason
  readonly message: string
}

const NOT_ENDED: RemovalCause = { reason: 'Removing', message: 'the last attempt has to end first' }

export function wantsFinalizer(run: Run): boolean {
  return run.kind === 'PGPackDump' && run.spec.deletionPolicy === 'Delete' && run.spec.runMode !== 'DryRun'
}

export function hasFinalizer({ metadata }: Run): boolean {
  return metadata.finalizers?.includes(ARTIFACT_FINALIZER) === true
}

/** Nobody needs the run's Job any more; its status stays what it is. */
export function end(observation: Observation): Decision {
  if (observation.run.metadata.finalizers?.includes(ORPHAN_FINALIZER)) return keep(observation)
  const action = nextToEnd(observation)
  return keep(observation, action === undefined ? {} : { action })
}

/** The run's own Job has to end first: what it writes after the removal would stay. */
export function awaitEnd(observation: Observation): Decision {
  const { pods } = observation
  const job = jobIn(observation)
  const left = secondsLeft(observation)
  if (left <= 0 && !observation.live) return observeLive(observation)
  if (left <= 0) return giveUp(observation, 'RemovalDeadlineExceeded', NOT_ENDED)
  const suspended = job.spec?.suspend === true || job.metadata?.deletionTimestamp !== undefined
  if (suspended && !pods.some(isAlive) && (job.status?.active ?? 0) === 0) return remove(observation)
  const action = suspended ? {} : { action: { type: 'SuspendJob', suspend: true } as const }
  return waiting(observation, NOT_ENDED, action)
}

/** By a Job with the resource's own credentials, for a bounded time. */
export function remove(observation: Observation): Decision {
  const { run, job, removal, live, rejection } = observation
  const isBegun = run.status?.jobName !== undefined || job !== undefined || removal.job !== undefined
  if (!live && viewOf(removal.job) !== 'Active') return observeLive(observation)
  if (!isBegun) return keep(observation, { action: { type: 'RemoveFinalizer' } })
  const view = viewOf(removal.job)
  if (view === 'Complete') return done(observation)
  if (view === 'Failed') return giveUp(observation, 'RemovalFailed', causeOf(observation))
  const left = secondsLeft(observation)
  if (left <= 0) {
    return live
      ? giveUp(observation, 'RemovalDeadlineExceeded', rejection ?? causeOf(observation))
      : observeLive(observation)
  }
  if (view !== 'None') return waiting(observation, causeOf(observation))
  if (run.metadata.finalizers?.some((name) => name === FOREGROUND_FINALIZER || name === ORPHAN_FINALIZER)) {
    return waiting(observation, { reason: 'Removing', message: 'the garbage collector sees to the children first' })
  }
  if (rejection === undefined) {
    const action = { type: 'CreateRemovalJob', deadlineSeconds: Math.ceil(left) + JOB_GRACE_SECONDS } as const
    return waiting(observation, { reason: 'Removing', message: 'the Job is being created' }, { action })
  }
  // A namespace that is going away takes no Job any more, and goes only when nothing is left in it.
  const isOver = rejection.final || rejection.reason === 'NamespaceTerminating'
  return isOver ? giveUp(observation, 'RemovalFailed', rejection) : waiting(observation, rejection)
}

function waiting(
  observation: Observation,
  { reason, message }: RemovalCause,
  rest: Omit<Decision, 'status'> = {},
): Decision {
  const requeueAfterSeconds = Math.min(POLL_SECONDS, Math.max(1, secondsLeft(observation)))
  return concludeRemoval(observation, { status: 'Unknown', reason, message }, { requeueAfterSeconds, ...rest })
}

function done(observation: Observation): Decision {
  const message = `removed everything below ${dumpLocation(observation.run)}`
  return concludeRemoval(
    observation,
    { status: 'True', reason: 'Removed', message },
    { action: { type: 'RemoveFinalizer' } },
  )
}

/** What cannot be removed must not hold the resource, and with it its namespace, for ever. */
function giveUp(observation: Observation, reason: RemovalReason, cause: RemovalCause): Decision {
  const advice = `remove what lies below ${dumpLocation(observation.run)} yourself`
  return concludeRemoval(
    observation,
    { status: 'False', reason, message: `${advice}; last seen: ${cause.reason}: ${cause.message}` },
    { action: { type: 'RemoveFinalizer' } },
  )
}

/** Why the removal is not done yet, or has failed. */
function causeOf({ removal: { job, pods }, warnings }: Observation): RemovalCause {
  const pod = latestPod(pods)
  if (pod !== undefined && pod.status?.phase === 'Pending') return waitOf(pod, warnings)
  if (pod !== undefined && isAlive(pod)) {
    return { reason: 'Removing', message: `pod ${pod.metadata?.name} removes the artefact` }
  }
  const failed = latestFailed(pods)
  if (failed !== undefined) return failureOf(failed)
  const refused = podCreationFailure(warnings)
  if (refused !== undefined) return refused
  const what = job === undefined ? 'no Job could be made yet' : 'the Job creates its pod'
  return { reason: 'Removing', message: what }
}

function secondsLeft({ run, now }: Observation): number {
  const since = Date.parse(run.metadata.deletionTimestamp ?? '')
  return REMOVAL_DEADLINE_SECONDS - (now.getTime() - since) / 1000
}

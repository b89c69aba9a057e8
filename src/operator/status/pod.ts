import { ERROR_CODES } from '../../errors.ts'
import { decodeProgress } from '../../run/progress.ts'
import { decodeResult, EXIT, type RunResult } from '../../run/result.ts'
import type { Pod } from '../manager/resources.ts'
import { ENGINE_CONTAINER } from '../specs/job.ts'
import type { Reason } from './reasons.ts'
import { truncate } from './summarize.ts'

/** Why an attempt failed, or what a pod waits for. */
export interface Cause {
  readonly reason: Reason
  readonly message: string
}

/** A Warning Event of a pod or a Job, as far as it is read. */
export interface Warning {
  readonly reason: string
  readonly message: string
}

const MAX_TAIL = 512
const IMAGE_REASONS = new Set(['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull'])
/** The kubelet's words for a Secret or a key that is not there, in Events and in container states. */
const SECRET_MISSING = [
  { pattern: /secret "([^"]+)" not found/, what: 'Secret' },
  { pattern: /couldn't find key (\S+) in Secret/, what: 'the Secret with the key' },
  { pattern: /references non-existent secret key: (\S+)/, what: 'the Secret with the key' },
]

function engineStatus(pod: Pod) {
  return pod.status?.containerStatuses?.find((status) => status.name === ENGINE_CONTAINER)
}

function conditionOf(pod: Pod, type: string, status: string) {
  return pod.status?.conditions?.find((condition) => condition.type === type && condition.status === status)
}

/** What the engine left as its termination message, if it ended and left one. */
export function resultOf(pod: Pod): RunResult | undefined {
  const message = engineStatus(pod)?.state?.terminated?.message
  return message === undefined ? undefined : decodeResult(message)
}

/** RFC 3339 time at which the engine ended, if the pod still says so. */
export function finishedAt(pod: Pod): string | undefined {
  return engineStatus(pod)?.state?.terminated?.finishedAt
}

/**
 * Why a failed pod failed. What the engine said counts most when a retry cannot help it; else what the cluster did to
 * the pod, because it explains an engine that was cut off in the middle.
 */
export function failureOf(pod: Pod): Cause {
  const result = resultOf(pod)
  const reported = result?.outcome === 'Failed' ? result : undefined
  if (reported !== undefined && !reported.retryable) return causeOf(reported)
  const disruption = disruptionOf(pod)
  if (disruption !== undefined) return disruption
  if (engineStatus(pod)?.state?.terminated?.reason === 'OOMKilled') return outOfMemory(pod)
  if (reported !== undefined) return causeOf(reported)
  return crashOf(pod)
}

function causeOf({ code, message }: Extract<RunResult, { outcome: 'Failed' }>): Cause {
  return { reason: ERROR_CODES[code].reason, message }
}

/** Reasons of a pod's condition DisruptionTarget, and of its status, that stand for the loss of its node. */
const NODE_LOST = new Set(['DeletionByTaintManager', 'DeletionByPodGC', 'NodeLost'])

function disruptionOf(pod: Pod): Cause | undefined {
  const target = conditionOf(pod, 'DisruptionTarget', 'True')
  const { reason: said = '', message: told } = pod.status ?? {}
  if (target === undefined && engineStatus(pod)?.state?.terminated !== undefined) return undefined
  if (NODE_LOST.has(target?.reason ?? '') || NODE_LOST.has(said)) {
    return { reason: 'NodeLost', message: target?.message || told || 'the node of the pod is gone' }
  }
  if (target !== undefined) {
    return { reason: 'Evicted', message: target.message || told || target.reason || 'the pod was disrupted' }
  }
  if (said === 'Evicted') return { reason: 'Evicted', message: told || 'the kubelet evicted the pod' }
  return { reason: 'NodeLost', message: told || said || 'the pod ended before its container did: its node is gone' }
}

function outOfMemory(pod: Pod): Cause {
  const container = pod.spec?.containers.find(({ name }) => name === ENGINE_CONTAINER)
  const limit = container?.resources?.limits?.['memory']
  const found = limit === undefined ? 'the memory of its node' : `its memory limit of ${limit}`
  return {
    reason: 'OOMKilled',
    message: `the engine was killed at ${found}: raise spec.job.resources.limits.memory, or use fewer connections`,
  }
}

function crashOf(pod: Pod): Cause {
  const { exitCode, message = '' } = engineStatus(pod)?.state?.terminated ?? {}
  if (exitCode === EXIT.cancelled) return { reason: 'Cancelled', message: 'the engine was asked to end (SIGTERM)' }
  const lines = message.split('\n').filter((line) => line.trim() !== '' && decodeProgress(line) === undefined)
  const tail = lines.join('\n').slice(-MAX_TAIL)
  const said = tail === '' ? 'it left no message' : `its last words: ${tail}`
  return { reason: 'EngineCrashed', message: `the engine ended with exit code ${exitCode} and no result; ${said}` }
}

/** What a pod that has not started waits for; `warnings` are its Events, newest last. */
export function waitOf(pod: Pod, warnings: readonly Warning[]): Cause {
  const unscheduled = conditionOf(pod, 'PodScheduled', 'False')
  if (unscheduled !== undefined) {
    return { reason: 'Unschedulable', message: unscheduled.message || 'no node was found yet' }
  }
  const waiting = engineStatus(pod)?.state?.waiting
  const message = waiting?.message ?? ''
  if (waiting?.reason !== undefined && IMAGE_REASONS.has(waiting.reason)) {
    return { reason: 'ImagePullFailed', message: `${waiting.reason}: ${message}` }
  }
  if (waiting?.reason?.startsWith('Create') || waiting?.reason === 'RunContainerError') {
    return missingSecret(message) ?? { reason: 'ContainerCreateFailed', message: `${waiting.reason}: ${message}` }
  }
  return mountFailure(warnings) ?? { reason: 'Pending', message: `pod ${pod.metadata?.name} is starting` }
}

/** Mounts that fail show in Events only: the container's state says ContainerCreating all the while. */
function mountFailure(warnings: readonly Warning[]): Cause | undefined {
  const failed = warnings.findLast(({ reason }) => reason === 'FailedMount' || reason === 'FailedAttachVolume')
  if (failed === undefined) return undefined
  return missingSecret(failed.message) ?? { reason: 'VolumeMountFailed', message: failed.message }
}

function missingSecret(message: string): Cause | undefined {
  for (const { pattern, what } of SECRET_MISSING) {
    const name = pattern.exec(message)?.[1]
    if (name === undefined) continue
    const advice = `${what} ${name} does not exist: create it and the pod starts by itself`
    return { reason: 'SecretNotFound', message: `${advice} (${truncate(message, MAX_TAIL)})` }
  }
  return undefined
}

/** Why a Job has no pod, from the Job's Events. */
export function podCreationFailure(warnings: readonly Warning[]): Cause | undefined {
  const failed = warnings.findLast(({ reason }) => reason === 'FailedCreate')
  return failed === undefined ? undefined : refusal('PodNotCreated', failed.message)
}

/** What the API server said when it refused an object: a quota has its own reason. */
export function refusal(otherwise: 'PodNotCreated' | 'JobNotCreated', message: string): Cause {
  return { reason: message.includes('exceeded quota') ? 'QuotaExceeded' : otherwise, message }
}

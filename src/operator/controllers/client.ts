import type { ApiError } from '../manager/apierror.ts'
import type { KubernetesClient } from '../manager/client.ts'
import {
  type ApiObject,
  CONFIG_MAPS,
  controllerUid,
  EVENTS,
  type Event,
  JOBS,
  type Job,
  type ObjectRef,
  PODS,
  type Pod,
  type Resource,
} from '../manager/resources.ts'
import { buildConfigMap } from '../specs/configmap.ts'
import { buildJob, buildRemovalJob, type JobSettings, type JobTurn } from '../specs/job.ts'
import { childName, removalName } from '../specs/names.ts'
import type { DumpRun, Run } from '../specs/run.ts'
import type { RunPlan } from '../specs/runconfig.ts'
import type { StatusClient } from '../status/patcher.ts'
import type { Warning } from '../status/pod.ts'
import { ARTIFACT_FINALIZER } from './deletion.ts'
import { DUMPS, kindOf } from './kinds.ts'

/** Where an observation comes from: the caches, or the API server. */
export interface RunReader {
  run(ref: ObjectRef, signal: AbortSignal): Promise<Run | undefined>
  job(ref: ObjectRef, signal: AbortSignal): Promise<Job | undefined>
  /** The pods that the Job controls. */
  pods(job: Job, signal: AbortSignal): Promise<readonly Pod[]>
  dump(ref: ObjectRef, signal: AbortSignal): Promise<DumpRun | undefined>
}

/** What the reconciler changes in the cluster, and what it reads there beside the objects themselves. */
export interface RunWriter extends StatusClient {
  /** ConfigMap and Job; takes those that are there already if the run controls them. */
  createJob(run: Run, plan: RunPlan, turn: JobTurn, signal: AbortSignal): Promise<Job>
  /** ConfigMap and Job of the removal, likewise. */
  createRemovalJob(run: Run, plan: RunPlan, deadlineSeconds: number, signal: AbortSignal): Promise<Job>
  /** @throws ApiError Conflict when the run has changed since it was read */
  addFinalizer(run: Run, signal: AbortSignal): Promise<Run>
  /** As {@link addFinalizer}; nothing to do when the run is gone. */
  removeFinalizer(run: Run, signal: AbortSignal): Promise<void>
  suspendJob(job: Job, suspend: boolean, signal: AbortSignal): Promise<void>
  /** Ends its pods, too. */
  deleteJob(job: Job, signal: AbortSignal): Promise<void>
  expireJob(job: Job, ttlSecondsAfterFinished: number, signal: AbortSignal): Promise<void>
  /** Warning Events of an object, oldest first. */
  warnings(object: ApiObject, signal: AbortSignal): Promise<readonly Warning[]>
}

/** More different Events than one pod has; keeps a noisy one from filling the memory. */
const MAX_EVENTS = 50

/** Reads of the API server itself. */
export function createLiveReader(client: KubernetesClient, resource: Resource<Run>): RunReader {
  return {
    run: async (ref, signal) => client.find(resource, ref, { signal }),
    job: async (ref, signal) => client.find(JOBS, ref, { signal }),
    dump: async (ref, signal) => client.find(DUMPS, ref, { signal }),
    pods: async (job, signal) => {
      const { namespace, name, uid } = job.metadata ?? {}
      const labelSelector = `batch.kubernetes.io/job-name=${name}`
      const { items } = await client.list(PODS, { namespace, labelSelector, signal })
      return items.filter((pod) => controllerUid(pod) === uid)
    },
  }
}

export function createRunWriter(client: KubernetesClient, settings: JobSettings): RunWriter {
  const patchJob = async (job: Job, spec: Job['spec'] | object, signal: AbortSignal): Promise<void> => {
    await client.patch(JOBS, refOf(job), { metadata: { uid: job.metadata?.uid }, spec }, { signal })
  }
  const createJob = async (run: Run, name: string, { config }: RunPlan, job: Job, signal: AbortSignal) => {
    const owner = { kind: run.kind, name: run.metadata.name, uid: run.metadata.uid }
    await client.createOwned(CONFIG_MAPS, buildConfigMap(run, name, config), owner, { signal })
    return (await client.createOwned(JOBS, job, owner, { signal })).object
  }
  return {
    read: async (run, signal) => client.find(kindOf(run), run.metadata, { signal }),
    patchStatus: async (run, status, signal) =>
      client.patchStatus(kindOf(run), run.metadata, status, {
        signal,
        resourceVersion: run.metadata.resourceVersion,
      }),
    createJob: (run, plan, turn, signal) =>
      createJob(run, childName(run), plan, buildJob(run, plan.mounts, settings, turn), signal),
    createRemovalJob: (run, plan, deadlineSeconds, signal) =>
      createJob(run, removalName(run), plan, buildRemovalJob(run, plan.mounts, settings, deadlineSeconds), signal),
    addFinalizer: (run, signal) => client.addFinalizer(kindOf(run), run, ARTIFACT_FINALIZER, { signal }),
    removeFinalizer: async (run, signal) => {
      await client.removeFinalizer(kindOf(run), run, ARTIFACT_FINALIZER, { signal })
    },
    suspendJob: (job, suspend, signal) => patchJob(job, { suspend }, signal),
    expireJob: (job, ttlSecondsAfterFinished, signal) => patchJob(job, { ttlSecondsAfterFinished }, signal),
    deleteJob: async (job, signal) => {
      const { uid } = job.metadata ?? {}
      await client.delete(JOBS, refOf(job), { signal, ...(uid === undefined ? {} : { uid }) })
    },
    warnings: async (object, signal) => {
      const { namespace, uid } = object.metadata ?? {}
      const fieldSelector = `involvedObject.uid=${uid},type=Warning`
      const { items } = await client.list(EVENTS, { namespace, fieldSelector, limit: MAX_EVENTS, signal })
      return items.toSorted(byTime).map(({ reason = '', message = '' }) => ({ reason, message }))
    },
  }
}

function refOf(job: Job): ObjectRef {
  return { namespace: job.metadata?.namespace, name: job.metadata?.name ?? '' }
}

function byTime(left: Event, right: Event): number {
  const time = (event: Event) => event.lastTimestamp ?? event.eventTime ?? event.metadata?.creationTimestamp ?? ''
  return time(left).localeCompare(time(right))
}

/**
 * Whether what the API server refused would be refused for ever: a spec that no Job can have. A quota, a webhook or a
 * foreign object of the name can change their mind. Undefined for errors that say nothing of the request.
 */
export function isFinalRejection({ statusCode, message }: ApiError): boolean | undefined {
  switch (statusCode) {
    case 403:
    case 404:
      return false
    // A field of the wrong type does not even decode; a webhook's denial may have any code.
    case 400:
    case 413:
    case 422:
      return !message.includes('admission webhook')
    default:
      return undefined
  }
}

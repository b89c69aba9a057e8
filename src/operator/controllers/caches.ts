import type { Informer } from '../manager/informer.ts'
import type { ManagedInformerOptions, Manager } from '../manager/manager.ts'
import {
  type ApiObject,
  JOBS,
  type Job,
  type ObjectRef,
  PODS,
  type Pod,
  type Resource,
  refKey,
} from '../manager/resources.ts'
import { indexByOwner, OWNER_INDEX } from '../manager/store.ts'
import { CHILD_SELECTOR } from '../specs/metadata.ts'
import type { DumpRun, RestoreRun, Run, TransferRun } from '../specs/run.ts'
import type { RunReader } from './client.ts'
import { DUMPS, dumpRefOf, RESTORES, TRANSFERS } from './kinds.ts'

/** The informers of one resource: one for all namespaces, or one for each that is watched. */
export type Informers<T extends ApiObject> = readonly Informer<T>[]

/** What the controllers read instead of the API server. Jobs and pods are those with our label only. */
export interface Caches {
  readonly dumps: Informers<DumpRun>
  readonly restores: Informers<RestoreRun>
  readonly transfers: Informers<TransferRun>
  /** Indexed by the run that controls them. */
  readonly jobs: Informers<Job>
  /** Indexed by owner. */
  readonly pods: Informers<Pod>
}

/** Restores by the key of the dump that they wait for. */
export const DUMP_REF_INDEX = 'dumpRef'

export function indexByDumpRef(run: RestoreRun): readonly string[] {
  const name = dumpRefOf(run)
  return name === undefined ? [] : [refKey({ namespace: run.metadata.namespace, name })]
}

/** Jobs by kind, namespace and name of the run that controls them, whether or not it is there. */
const RUN_INDEX = 'run'

export function indexByRun(job: Job): readonly string[] {
  const { namespace, ownerReferences = [] } = job.metadata ?? {}
  const controllers = ownerReferences.filter(({ controller }) => controller === true)
  return controllers.map(({ kind, name }) => runKey(kind, { namespace, name }))
}

function runKey(kind: string, ref: ObjectRef): string {
  return `${kind} ${refKey(ref)}`
}

/** Informers of everything that runs need, in these namespaces, or in all when there are none. */
export function createCaches(manager: Manager, namespaces: readonly string[]): Caches {
  const scopes = namespaces.length === 0 ? [undefined] : namespaces
  const informers = <T extends ApiObject>(resource: Resource<T>, options: ManagedInformerOptions<T> = {}) =>
    scopes.map((namespace) => {
      const name = namespace === undefined ? resource.plural : `${resource.plural}-${namespace}`
      return manager.informer(resource, { ...options, name, namespace })
    })
  const children = { labelSelector: CHILD_SELECTOR }
  return {
    dumps: informers(DUMPS),
    restores: informers(RESTORES, { indexers: { [DUMP_REF_INDEX]: indexByDumpRef } }),
    transfers: informers(TRANSFERS),
    jobs: informers(JOBS, { ...children, transform: trimJob, indexers: { [RUN_INDEX]: indexByRun } }),
    pods: informers(PODS, { ...children, transform: trimPod, indexers: { [OWNER_INDEX]: indexByOwner } }),
  }
}

/** What the informers know. */
export interface CachedReader extends RunReader {
  /** Every Job that says that a run of this name controls it: one that is there, or one that was. */
  jobsOf(ref: ObjectRef): readonly Job[]
}

export function createCachedReader<R extends Run>(caches: Caches, kind: R['kind'], runs: Informers<R>): CachedReader {
  return {
    jobsOf: (ref) => caches.jobs.flatMap(({ store }) => store.byIndex(RUN_INDEX, runKey(kind, ref))),
    run: async (ref) => find<R>(runs, ref),
    job: async (ref) => find(caches.jobs, ref),
    dump: async (ref) => find(caches.dumps, ref),
    pods: async (job) => findOwned(caches.pods, job),
  }
}

/** Of a Job, without the template of its pods, which is most of it. */
export function trimJob(job: Job): Job {
  const { spec } = job
  return { ...job, metadata: trimMetadata(job), ...(spec === undefined ? {} : { spec: { ...spec, template: {} } }) }
}

/** Of a pod, what decisions are taken from: thousands of finished ones wait for their Job's end of life. */
export function trimPod(pod: Pod): Pod {
  const containers = pod.spec?.containers.map(({ name, resources }) => ({ name, ...(resources && { resources }) }))
  return { ...pod, metadata: trimMetadata(pod), spec: { containers: containers ?? [] } }
}

function trimMetadata({ metadata }: ApiObject) {
  const { managedFields: _, ...rest } = metadata ?? {}
  return rest
}

function find<T extends ApiObject>(informers: Informers<T>, ref: ObjectRef): T | undefined {
  const key = refKey(ref)
  for (const { store } of informers) {
    const object = store.get(key)
    if (object !== undefined) return object
  }
  return undefined
}

function findOwned<T extends ApiObject>(informers: Informers<T>, owner: ApiObject): T[] {
  const uid = owner.metadata?.uid
  return uid === undefined ? [] : informers.flatMap(({ store }) => store.byIndex(OWNER_INDEX, uid))
}

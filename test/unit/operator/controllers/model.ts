import type { CachedReader } from '../../../../src/operator/controllers/caches.ts'
import type { RunWriter } from '../../../../src/operator/controllers/client.ts'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import { controllerUid, type Job, type ObjectRef, type Pod } from '../../../../src/operator/manager/resources.ts'
import { buildJob, buildRemovalJob } from '../../../../src/operator/specs/job.ts'
import type { DumpRun, Run } from '../../../../src/operator/specs/run.ts'
import { encodeResult, exitCodeOf, type RunResult } from '../../../../src/run/result.ts'
import { SUCCESS } from './fixtures.ts'

const SETTINGS = { image: 'i', imagePullPolicy: 'Never' } as const
const START = Date.parse('2026-01-02T03:04:05Z')
export const PATH = 'shop/orders-1a2b3c4d'

/** What a list of the API server gives: the objects of one run's name, each once. */
interface Objects {
  run: Run | undefined
  jobs: Map<string, Job>
  pods: Map<string, Pod>
}

/** How a pod ends. */
export type Ending = 'succeeded' | 'transient' | 'permanent' | 'killed'

/** The API server, what its controllers do, and the store: as little of it as decides about a run's life. */
export class World {
  readonly objects: Objects = { run: undefined, jobs: new Map(), pods: new Map() }
  /** Keys in the object store. */
  readonly store = new Set<string>()
  /** Jobs that were ever made, with the status of the run at that time. */
  readonly created: { readonly name: string; readonly run: Run | undefined }[] = []
  /** What the next write meets: it is refused, or done and its answer is lost. */
  #trouble: 'none' | 'refused' | 'lost' = 'none'
  seconds = 0
  #version = 1
  #pods = 0

  constructor(run: Run) {
    this.objects.run = run
  }

  get now(): Date {
    return new Date(START + this.seconds * 1000)
  }

  get time(): string {
    return this.now.toISOString().replace(/\.\d+Z$/, 'Z')
  }

  pass(seconds: number): void {
    this.seconds += seconds
  }

  meet(trouble: 'none' | 'refused' | 'lost'): void {
    this.#trouble = trouble
  }

  /** Somebody deletes the run. */
  delete(): void {
    this.changeRun(({ metadata }) => {
      metadata.deletionTimestamp ??= this.time
    })
  }

  /** A write, with whatever trouble there is. */
  write<T>(change: () => T): T {
    const trouble = this.#trouble
    this.#trouble = 'none'
    if (trouble === 'refused') throw new ApiError('overloaded', { request: 'WRITE', statusCode: 503 })
    const result = change()
    if (trouble === 'lost') throw new ApiError('no answer', { request: 'WRITE' })
    return structuredClone(result)
  }

  changeRun(change: (run: Run) => void): void {
    const { run } = this.objects
    if (run === undefined) return
    const next = structuredClone(run)
    change(next)
    next.metadata.resourceVersion = String(++this.#version)
    const isGone = next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0
    this.objects.run = isGone ? undefined : next
  }

  changeJob(name: string, change: (job: Job) => void): void {
    const job = structuredClone(this.objects.jobs.get(name))
    if (job === undefined) return
    change(job)
    job.metadata = { ...job.metadata, resourceVersion: String(++this.#version) }
    this.objects.jobs.set(name, job)
  }

  createJob(built: Job): Job {
    const name = built.metadata?.name ?? ''
    const found = this.objects.jobs.get(name)
    if (found !== undefined) return found
    const job = structuredClone(built)
    job.metadata = { ...job.metadata, uid: `uid-${name}-${++this.#version}`, creationTimestamp: this.time }
    job.status = { startTime: this.time }
    this.objects.jobs.set(name, job)
    this.created.push({ name, run: structuredClone(this.objects.run) })
    return job
  }

  deleteJob(name: string): void {
    const job = this.objects.jobs.get(name)
    if (job === undefined) return
    this.objects.jobs.delete(name)
    for (const pod of this.podsOf(job)) this.objects.pods.delete(pod.metadata?.name ?? '')
  }

  podsOf(job: Job, objects = this.objects): Pod[] {
    return [...objects.pods.values()].filter((pod) => controllerUid(pod) === job.metadata?.uid)
  }

  /** What the Job controller does, once. */
  runJobController(): void {
    for (const job of this.objects.jobs.values()) this.#control(job)
  }

  #control(job: Job): void {
    if (job.status?.conditions?.some(({ type }) => type === 'Complete' || type === 'Failed')) return
    const verdict = this.#verdictOn(job)
    const alive = this.podsOf(job).filter(isAlive)
    if (verdict !== undefined) {
      this.changeJob(job.metadata?.name ?? '', (next) => {
        next.status = { ...next.status, active: 0, conditions: [{ ...verdict, status: 'True' }] }
      })
    } else if (job.spec?.suspend === true) {
      for (const pod of alive) this.objects.pods.delete(pod.metadata?.name ?? '')
    } else if (alive.length === 0) this.#createPod(job)
  }

  #verdictOn(job: Job): { type: string; reason: string } | undefined {
    const pods = this.podsOf(job)
    const failed = pods.filter((pod) => pod.status?.phase === 'Failed')
    if (pods.some((pod) => pod.status?.phase === 'Succeeded')) return { type: 'Complete', reason: 'CompletionsReached' }
    const failsAtOnce = job.spec?.podFailurePolicy?.rules.some(({ action }) => action === 'FailJob')
    if (failsAtOnce && failed.some(isPermanent)) return { type: 'Failed', reason: 'PodFailurePolicy' }
    const counted = failed.filter((pod) => !isKilled(pod)).length
    return counted > (job.spec?.backoffLimit ?? 0) ? { type: 'Failed', reason: 'BackoffLimitExceeded' } : undefined
  }

  #createPod(job: Job): void {
    const name = `${job.metadata?.name}-${String(++this.#pods).padStart(5, '0')}`
    this.objects.pods.set(name, {
      metadata: {
        namespace: 'shop',
        name,
        uid: `uid-${name}`,
        creationTimestamp: this.time,
        ownerReferences: [
          { apiVersion: 'batch/v1', kind: 'Job', name: '', uid: job.metadata?.uid ?? '', controller: true },
        ],
      },
      spec: { containers: [{ name: 'engine' }] },
      status: { phase: 'Pending' },
    })
  }

  /** Pods that wait run, those that run end so; what they did is in the store. */
  movePods(ending: Ending): void {
    for (const [name, pod] of this.objects.pods) {
      const phase = pod.status?.phase
      if (phase === 'Pending') this.objects.pods.set(name, { ...pod, status: { phase: 'Running' } })
      if (phase === 'Running') this.objects.pods.set(name, this.#end(pod, ending))
    }
  }

  #end(pod: Pod, ending: Ending): Pod {
    const attempt = pod.metadata?.name ?? ''
    const path = `${PATH}/${attempt}`
    this.store.add(`${path}/a.pgpack`)
    if (ending === 'killed') return ended(pod, 'Failed', { exitCode: 143 })
    if (ending !== 'succeeded') {
      const code = ending === 'permanent' ? 'POSTGRES_NO_RELATION' : 'STORE_UNREACHABLE'
      return ended(
        pod,
        'Failed',
        result({ outcome: 'Failed', attempt, code, message: 'm', retryable: ending === 'transient' }),
      )
    }
    if (attempt.includes('-remove-')) this.store.clear()
    else this.store.add(`${path}/manifest.json`)
    return ended(pod, 'Succeeded', result({ ...SUCCESS, attempt, artifact: { ...SUCCESS.artifact, path } }))
  }

  /** What the garbage collector does, once. */
  collectGarbage(): void {
    for (const [name, job] of this.objects.jobs) {
      if (controllerUid(job) !== this.objects.run?.metadata.uid) this.deleteJob(name)
    }
  }
}

const isAlive = (pod: Pod): boolean => pod.status?.phase === 'Pending' || pod.status?.phase === 'Running'
const exitCodeOfPod = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode
const isPermanent = (pod: Pod): boolean => exitCodeOfPod(pod) === 42
const isKilled = (pod: Pod): boolean => exitCodeOfPod(pod) === 143

function result(of: RunResult) {
  return { exitCode: exitCodeOf(of), message: encodeResult(of) }
}

function ended(pod: Pod, phase: string, terminated: { exitCode: number; message?: string }): Pod {
  const state = { terminated }
  const status = { name: 'engine', image: '', imageID: '', ready: false, restartCount: 0, state }
  return { ...pod, status: { phase, containerStatuses: [status] } }
}

/** Reads of some state of the world: of now, or of what a cache has seen. */
export class View implements CachedReader {
  readonly #world: World
  readonly #objects: () => Objects

  constructor(world: World, objects: () => Objects) {
    this.#world = world
    this.#objects = objects
  }

  run = async () => structuredClone(this.#objects().run)
  job = async ({ name }: ObjectRef) => structuredClone(this.#objects().jobs.get(name))
  pods = async (job: Job) => structuredClone(this.#world.podsOf(job, this.#objects()))
  dump = async (): Promise<DumpRun | undefined> => undefined
  jobsOf = () => [...this.#objects().jobs.values()]
}

/** Caches of one operator: each resource lags for itself, and tells when it has seen something new. */
export class Cache {
  objects: Objects = { run: undefined, jobs: new Map(), pods: new Map() }
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** Whether there was anything new. */
  sync(part: keyof Objects): boolean {
    const fresh = this.#world.objects[part]
    const isNew = text(fresh) !== text(this.objects[part])
    this.objects = { ...this.objects, [part]: copy(fresh) }
    return isNew
  }
}

/** Not structuredClone of a Map: it gives one of another realm under Jest. */
function copy(value: Objects[keyof Objects]): Objects[keyof Objects] {
  if (!(value instanceof Map)) return structuredClone(value)
  return new Map([...value].map(([key, object]) => [key, structuredClone(object)])) as typeof value
}

function text(value: Objects[keyof Objects]): string {
  return JSON.stringify(value instanceof Map ? [...value] : value) ?? ''
}

/** Writes to the world, as the API server takes them. */
export function writerOf(world: World): RunWriter {
  const check = (run: Run): void => {
    const { run: current } = world.objects
    if (current === undefined) throw new ApiError('not found', { request: 'PATCH', statusCode: 404 })
    if (current.metadata.resourceVersion !== run.metadata.resourceVersion) {
      throw new ApiError('changed', { request: 'PATCH', statusCode: 409, status: { reason: 'Conflict' } })
    }
  }
  const changeRun = (run: Run, change: (next: Run) => void): Run =>
    world.write(() => {
      check(run)
      world.changeRun(change)
      return world.objects.run ?? run
    })
  const setFinalizers = (run: Run, finalizers: string[]) =>
    changeRun(run, (next) => {
      next.metadata.finalizers = finalizers
    })
  const named = (job: Job): string => job.metadata?.name ?? ''
  return {
    read: async () => structuredClone(world.objects.run),
    patchStatus: async (run, status) =>
      changeRun(run, (next) => {
        next.status = { ...next.status, ...(status as Run['status']) }
      }),
    createJob: async (run, plan, turn) =>
      world.write(() => world.createJob(buildJob(run, plan.mounts, SETTINGS, turn))),
    createRemovalJob: async (run, plan, seconds) =>
      world.write(() => world.createJob(buildRemovalJob(run, plan.mounts, SETTINGS, seconds))),
    addFinalizer: async (run) => setFinalizers(run, ['pgpack.io/artifact']),
    removeFinalizer: async (run) => {
      if (world.objects.run !== undefined) setFinalizers(run, [])
    },
    suspendJob: async (job, suspend) =>
      world.write(() =>
        world.changeJob(named(job), (next) => {
          next.spec = { ...next.spec, template: {}, suspend }
        }),
      ),
    expireJob: async (job, ttlSecondsAfterFinished) =>
      world.write(() =>
        world.changeJob(named(job), (next) => {
          next.spec = { ...next.spec, template: {}, ttlSecondsAfterFinished }
        }),
      ),
    deleteJob: async (job) => world.write(() => world.deleteJob(named(job))),
    warnings: async () => [],
  }
}

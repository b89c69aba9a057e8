import { silentLogger } from '../../../../src/log.ts'
import type { CachedReader } from '../../../../src/operator/controllers/caches.ts'
import type { RunWriter } from '../../../../src/operator/controllers/client.ts'
import type { RunEvent } from '../../../../src/operator/controllers/events.ts'
import { RunReconciler } from '../../../../src/operator/controllers/reconciler.ts'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import { type Job, type ObjectRef, type Pod, refKey } from '../../../../src/operator/manager/resources.ts'
import { buildJob, buildRemovalJob } from '../../../../src/operator/specs/job.ts'
import type { DumpRun, Run } from '../../../../src/operator/specs/run.ts'
import type { Warning } from '../../../../src/operator/status/pod.ts'
import { dumpRun, NOW } from './fixtures.ts'

/** Objects as one reader sees them. */
class World implements CachedReader {
  runs = new Map<string, Run>()
  jobs = new Map<string, Job>()
  podList: Pod[] = []

  run(ref: ObjectRef) {
    return Promise.resolve(this.runs.get(refKey(ref)))
  }
  job(ref: ObjectRef) {
    return Promise.resolve(this.jobs.get(refKey(ref)))
  }
  pods() {
    return Promise.resolve(this.podList)
  }
  dump(ref: ObjectRef) {
    return Promise.resolve(this.runs.get(`dump:${refKey(ref)}`) as DumpRun | undefined)
  }

  jobsOf({ name }: ObjectRef) {
    return [...this.jobs.values()].filter((job) => job.metadata?.ownerReferences?.[0]?.name === name)
  }

  setJob(job: Job): void {
    this.jobs.set(refKey({ namespace: job.metadata?.namespace, name: job.metadata?.name ?? '' }), job)
  }
}

export const SETTINGS = { image: 'i', imagePullPolicy: 'Never' } as const

/** The API server, and what was asked of it. */
class Server extends World implements RunWriter {
  readonly calls: string[] = []
  events: Warning[] = []
  refuse: unknown
  conflicts = 0

  read(run: Run) {
    return this.run(run.metadata)
  }
  async patchStatus(run: Run, status: unknown): Promise<Run> {
    const key = refKey(run.metadata)
    const current = this.runs.get(key)
    if (current === undefined) throw new ApiError('not found', { request: 'PATCH', statusCode: 404 })
    if (this.conflicts-- > 0 || current.metadata.resourceVersion !== run.metadata.resourceVersion) {
      throw new ApiError('changed', { request: 'PATCH', statusCode: 409, status: { reason: 'Conflict' } })
    }
    const next = {
      ...current,
      metadata: { ...current.metadata, resourceVersion: `${Number(current.metadata.resourceVersion) + 1}` },
      status: { ...current.status, ...(status as object) },
    } as Run
    this.runs.set(key, next)
    this.calls.push('patchStatus')
    return next
  }
  async createJob(run: Run, plan: Parameters<RunWriter['createJob']>[1], turn: Parameters<RunWriter['createJob']>[2]) {
    return this.#create(buildJob(run, plan.mounts, SETTINGS, turn))
  }
  async createRemovalJob(run: Run, plan: Parameters<RunWriter['createRemovalJob']>[1], deadlineSeconds: number) {
    return this.#create(buildRemovalJob(run, plan.mounts, SETTINGS, deadlineSeconds))
  }
  #create(built: Job): Job {
    if (this.refuse !== undefined) throw this.refuse
    const job = {
      ...built,
      metadata: { ...built.metadata, uid: `uid-of-${built.metadata?.name}`, creationTimestamp: NOW.toISOString() },
    }
    this.calls.push(`createJob ${job.metadata.name}`)
    this.setJob(job)
    return job
  }
  async addFinalizer(run: Run) {
    return this.#setFinalizers(run, ['pgpack.io/artifact'])
  }
  async removeFinalizer(run: Run) {
    this.#setFinalizers(run, [])
  }
  #setFinalizers(run: Run, finalizers: string[]): Run {
    this.calls.push(`finalizers ${finalizers}`)
    const next = { ...run, metadata: { ...run.metadata, finalizers } }
    this.runs.set(refKey(run.metadata), next)
    return next
  }
  async suspendJob(_: Job, suspend: boolean) {
    this.calls.push(`suspendJob ${suspend}`)
  }
  async deleteJob() {
    this.calls.push('deleteJob')
  }
  async expireJob(_: Job, ttl: number) {
    this.calls.push(`expireJob ${ttl}`)
  }
  async warnings(object: { metadata?: { name?: string } }) {
    this.calls.push(`warnings ${object.metadata?.name}`)
    return this.events
  }
}

export function setUp(run: Run = dumpRun()) {
  const cache = new World()
  const server = new Server()
  cache.runs.set('shop/orders', run)
  server.runs.set('shop/orders', run)
  const told: RunEvent[] = []
  const followed: string[] = []
  const counted: (string | undefined)[] = []
  const reconciler = new RunReconciler({
    cache,
    live: server,
    writer: server,
    followers: {
      follow: (key, pod) => void followed.push(`follow ${key} ${pod.name}`),
      stop: (key) => void followed.push(`stop ${key}`),
      progressOf: () => undefined,
    },
    record: (_, event) => void told.push(event),
    metrics: { observe: (_kind, _before, after) => void counted.push(after.phase) },
    clock: { date: () => NOW },
  })
  const reconcile = () =>
    reconciler.reconcile('shop/orders', { signal: new AbortController().signal, log: silentLogger })
  const status = () => server.runs.get('shop/orders')?.status
  return { cache, server, told, followed, counted, reconcile, status }
}

export const COMPLETE = { conditions: [['Complete'] as const] }

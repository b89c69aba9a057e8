import { describe, expect, it } from '@jest/globals'
import { PgpackError } from '../../../../src/errors.ts'
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
import { deleted, dumpRun, endedPod, jobOf, NOW, podOf, restoreRun, SUCCESS, transferRun } from './fixtures.ts'

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

const SETTINGS = { image: 'i', imagePullPolicy: 'Never' } as const

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

function setUp(run: Run = dumpRun()) {
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

const COMPLETE = { conditions: [['Complete'] as const] }

describe('the reconciler', () => {
  it('creates the Job, records its name, and looks again', async () => {
    const { server, reconcile, status, told } = setUp()
    await expect(reconcile()).resolves.toEqual({ requeueAfterSeconds: 5 })
    expect(server.calls).toEqual(['createJob orders-dump-1a2b3c4d', 'patchStatus'])
    expect(status()).toMatchObject({ jobName: 'orders-dump-1a2b3c4d', phase: 'Pending' })
    expect(told.map(({ reason }) => reason)).toEqual(['RunStarted'])
  })

  it('writes and tells nothing when nothing has changed', async () => {
    const { cache, server, reconcile, told } = setUp()
    await reconcile()
    cache.runs = new Map(server.runs)
    cache.jobs = new Map(server.jobs)
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual(['warnings orders-dump-1a2b3c4d'])
    expect(told).toHaveLength(1)
  })

  it('makes no second Job from a cache that has not seen the first', async () => {
    const { server, reconcile } = setUp()
    await reconcile()
    await reconcile()
    await reconcile()
    expect(server.calls.filter((call) => call.startsWith('createJob'))).toHaveLength(1)
  })

  it('makes no Job from a cache that has not seen that the run is final and its Job gone', async () => {
    const { cache, server, reconcile, status } = setUp()
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d' })
    cache.runs.set('shop/orders', run)
    server.setJob(jobOf(run, COMPLETE))
    server.podList = [endedPod(SUCCESS)]
    await reconcile()
    expect(status()?.phase).toBe('Succeeded')
    server.jobs.clear()
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('asks the API server for the run and what surrounds it at once', async () => {
    const { server, reconcile } = setUp()
    const asked: string[] = []
    const answered = Promise.withResolvers<void>()
    server.run = async (ref) => {
      asked.push('run')
      await answered.promise
      return server.runs.get(refKey(ref))
    }
    server.job = async (ref) => {
      asked.push('job')
      answered.resolve()
      return server.jobs.get(refKey(ref))
    }
    await reconcile()
    expect(asked.sort()).toEqual(['job', 'run'])
    expect(server.calls).toEqual(['createJob orders-dump-1a2b3c4d', 'patchStatus'])
  })

  it('decides by the Job that the run has, where the cache only knows the one before', async () => {
    const { server, reconcile, status } = setUp()
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d-2', attempts: 1 })
    server.runs.set('shop/orders', run)
    server.setJob(jobOf(run, { name: 'orders-dump-1a2b3c4d-2' }))
    server.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    expect(server.calls).toEqual(['patchStatus'])
    expect(status()).toMatchObject({ jobName: 'orders-dump-1a2b3c4d-2', phase: 'Running' })
  })

  it('looks for the removal of a run that the cache does not know to be deleted', async () => {
    const run = dumpRun({ deletionPolicy: 'Delete' })
    const { cache, server, reconcile } = setUp({
      ...run,
      metadata: { ...run.metadata, finalizers: ['pgpack.io/artifact'] },
    })
    const known = cache.runs.get('shop/orders') as Run
    server.runs.set('shop/orders', deleted(known))
    server.setJob(buildRemovalJob(known as DumpRun, [], SETTINGS, 600))
    const asked: string[] = []
    server.job = async (ref) => {
      asked.push(ref.name)
      return server.jobs.get(refKey(ref))
    }
    await reconcile()
    expect(asked).toContain('orders-remove-1a2b3c4d')
    expect(server.calls.filter((call) => call.startsWith('createJob'))).toEqual([])
  })

  it('makes no Job for a run that is gone behind a stale cache', async () => {
    const { server, reconcile } = setUp()
    server.runs.clear()
    await expect(reconcile()).resolves.toBeUndefined()
    expect(server.calls).toEqual([])
  })

  it('makes no Job for a run whose name belongs to another one by now', async () => {
    const { server, reconcile } = setUp()
    const other = dumpRun()
    server.runs.set('shop/orders', { ...other, metadata: { ...other.metadata, uid: 'another' } })
    await expect(reconcile()).resolves.toBeUndefined()
    expect(server.calls).toEqual([])
  })

  it('takes no Job for its own that another run controls', async () => {
    const { cache, reconcile, server } = setUp()
    const foreign = jobOf(
      { ...dumpRun(), metadata: { ...dumpRun().metadata, uid: 'another' } },
      { name: 'orders-dump-1a2b3c4d' },
    )
    cache.setJob(foreign)
    server.setJob(foreign)
    server.refuse = new PgpackError('CONFIG_INVALID', 'Job exists and is not controlled by orders', { retryable: true })
    await expect(reconcile()).resolves.toEqual({ requeueAfterSeconds: 30 })
    expect(server.runs.get('shop/orders')?.status?.conditions?.[0]).toMatchObject({ reason: 'JobNotCreated' })
  })

  it('does not believe a cache that sees a complete Job and not yet the end of its pod', async () => {
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d' })
    const { cache, server, reconcile, status } = setUp(run)
    cache.setJob(jobOf(run, COMPLETE))
    cache.podList = [podOf({ phase: 'Running' })]
    server.setJob(jobOf(run, COMPLETE))
    server.podList = [endedPod(SUCCESS)]
    await reconcile()
    expect(status()?.phase).toBe('Succeeded')
  })

  it('lets the Job expire in the visit after the one that recorded the result', async () => {
    const run = dumpRun({ job: { ttlSecondsAfterFinished: 9 } })
    const { cache, server, reconcile, counted, told } = setUp(run)
    cache.setJob(jobOf(run, COMPLETE))
    cache.podList = [endedPod(SUCCESS)]
    await reconcile()
    expect(server.calls).toEqual(['patchStatus'])
    cache.runs = new Map(server.runs)
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'expireJob 9'])
    expect(counted).toEqual(['Succeeded'])
    expect(told.map(({ reason }) => reason)).toEqual(['RunStarted', 'Succeeded'])
  })

  it('decides again when the run was changed meanwhile', async () => {
    const { cache, server, reconcile, status } = setUp()
    cache.setJob(jobOf(dumpRun()))
    const changed = dumpRun({ suspend: true })
    server.runs.set('shop/orders', { ...changed, metadata: { ...changed.metadata, resourceVersion: '7' } })
    await reconcile()
    expect(status()?.phase).toBe('Suspended')
  })

  it('writes nothing over what another operator has made final', async () => {
    const run = dumpRun()
    const { cache, server, reconcile, status, told } = setUp(run)
    cache.setJob(jobOf(run))
    cache.podList = [podOf({ phase: 'Running' })]
    const final = {
      observedGeneration: 1,
      conditions: [
        { type: 'Succeeded', status: 'True' as const, reason: 'Succeeded', message: '', lastTransitionTime: '' },
      ],
    }
    server.runs.set('shop/orders', { ...run, metadata: { ...run.metadata, resourceVersion: '7' }, status: final })
    await reconcile()
    expect(status()).toEqual(final)
    expect(told).toEqual([])
  })

  it('writes nothing of a Job that another operator has replaced', async () => {
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d' })
    const { cache, server, reconcile, status } = setUp(run)
    cache.setJob(jobOf(run))
    const replaced = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d-2' })
    server.runs.set('shop/orders', { ...replaced, metadata: { ...replaced.metadata, resourceVersion: '7' } })
    await reconcile()
    expect(status()).toEqual({ jobName: 'orders-dump-1a2b3c4d-2' })
  })

  it('gives up on a run that changes all the time, to be tried again later', async () => {
    const { cache, server, reconcile } = setUp()
    cache.setJob(jobOf(dumpRun()))
    server.conflicts = 100
    await expect(reconcile()).rejects.toThrow('changed')
  })

  it.each([
    [422, 'Job is invalid: quantities must match', 'InvalidSpec', 'False'],
    [400, 'json: cannot unmarshal', 'InvalidSpec', 'False'],
    [400, 'admission webhook "x" denied the request', 'JobNotCreated', 'Unknown'],
    [403, 'exceeded quota', 'QuotaExceeded', 'Unknown'],
    [403, 'cannot be created because it is being terminated', 'NamespaceTerminating', 'Unknown'],
    [404, 'namespaces "shop" not found', 'JobNotCreated', 'Unknown'],
  ])('shows what the API server refuses with %i %s', async (statusCode, message, reason, succeeded) => {
    const { server, reconcile, status } = setUp()
    server.refuse = new ApiError(message, { request: 'POST', statusCode })
    await reconcile()
    expect(status()?.conditions?.[0]).toMatchObject({
      reason,
      status: succeeded,
      message: expect.stringContaining(message),
    })
  })

  it.each([
    ['no answer', new ApiError('no answer', { request: 'POST' })],
    ['an overloaded server', new ApiError('overloaded', { request: 'POST', statusCode: 503 })],
    ['a fault of ours', new Error('a fault of ours')],
  ])('tries again, and writes nothing, after %s', async (_, error) => {
    const { server, reconcile, status } = setUp()
    server.refuse = error
    await expect(reconcile()).rejects.toThrow(error.message)
    expect(status()).toBeUndefined()
  })

  it('follows the log of a pod that runs, and of no other', async () => {
    const { cache, reconcile, followed } = setUp()
    cache.setJob(jobOf(dumpRun()))
    cache.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    cache.podList = [podOf({ name: 'pod-2' })]
    await reconcile()
    expect(followed).toEqual(['follow shop/orders pod-1', 'stop shop/orders'])
  })

  it('stops to follow a run that was deleted', async () => {
    const { cache, reconcile, followed } = setUp()
    cache.runs.clear()
    await expect(reconcile()).resolves.toBeUndefined()
    expect(followed).toEqual(['stop shop/orders'])
  })

  it('reads Events only while a pod is awaited', async () => {
    const { cache, server, reconcile } = setUp()
    const reads = async (pods: Pod[], job = jobOf(dumpRun())) => {
      server.calls.length = 0
      cache.setJob(job)
      cache.podList = pods
      await reconcile()
      return server.calls.filter((call) => call.startsWith('warnings'))
    }
    expect(await reads([podOf()])).toEqual(['warnings pod-1'])
    expect(await reads([])).toEqual(['warnings orders-dump-1a2b3c4d'])
    expect(await reads([podOf({ phase: 'Running' })])).toEqual([])
  })

  it('reads no Events for runs that are final: there may be thousands', async () => {
    const { cache, server, reconcile } = setUp()
    const job = jobOf(dumpRun(), { conditions: [['Failed', 'BackoffLimitExceeded']], ttlSecondsAfterFinished: 1 })
    cache.setJob(job)
    server.setJob(job)
    await reconcile()
    cache.runs = new Map(server.runs)
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('suspends and resumes the Job after it has said so', async () => {
    const { cache, server, reconcile } = setUp(dumpRun({ suspend: true }))
    cache.setJob(jobOf(dumpRun()))
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'suspendJob true'])
  })

  it('starts a restore with what its dump has written', async () => {
    const { cache, server, reconcile } = setUp(restoreRun())
    await reconcile()
    expect(server.runs.get('shop/orders')?.status?.conditions?.[0]?.reason).toBe('DumpNotFound')
    const dump = dumpRun(
      {},
      {
        conditions: [{ type: 'Succeeded', status: 'True', reason: 'Succeeded', message: '', lastTransitionTime: '' }],
        artifact: { path: 'p', manifestSHA256: 'f'.repeat(64) },
      },
    )
    cache.runs = new Map(server.runs).set('dump:shop/orders', dump)
    server.runs.set('dump:shop/orders', dump)
    await reconcile()
    expect(server.calls).toContain('createJob orders-restore-1a2b3c4d')
  })

  it('starts a transfer, which waits for nothing', async () => {
    const { server, reconcile } = setUp(transferRun())
    await reconcile()
    expect(server.calls).toContain('createJob orders-transfer-1a2b3c4d')
  })

  it('starts no restore with a dump that only a stale cache knows', async () => {
    const { cache, server, reconcile } = setUp(restoreRun())
    cache.runs.set(
      'dump:shop/orders',
      dumpRun(
        {},
        {
          conditions: [{ type: 'Succeeded', status: 'True', reason: 'Succeeded', message: '', lastTransitionTime: '' }],
          artifact: { path: 'p', manifestSHA256: 'f'.repeat(64) },
        },
      ),
    )
    await reconcile()
    expect(server.calls).toEqual(['patchStatus'])
    expect(server.runs.get('shop/orders')?.status?.conditions?.[0]?.reason).toBe('DumpNotFound')
  })
})

describe('the Job of a run that is gone', () => {
  const gone = () => {
    const world = setUp()
    world.cache.runs.clear()
    world.server.runs.clear()
    return world
  }

  it('has its pods ended by the Job controller, and is deleted when they are told to end', async () => {
    const { cache, server, reconcile } = gone()
    cache.setJob(jobOf(dumpRun()))
    cache.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    expect(server.calls).toEqual(['suspendJob true'])
    cache.setJob(jobOf(dumpRun(), { suspend: true }))
    await reconcile()
    expect(server.calls).toHaveLength(1)
    cache.podList = [podOf({ phase: 'Running', deleting: true })]
    await reconcile()
    expect(server.calls).toEqual(['suspendJob true', 'deleteJob'])
  })

  it.each([
    ['that has ended', jobOf(dumpRun(), COMPLETE), [endedPod(SUCCESS)]],
    ['without a pod', jobOf(dumpRun()), []],
  ])('is deleted at once: one %s', async (_, job, pods) => {
    const { cache, server, reconcile } = gone()
    cache.setJob(job)
    cache.podList = pods
    await reconcile()
    expect(server.calls).toEqual(['deleteJob'])
  })

  it('is left alone while it is being deleted', async () => {
    const { cache, server, reconcile } = gone()
    cache.setJob(jobOf(dumpRun(), { deleting: true }))
    cache.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('is not ended when only the cache has not seen its run', async () => {
    const { cache, server, reconcile } = setUp()
    cache.runs.clear()
    cache.setJob(jobOf(dumpRun()))
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('is ended when another run of its name is there', async () => {
    const { cache, server, reconcile } = setUp()
    const former = { ...dumpRun(), metadata: { ...dumpRun().metadata, uid: 'ffffffff-0000' } }
    cache.setJob(jobOf(former, { name: 'orders-dump-ffffffff' }))
    await reconcile()
    expect(server.calls).toEqual(['deleteJob', 'createJob orders-dump-1a2b3c4d', 'patchStatus'])
  })
})

describe('a dump whose artefact goes with it', () => {
  const policy = { deletionPolicy: 'Delete' } as const
  const REMOVAL = 'orders-remove-1a2b3c4d'

  it('has its finalizer before it has a Job', async () => {
    const { server, reconcile } = setUp(dumpRun(policy))
    await reconcile()
    expect(server.calls.slice(0, 2)).toEqual(['finalizers pgpack.io/artifact', 'createJob orders-dump-1a2b3c4d'])
  })

  it('is let go after its removal, and the result is written before', async () => {
    const run = deleted(dumpRun(policy, { jobName: 'orders-dump-1a2b3c4d' }))
    const { cache, server, reconcile, status, told } = setUp(run)
    await reconcile()
    expect(server.calls).toEqual([`createJob ${REMOVAL}`, 'patchStatus'])
    cache.runs = new Map(server.runs)
    const removal = jobOf(run, { name: REMOVAL, ...COMPLETE })
    cache.setJob(removal)
    server.setJob(removal)
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'finalizers '])
    expect(status()?.conditions?.at(-1)).toMatchObject({ type: 'ArtifactRemoved', status: 'True', reason: 'Removed' })
    expect(told.map(({ reason }) => reason)).toEqual(['RemovingArtifact', 'ArtifactRemoved'])
  })

  it.each([
    [403, 'jobs.batch is forbidden: it cannot be created because it is being terminated', 'NamespaceTerminating'],
    [422, 'quantities must match', 'InvalidSpec'],
  ])('is let go when its removal can never be made (%i)', async (statusCode, message, cause) => {
    const run = deleted(dumpRun(policy, { jobName: 'orders-dump-1a2b3c4d' }))
    const { server, reconcile, status, told } = setUp(run)
    server.refuse = new ApiError(message, { request: 'POST', statusCode })
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'finalizers '])
    expect(status()?.conditions?.at(-1)).toMatchObject({
      status: 'False',
      reason: 'RemovalFailed',
      message: expect.stringContaining(cause),
    })
    expect(told).toMatchObject([{ type: 'Warning', reason: 'ArtifactNotRemoved' }])
  })
})

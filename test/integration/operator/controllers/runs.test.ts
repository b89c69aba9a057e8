import { afterEach, describe, expect, it } from '@jest/globals'
import { DUMPS, RESTORES, TRANSFERS } from '../../../../src/operator/controllers/kinds.ts'
import {
  CONFIG_MAPS,
  JOBS,
  type Job,
  type ObjectRef,
  PODS,
  type Pod,
  type Resource,
} from '../../../../src/operator/manager/resources.ts'
import type { DumpRun, RestoreRun, Run } from '../../../../src/operator/specs/run.ts'
import { parseRunConfig } from '../../../../src/run/config.ts'
import type { RunResult } from '../../../../src/run/result.ts'
import { NAMESPACES } from '../../../support/api-server.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { eventually, type RunningOperator, TestCluster } from './cluster.ts'
import { Kubelet } from './kubelet.ts'
import { dump, restore, transfer } from './manifests.ts'
import { conditionOf, failedWith, Scenario, succeeded } from './scenario.ts'

let cluster: TestCluster
let kubelet: Kubelet
let namespace: string
let scenario: Scenario
let operator: RunningOperator

useApiServer(TestCluster.shared, (shared, fresh) => {
  cluster = shared
  kubelet = new Kubelet(cluster.client)
  namespace = fresh
  scenario = new Scenario(cluster, namespace)
  operator = cluster.startOperator(namespace)
})
afterEach(() => operator.stop())

/** A Job, and its first pod, running. */
async function started(run: Run): Promise<{ job: Job; pod: Pod }> {
  const job = await scenario.jobOf(run)
  const pod = await kubelet.run(await kubelet.createPod(job))
  await scenario.reaches(run, 'Running')
  return { job, pod }
}

async function finish(job: Job, pod: Pod, result = succeeded(pod)): Promise<void> {
  await kubelet.finish(pod, result)
  await kubelet.completeJob(job)
}

const isGone = async (resource: Resource, ref: ObjectRef): Promise<boolean> =>
  (await cluster.client.find(resource, ref)) === undefined

/** What background garbage collection does; there is no controller manager here. */
async function deletePod(pod: Pod): Promise<void> {
  await cluster.client.delete(PODS, { namespace, name: pod.metadata?.name ?? '' }, { gracePeriodSeconds: 0 })
}

/** A Job cannot be deleted in the background here: nobody collects its pods. */
async function deleteJob(job: Job): Promise<void> {
  await cluster.client.delete(JOBS, { namespace, name: job.metadata?.name ?? '' })
}

const withoutArtifact = (result: RunResult): RunResult => {
  const { artifact: _, ...rest } = result as Extract<RunResult, { outcome: 'Succeeded' }>
  return rest
}

const podOf = (job: Job): Promise<Pod> =>
  eventually('the Job has a pod', async () => {
    const { items } = await cluster.client.list(PODS, { namespace })
    return items.find(({ metadata }) => metadata?.ownerReferences?.[0]?.uid === job.metadata?.uid)
  })

describe('a dump', () => {
  it('lives from Unknown to True', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const job = await scenario.jobOf(run)
    const first = await scenario.reaches(run, 'Pending')
    expect(conditionOf(first)).toMatchObject({ status: 'Unknown', observedGeneration: 1 })
    expect(first.status).toMatchObject({ phase: 'Pending', jobName: job.metadata?.name, observedGeneration: 1 })

    const pod = await kubelet.run(await kubelet.createPod(job))
    const running = await scenario.reaches(run, 'Running')
    expect(running.status).toMatchObject({ phase: 'Running', attempts: 1, attempt: pod.metadata?.name })
    expect(running.status?.conditions).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: 'Reconciling', status: 'True' }),
        expect.objectContaining({ type: 'Stalled', status: 'False' }),
      ]),
    )

    await finish(job, pod)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status).toMatchObject({
      phase: 'Succeeded',
      progress: { rows: 5_000_000, percent: 100, display: '100%', size: '300 MiB' },
      artifact: { path: 'test/orders/attempt', manifestSHA256: 'a'.repeat(64), rows: 5_000_000, objects: 1 },
    })
    expect(done.status?.completionTime).toBeDefined()
    expect(await scenario.told(run, 'Succeeded')).toBe('5000000 rows, 1 GiB (300 MiB stored) in 14.2 s')
    expect(await scenario.eventsOf(run)).toEqual(['RunStarted', 'Succeeded'])
  })

  it('gives its Job the configuration that the engine reads, and no secret', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const job = await scenario.jobOf(run)
    const name = job.spec?.template.spec?.volumes?.find((volume) => volume.name === 'config')?.configMap?.name ?? ''
    const { data } = await cluster.client.get(CONFIG_MAPS, { namespace, name })
    const config = parseRunConfig(data?.['run.json'] ?? '')
    expect(config).toMatchObject({
      kind: 'Dump',
      uid: run.metadata.uid,
      path: `${namespace}/orders-${run.metadata.uid.slice(0, 8)}`,
    })
  })

  it('lets its Job expire only after the result was recorded', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders', { job: { ttlSecondsAfterFinished: 77 } }))
    const { job, pod } = await started(run)
    expect(job.spec?.ttlSecondsAfterFinished).toBeUndefined()
    await finish(job, pod)
    await scenario.reaches(run, 'Succeeded')
    await eventually('the Job has a time to live', async () => {
      const { spec } = await cluster.client.get(JOBS, { namespace, name: job.metadata?.name ?? '' })
      return spec?.ttlSecondsAfterFinished === 77
    })
  })

  it('fails at once, by the reason of the engine, when a retry cannot help', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await kubelet.finish(pod, failedWith(pod, 'POSTGRES_AUTHENTICATION', false))
    await kubelet.failJob(job, 'PodFailurePolicy')
    await eventually('the run has failed', async () => (await scenario.read(run)).status?.phase === 'Failed')
    const { status } = await scenario.read(run)
    expect(status?.conditions).toEqual([
      expect.objectContaining({
        type: 'Succeeded',
        status: 'False',
        reason: 'AuthenticationFailed',
        message: 'POSTGRES_AUTHENTICATION as the engine tells it',
      }),
      expect.objectContaining({ type: 'Reconciling', status: 'False' }),
      expect.objectContaining({ type: 'Stalled', status: 'True', reason: 'AuthenticationFailed' }),
    ])
    expect(await scenario.told(run, 'Failed')).toContain('AuthenticationFailed: ')
  })

  it('retries what can pass, and tells of both attempts', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await kubelet.finish(pod, failedWith(pod, 'STORE_UNREACHABLE', true))
    const retrying = await scenario.reaches(run, 'Retrying')
    expect(retrying.status?.lastFailure).toMatchObject({ attempt: pod.metadata?.name, reason: 'StoreUnreachable' })

    const second = await started(run)
    const running = await scenario.read(run)
    expect(running.status).toMatchObject({ attempts: 2, attempt: second.pod.metadata?.name })
    expect(conditionOf(running)?.message).toContain('attempt 2 of 4')
    await finish(job, second.pod)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status?.lastFailure?.reason).toBe('StoreUnreachable')
    expect(await scenario.told(run, 'AttemptFailed')).toContain('StoreUnreachable')
  })

  it('goes on under a new attempt when its pod was deleted', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await deletePod(pod)
    await scenario.reaches(run, 'Pending')
    const second = await started(run)
    await finish(job, second.pod)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status).toMatchObject({ attempts: 2, attempt: second.pod.metadata?.name })
  })

  it('is not done again when its Job was deleted after success', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await finish(job, pod)
    const done = await scenario.reaches(run, 'Succeeded')
    await deleteJob(job)
    await operator.stop()
    operator = cluster.startOperator(namespace)
    // Another run that is served to its Job proves that the operator has looked at everything.
    await scenario.jobOf(await scenario.create(DUMPS, dump(namespace, 'other')))
    const items = await scenario.jobs()
    expect(items.map(({ metadata }) => metadata?.ownerReferences?.[0]?.name)).toEqual(['other'])
    expect((await scenario.read(run)).status).toEqual(done.status)
  })

  it('is done again under the next name when its Job was deleted before the end', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await deletePod(pod)
    await deleteJob(job)
    const next = await eventually('a second Job', async () => {
      const items = await scenario.jobs()
      return items.find(({ metadata }) => metadata?.name === `${job.metadata?.name}-2`)
    })
    expect(next.spec?.backoffLimit).toBe(2)
    const second = await kubelet.run(await kubelet.createPod(next))
    await finish(next, second)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status).toMatchObject({ jobName: next.metadata?.name, attempts: 2 })
  })

  it('is finished by an operator that was away when its Job ended', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await operator.stop()
    await finish(job, pod)
    operator = cluster.startOperator(namespace)
    await scenario.reaches(run, 'Succeeded')
    expect(await scenario.told(run, 'Succeeded')).toContain('5000000 rows')
  })

  it('is suspended and goes on', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job } = await started(run)
    await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: true } })
    await scenario.reaches(run, 'Suspended')
    const jobSuspend = async () =>
      (await cluster.client.get(JOBS, { namespace, name: job.metadata?.name ?? '' })).spec?.suspend
    await eventually('the Job is suspended', async () => (await jobSuspend()) === true)
    await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
    await eventually('the Job goes on', async () => (await jobSuspend()) === false)
    await scenario.told(run, 'Resumed')
    expect(await scenario.eventsOf(run)).toEqual(expect.arrayContaining(['RunStarted', 'Suspended', 'Resumed']))
  })

  it('that is created suspended has no Job until it is resumed', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders', { suspend: true }))
    await scenario.reaches(run, 'Suspended')
    expect(await scenario.jobs()).toEqual([])
    await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
    await scenario.jobOf(run)
  })

  it('says which Secret is missing, and goes on when it is there', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const job = await scenario.jobOf(run)
    const pod = await kubelet.createPod(job)
    await kubelet.warn(
      pod,
      'FailedMount',
      'MountVolume.SetUp failed for volume "database" : secret "orders-app" not found',
    )
    const waiting = await scenario.reaches(run, 'SecretNotFound')
    expect(conditionOf(waiting)).toMatchObject({
      status: 'Unknown',
      message: expect.stringContaining('Secret orders-app'),
    })
    await scenario.told(run, 'SecretNotFound')
    await kubelet.run(pod)
    await finish(job, pod)
    await scenario.reaches(run, 'Succeeded')
  })

  it('fails, and ends its Job, when no pod could start in time', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders', { job: { pendingDeadlineSeconds: 10 } }))
    const job = await scenario.jobOf(run)
    const pod = await kubelet.createPod(job)
    await kubelet.patchPod(pod, {
      conditions: [
        { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes: Insufficient memory' },
      ],
    })
    await scenario.reaches(run, 'Unschedulable')
    const failed = await eventually('the run has failed', async () => {
      const now = await scenario.read(run)
      return now.status?.phase === 'Failed' && now
    })
    expect(conditionOf(failed)).toMatchObject({
      reason: 'PendingDeadlineExceeded',
      message: expect.stringContaining('Insufficient memory'),
    })
    await eventually('the Job is suspended', async () => {
      return (await cluster.client.get(JOBS, { namespace, name: job.metadata?.name ?? '' })).spec?.suspend
    })
    await deletePod(pod)
    await eventually('the Job is gone', () => isGone(JOBS, { namespace, name: job.metadata?.name ?? '' }))
  }, 30_000)

  it('fails with the words of the API server when no Job can be made of its spec', async () => {
    const run = await scenario.create(
      DUMPS,
      dump(namespace, 'orders', { job: { resources: { limits: { memory: 'much' } } } }),
    )
    const failed = await scenario.reaches(run, 'InvalidSpec')
    expect(conditionOf(failed)).toMatchObject({
      status: 'False',
      message: expect.stringContaining('quantities must match'),
    })
  })

  it('with a name of 253 characters gets a Job', async () => {
    const name = `${`${'a'.repeat(60)}.`.repeat(5).slice(0, 252)}b`
    const run = await scenario.create(DUMPS, dump(namespace, name))
    const { job, pod } = await started(run)
    expect(pod.metadata?.name?.length).toBeLessThanOrEqual(63)
    await finish(job, pod)
    await scenario.reaches(run, 'Succeeded')
  })
})

const bySource: Partial<RestoreRun['spec']> = {
  source: {
    s3: { endpoint: 'http://minio:9000', bucket: 'backups', credentialsSecretRef: { name: 'm' } },
    path: 'a/b',
  },
}

describe('a restore', () => {
  it('waits for its dump and reads what the dump has written', async () => {
    const run = await scenario.create(RESTORES, restore(namespace, 'copy'))
    await scenario.reaches(run, 'DumpNotFound')
    const source = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(source)
    await scenario.reaches(run, 'DumpNotSucceeded')
    await finish(job, pod, succeeded(pod, 'test/orders/one'))
    const own = await started(run)
    const name = own.job.spec?.template.spec?.volumes?.find((volume) => volume.name === 'config')?.configMap?.name ?? ''
    const { data } = await cluster.client.get(CONFIG_MAPS, { namespace, name })
    expect(parseRunConfig(data?.['run.json'] ?? '')).toMatchObject({
      kind: 'Restore',
      path: 'test/orders/one',
      manifestSHA256: 'a'.repeat(64),
      source: { type: 'S3', bucket: 'backups' },
      mode: 'Append',
    })
    await finish(own.job, own.pod)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status?.artifact?.rows).toBe(5_000_000)
  })

  it('fails when its dump has failed', async () => {
    const source = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(source)
    await kubelet.finish(pod, failedWith(pod, 'POSTGRES_AUTHENTICATION', false))
    await kubelet.failJob(job, 'PodFailurePolicy')
    const run = await scenario.create(RESTORES, restore(namespace, 'copy'))
    const failed = await scenario.reaches(run, 'DumpFailed')
    expect(conditionOf(failed)?.message).toContain('AuthenticationFailed')
  })

  it('that adds rows is done again when its Job was deleted: its ledger row tells what was committed', async () => {
    const run = await scenario.create(RESTORES, restore(namespace, 'copy', bySource))
    const { job, pod } = await started(run)
    await deletePod(pod)
    await deleteJob(job)
    const next = await eventually('a second Job', async () =>
      (await scenario.jobs()).find(({ metadata }) => metadata?.name === `${job.metadata?.name}-2`),
    )
    await finish(next, await kubelet.run(await kubelet.createPod(next)))
    await scenario.reaches(run, 'Succeeded')
  })

  /** Its pod is gone before anybody has read the result. */
  async function loseResult(mode: 'Append' | 'Truncate'): Promise<{ run: RestoreRun; job: Job }> {
    const run = await scenario.create(RESTORES, restore(namespace, 'copy', { ...bySource, mode }))
    const { job, pod } = await started(run)
    await operator.stop()
    await finish(job, pod)
    await deletePod(pod)
    operator = cluster.startOperator(namespace)
    return { run, job }
  }

  it('that adds rows asks its ledger when its pod was gone before its result was read', async () => {
    const { run, job } = await loseResult('Append')
    const next = await eventually('a second Job', async () =>
      (await scenario.jobs()).find(({ metadata }) => metadata?.name === `${job.metadata?.name}-2`),
    )
    await finish(next, await kubelet.run(await kubelet.createPod(next)))
    expect((await scenario.reaches(run, 'Succeeded')).status).toMatchObject({
      attempts: 2,
      jobName: next.metadata?.name,
    })
  })

  it('that empties its tables is not done again unseen when its pod was gone before its result was read', async () => {
    const { run } = await loseResult('Truncate')
    await scenario.reaches(run, 'ResultUnknown')
    expect(await scenario.jobs()).toHaveLength(1)
  })
})

describe('a transfer', () => {
  it('lives from Unknown to True, and tells what it has moved', async () => {
    const run = await scenario.create(TRANSFERS, transfer(namespace, 'move'))
    const { job, pod } = await started(run)
    const name = job.spec?.template.spec?.volumes?.find((volume) => volume.name === 'config')?.configMap?.name ?? ''
    const { data } = await cluster.client.get(CONFIG_MAPS, { namespace, name })
    expect(parseRunConfig(data?.['run.json'] ?? '')).toMatchObject({
      kind: 'Transfer',
      mode: 'Append',
      source: { secretDir: '/etc/pgpack/source' },
      target: { secretDir: '/etc/pgpack/target' },
    })
    await finish(job, pod, withoutArtifact(succeeded(pod)))
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status?.progress).toMatchObject({ rows: 5_000_000, size: '1 GiB', rate: '72.1 MiB/s' })
    expect(done.status?.artifact?.path).toBeUndefined()
    expect(await scenario.told(run, 'Succeeded')).toBe('5000000 rows, 1 GiB in 14.2 s')
  })

  it('that is a DryRun leaves its plan', async () => {
    const run = await scenario.create(TRANSFERS, transfer(namespace, 'move', { runMode: 'DryRun' }))
    const { job, pod } = await started(run)
    await finish(job, pod, { ...withoutArtifact(succeeded(pod)), plan: 'orders → copy' } as RunResult)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status).toMatchObject({ plan: 'orders → copy', phase: 'Succeeded' })
    expect(done.status).not.toHaveProperty('artifact')
  })
})

describe('a dump whose artefact goes with it', () => {
  const FINALIZER = 'pgpack.io/artifact'
  const removal = () =>
    eventually('the Job of the removal', async () =>
      (await scenario.jobs()).find(({ metadata }) => metadata?.name?.includes('-remove-')),
    )
  const done = async (deletionPolicy: 'Retain' | 'Delete' = 'Delete') => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders', { deletionPolicy }))
    const { job, pod } = await started(run)
    await finish(job, pod)
    return scenario.reaches(run, 'Succeeded')
  }

  it('goes when its artefact is removed, by a Job with its own credentials', async () => {
    const run = await done()
    expect(run.metadata.finalizers).toEqual([FINALIZER])
    await cluster.client.delete(DUMPS, run.metadata)
    const job = await removal()
    const { data } = await cluster.client.get(CONFIG_MAPS, { namespace, name: job.metadata?.name ?? '' })
    expect(parseRunConfig(data?.['run.json'] ?? '')).toMatchObject({
      kind: 'Remove',
      path: `${namespace}/orders-${run.metadata.uid.slice(0, 8)}`,
    })
    expect(job.spec?.template.spec?.volumes?.map(({ secret }) => secret?.secretName).filter(Boolean)).toEqual(['minio'])
    const pod = await kubelet.run(await kubelet.createPod(job))
    const removing = await cluster.client.get(DUMPS, run.metadata)
    expect(removing.status?.conditions?.at(-1)).toMatchObject({ type: 'ArtifactRemoved', status: 'Unknown' })
    await kubelet.finish(pod, withoutArtifact(succeeded(pod)))
    await kubelet.completeJob(job)
    await eventually('the dump is gone', () => isGone(DUMPS, run.metadata))
    expect(await scenario.told(run, 'ArtifactRemoved')).toContain('s3://backups/')
    await eventually('no Job is left', async () => (await scenario.jobs()).length === 0)
  })

  it('says which Secret is missing while it waits', async () => {
    const run = await done()
    await cluster.client.delete(DUMPS, run.metadata)
    const pod = await kubelet.createPod(await removal())
    await kubelet.warn(pod, 'FailedMount', 'MountVolume.SetUp failed for volume "store" : secret "minio" not found')
    expect(await scenario.told(run, 'SecretNotFound')).toContain('Secret minio does not exist')
    const { status } = await cluster.client.get(DUMPS, run.metadata)
    expect(status?.conditions?.at(-1)).toMatchObject({ type: 'ArtifactRemoved', reason: 'SecretNotFound' })
  })

  it('is let go when the removal has failed, and says what is left', async () => {
    const run = await done()
    await cluster.client.delete(DUMPS, run.metadata)
    const job = await removal()
    await kubelet.finish(await kubelet.createPod(job), failedWith(await podOf(job), 'STORE_UNREACHABLE', true))
    await kubelet.failJob(job, 'BackoffLimitExceeded')
    await eventually('the dump is gone', () => isGone(DUMPS, run.metadata))
    expect(await scenario.told(run, 'ArtifactNotRemoved')).toMatch(/remove what lies below s3:.*StoreUnreachable/)
  })

  it('ends its attempt before it removes anything', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders', { deletionPolicy: 'Delete' }))
    const { job, pod } = await started(run)
    await cluster.client.delete(DUMPS, run.metadata)
    await eventually('the Job is suspended', async () => {
      return (await cluster.client.get(JOBS, { namespace, name: job.metadata?.name ?? '' })).spec?.suspend
    })
    expect(await scenario.jobs()).toHaveLength(1)
    await kubelet.patchJob(job, { active: 0 })
    await deletePod(pod)
    await removal()
  })

  it('takes it along, or not, as the policy says at the end', async () => {
    const run = await done('Retain')
    expect(run.metadata.finalizers).toBeUndefined()
    const setPolicy = (deletionPolicy: string) =>
      cluster.client.patch(DUMPS, run.metadata, { spec: { deletionPolicy } })
    const finalizers = async () => (await cluster.client.get(DUMPS, run.metadata)).metadata.finalizers ?? []
    await setPolicy('Delete')
    await eventually('it has the finalizer', async () => (await finalizers()).includes(FINALIZER))
    await setPolicy('Retain')
    await eventually('it has none', async () => (await finalizers()).length === 0)
    await setPolicy('Delete')
    await eventually('it has the finalizer again', async () => (await finalizers()).includes(FINALIZER))
    await cluster.client.delete(DUMPS, run.metadata)
    await removal()
    await setPolicy('Retain')
    await eventually('the dump is gone', () => isGone(DUMPS, run.metadata))
  })

  it('does not hold a namespace that is being deleted', async () => {
    const run = await done()
    await cluster.client.delete(NAMESPACES, { name: namespace })
    await cluster.client.delete(DUMPS, run.metadata)
    await eventually('the dump is gone', () => isGone(DUMPS, run.metadata))
  })
})

describe('the Job of a deleted run', () => {
  it('is ended without the garbage collector, which is not there', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(run)
    await cluster.client.delete(DUMPS, run.metadata)
    const now = () => cluster.client.find(JOBS, { namespace, name: job.metadata?.name ?? '' })
    await eventually('the Job is suspended', async () => (await now())?.spec?.suspend)
    await deletePod(pod)
    await eventually('the Job is gone', async () => (await now()) === undefined)
  })

  it('is ended by an operator that was away', async () => {
    const run = await scenario.create(RESTORES, restore(namespace, 'copy', bySource))
    const { job } = await started(run)
    await operator.stop()
    await cluster.client.delete(RESTORES, run.metadata)
    operator = cluster.startOperator(namespace)
    await eventually('the Job is suspended', async () => {
      return (await cluster.client.get(JOBS, { namespace, name: job.metadata?.name ?? '' })).spec?.suspend
    })
  })
})

describe('a re-created run', () => {
  it('of the same name is another run, with another Job', async () => {
    const first: DumpRun = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const { job, pod } = await started(first)
    await finish(job, pod)
    await scenario.reaches(first, 'Succeeded')
    await cluster.client.delete(DUMPS, first.metadata)
    const second = await scenario.create(DUMPS, dump(namespace, 'orders'))
    const other = await scenario.jobOf(second)
    expect(other.metadata?.name).not.toBe(job.metadata?.name)
    await scenario.reaches(second, 'Pending')
  })
})

import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { DUMPS } from '../../../../src/operator/controllers/kinds.ts'
import {
  CONFIG_MAPS,
  JOBS,
  type Job,
  PODS,
  type Pod,
  type Resource,
} from '../../../../src/operator/manager/resources.ts'
import type { Run } from '../../../../src/operator/specs/run.ts'
import type { RunResult } from '../../../../src/run/result.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { eventually, type RunningOperator, TestCluster } from './cluster.ts'
import { Kubelet } from './kubelet.ts'
import { dump } from './manifests.ts'
import { conditionOf, failedWith, Scenario, succeeded } from './scenario.ts'

let cluster: TestCluster
let kubelet: Kubelet
let scenario: Scenario
let operator: RunningOperator

/** Controllers act on all namespaces of their API server. */
async function startWithControllers(): Promise<TestCluster> {
  cluster = await TestCluster.start()
  await cluster.startControllers()
  return cluster
}

useApiServer(startWithControllers, (_, namespace) => {
  kubelet = new Kubelet(cluster.client)
  scenario = new Scenario(cluster, namespace)
  operator = cluster.startOperator(namespace)
})
afterEach(() => operator.stop())

const create = (spec = {}) => scenario.create(DUMPS, dump(scenario.namespace, 'orders', spec))
const pods = async () => (await cluster.client.list(PODS, { namespace: scenario.namespace })).items

/** The pod that the Job controller has made and that waits; it gets a node and runs. */
async function runNext(run: Run): Promise<Pod> {
  // The controller waits 10 s before it replaces a pod that failed.
  const pod = await eventually('a pod waits', async () => (await pods()).find(isWaiting), 30_000)
  await kubelet.bind(pod)
  const running = await kubelet.run(pod)
  await eventually('the run sees it', async () => (await scenario.read(run)).status?.attempt === pod.metadata?.name)
  return running
}

const isWaiting = ({ metadata, status }: Pod): boolean =>
  status?.phase === 'Pending' && metadata?.deletionTimestamp === undefined

/** A pod that was told to end: the engine does, and the kubelet takes the pod away. */
async function endTold(pod: Pod, exitCode: number): Promise<void> {
  const { namespace, name = '' } = pod.metadata ?? {}
  await eventually('the pod is told to end', async () => {
    const { metadata } = await cluster.client.get(PODS, { namespace, name })
    return metadata?.deletionTimestamp !== undefined
  })
  await kubelet.end(pod, { exitCode })
  await cluster.client.delete(PODS, { namespace, name }, { gracePeriodSeconds: 0 })
}

const jobNow = (job: Job) =>
  cluster.client.find(JOBS, { namespace: scenario.namespace, name: job.metadata?.name ?? '' })
const nothingLeft = async (resource: Resource) =>
  (await cluster.client.list(resource, { namespace: scenario.namespace })).items.length === 0

describe('with the Job controller of Kubernetes', () => {
  it('a dump succeeds, its Job expires, and it is not done again', async () => {
    const run = await create({ job: { ttlSecondsAfterFinished: 0 } })
    const pod = await runNext(run)
    await kubelet.finish(pod, succeeded(pod))
    await scenario.reaches(run, 'Succeeded')
    await eventually(
      'the Job and its pods are gone',
      async () => (await nothingLeft(JOBS)) && (await nothingLeft(PODS)),
    )
    await operator.stop()
    operator = cluster.startOperator(scenario.namespace)
    await scenario.jobOf(await scenario.create(DUMPS, dump(scenario.namespace, 'other')))
    expect((await scenario.read(run)).status?.phase).toBe('Succeeded')
    expect(await scenario.jobs()).toHaveLength(1)
  }, 60_000)

  it('a failure that a retry cannot help fails the run at the first attempt', async () => {
    const run = await create()
    const pod = await runNext(run)
    await kubelet.finish(pod, failedWith(pod, 'POSTGRES_AUTHENTICATION', false))
    const failed = await eventually('the run has failed', async () => {
      const now = await scenario.read(run)
      return now.status?.phase === 'Failed' && now
    })
    expect(conditionOf(failed)).toMatchObject({ status: 'False', reason: 'AuthenticationFailed' })
    expect(failed.status?.attempts).toBe(1)
  }, 60_000)

  it('a failure that can pass is retried by a new pod, until the limit', async () => {
    const run = await create({ job: { backoffLimit: 1 } })
    for (const _ of [1, 2]) {
      const pod = await runNext(run)
      await kubelet.finish(pod, failedWith(pod, 'STORE_UNREACHABLE', true))
    }
    const failed = await scenario.reaches(run, 'StoreUnreachable', 30_000)
    expect(failed.status?.attempts).toBe(2)
    expect(conditionOf(failed)).toMatchObject({
      status: 'False',
      message: expect.stringContaining('last of 2 attempts'),
    })
    // Events follow the status.
    await scenario.told(run, 'Failed')
    expect((await scenario.eventsOf(run)).sort()).toEqual(['AttemptFailed', 'AttemptFailed', 'Failed', 'RunStarted'])
  }, 90_000)

  it('suspending ends the pod and uses up no attempt', async () => {
    const run = await create({ job: { backoffLimit: 0 } })
    const pod = await runNext(run)
    await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: true } })
    await endTold(pod, 143)
    await scenario.reaches(run, 'Suspended')
    const job = await scenario.jobOf(run)
    await eventually('the pod is gone', () => nothingLeft(PODS))
    expect((await jobNow(job))?.status?.conditions?.some(({ type }) => type === 'Failed')).toBe(false)
    await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
    const second = await runNext(run)
    await kubelet.finish(second, succeeded(second))
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status?.attempts).toBe(2)
  }, 90_000)

  it('a pod that was deleted is replaced when it has ended, and uses up no attempt', async () => {
    const run = await create({ job: { backoffLimit: 0 } })
    const pod = await runNext(run)
    await cluster.client.delete(PODS, { namespace: scenario.namespace, name: pod.metadata?.name ?? '' })
    await eventually('the run says so', async () =>
      conditionOf(await scenario.read(run))?.message.includes('is ending'),
    )
    expect(await pods()).toHaveLength(1)
    await endTold(pod, 143)
    const second = await runNext(run)
    await kubelet.finish(second, succeeded(second))
    await scenario.reaches(run, 'Succeeded')
  }, 90_000)

  it('a run that took too long fails by its deadline', async () => {
    const run = await create({ job: { activeDeadlineSeconds: 1 } })
    const pod = await runNext(run)
    await endTold(pod, 143)
    await scenario.reaches(run, 'DeadlineExceeded', 30_000)
  }, 60_000)

  it('deleting a run ends its pod, and leaves nothing behind', async () => {
    const run = await create()
    const pod = await runNext(run)
    await cluster.client.delete(DUMPS, run.metadata)
    await endTold(pod, 143)
    for (const resource of [JOBS, PODS, CONFIG_MAPS] as Resource[]) {
      await eventually(`no ${resource.plural} is left`, () => nothingLeft(resource), 30_000)
    }
  }, 60_000)
})

describe('with a garbage collector that stands still, as it does for 30 s when a CRD comes', () => {
  beforeAll(() => cluster.startControllers(['job-controller']), 60_000)

  /** From the deletion of the run to SIGTERM. */
  const untilTold = async (run: Run, pod: Pod): Promise<number> => {
    const from = performance.now()
    await cluster.client.delete(DUMPS, run.metadata)
    await eventually('the pod is told to end', async () => {
      const { metadata } = await cluster.client.get(PODS, {
        namespace: scenario.namespace,
        name: pod.metadata?.name ?? '',
      })
      return metadata?.deletionTimestamp
    })
    return (performance.now() - from) / 1000
  }

  it('deleting a run ends its pod in seconds, and then its Job', async () => {
    const run = await create()
    const pod = await runNext(run)
    expect(await untilTold(run, pod)).toBeLessThan(5)
    await endTold(pod, 143)
    await eventually('no Job is left', () => nothingLeft(JOBS))
  }, 60_000)

  it('deleting a dump with its artefact ends its pod in seconds, and then removes the artefact', async () => {
    const run = await create({ deletionPolicy: 'Delete' })
    const pod = await runNext(run)
    expect(await untilTold(run, pod)).toBeLessThan(5)
    await endTold(pod, 143)
    const remover = await eventually('the removal runs', async () =>
      (await pods()).find(({ metadata }) => metadata?.name?.includes('-remove-')),
    )
    await kubelet.bind(remover)
    const { artifact: _, ...removed } = succeeded(remover) as Extract<RunResult, { outcome: 'Succeeded' }>
    await kubelet.finish(await kubelet.run(remover), removed)
    await eventually('the dump is gone', async () => (await cluster.client.find(DUMPS, run.metadata)) === undefined)
    await eventually('no Job is left', () => nothingLeft(JOBS))
  }, 60_000)
})

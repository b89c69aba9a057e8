import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { DUMPS } from '../../../../src/operator/controllers/kinds.ts'
import { type Clock, systemClock } from '../../../../src/operator/manager/clock.ts'
import { JOBS } from '../../../../src/operator/manager/resources.ts'
import type { DumpRun } from '../../../../src/operator/specs/run.ts'
import { eventually, TestCluster } from './cluster.ts'
import { Kubelet } from './kubelet.ts'
import { dump } from './manifests.ts'
import { Scenario, succeeded } from './scenario.ts'

/** Timers run as ever, and the time of day is what the test says. */
class MovedClock implements Clock {
  /** How often somebody asked since it was moved. */
  readings = 0
  #aheadMs = 0

  now(): number {
    return systemClock.now()
  }

  date(): Date {
    this.readings += 1
    return new Date(systemClock.date().getTime() + this.#aheadMs)
  }

  setTimeout(callback: () => void, ms: number): () => void {
    return systemClock.setTimeout(callback, ms)
  }

  moveTo(seconds: number): void {
    this.#aheadMs = seconds * 1000
    this.readings = 0
  }
}

/** From the deletion on. */
const DEADLINE_S = 600
/** For two visits: there is one every five seconds while something is waited for. */
const VISITS_MS = 20_000

let cluster: TestCluster
let kubelet: Kubelet

beforeAll(async () => {
  cluster = await TestCluster.shared()
  kubelet = new Kubelet(cluster.client)
}, 120_000)
afterAll(() => cluster.stop())

async function setUp() {
  const namespace = await cluster.namespace()
  const scenario = new Scenario(cluster, namespace)
  const clock = new MovedClock()
  const operator = cluster.startOperator(namespace, { clock })
  const run = await scenario.create(DUMPS, dump(namespace, 'orders', { deletionPolicy: 'Delete' }))
  const job = await scenario.jobOf(run)
  const pod = await kubelet.run(await kubelet.createPod(job))
  await scenario.reaches(run, 'Running')
  return { namespace, scenario, clock, operator, run, job, pod }
}

const find = (run: DumpRun) => cluster.client.find(DUMPS, run.metadata)
const removalOf = (scenario: Scenario) =>
  eventually('the Job of the removal', async () =>
    (await scenario.jobs()).find(({ metadata }) => metadata?.name?.includes('-remove-')),
  )

describe('a deleted dump whose artefact cannot be removed', () => {
  it('is held for ten minutes, and let go after them with a word on what is left', async () => {
    const { scenario, clock, operator, run, job, pod } = await setUp()
    await kubelet.finish(pod, succeeded(pod))
    await kubelet.completeJob(job)
    await scenario.reaches(run, 'Succeeded')
    await cluster.client.delete(DUMPS, run.metadata)
    const removal = await removalOf(scenario)
    expect(removal.spec?.activeDeadlineSeconds).toBeGreaterThan(DEADLINE_S)
    // A pod that never comes up: the store's Secret is gone, say.
    await kubelet.createPod(removal)
    clock.moveTo(DEADLINE_S - 120)
    await eventually('the operator has looked twice', async () => clock.readings >= 2, VISITS_MS)
    expect((await find(run))?.metadata.finalizers).toEqual(['pgpack.io/artifact'])

    clock.moveTo(DEADLINE_S + 1)
    await eventually('the dump is gone', async () => (await find(run)) === undefined, VISITS_MS)
    expect(await scenario.told(run, 'ArtifactNotRemoved')).toMatch(
      /^remove what lies below s3:.* yourself; last seen: /,
    )
    await eventually('no Job is left', async () => (await scenario.jobs()).every(({ spec }) => spec?.suspend === true))
    await operator.stop()
  }, 60_000)

  it('is let go as well when its last attempt does not end, and nothing was removed beside it', async () => {
    const { namespace, scenario, clock, operator, run, job } = await setUp()
    await cluster.client.delete(DUMPS, run.metadata)
    await eventually('the Job is suspended', async () => {
      return (await cluster.client.get(JOBS, { namespace, name: job.metadata?.name ?? '' })).spec?.suspend
    })
    clock.moveTo(DEADLINE_S + 1)
    await eventually('the dump is gone', async () => (await find(run)) === undefined, VISITS_MS)
    expect(await scenario.told(run, 'ArtifactNotRemoved')).toContain('the last attempt has to end first')
    expect((await scenario.jobs()).map(({ metadata }) => metadata?.name)).toEqual([job.metadata?.name])
    await operator.stop()
  }, 60_000)
})

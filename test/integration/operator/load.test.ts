import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { waitFor } from '../../cluster/processes.ts'
import { LogNode, Population } from '../../support/operator-load.ts'
import { mountServiceAccount, OperatorProcess, type ServiceAccount } from '../../support/operator-process.ts'
import { installChart, RELEASE } from '../../support/release.ts'
import { RequestCount } from '../../support/request-count.ts'
import { TestCluster } from './controllers/cluster.ts'

/** One page. */
const FINISHED = 90
const RUNNING = 10
/** Reconciles that have nothing to do take less than this together. */
const QUIET_MS = 5_000
/** What a progress line may cost: one write of the status every five seconds. */
const PROGRESS_INTERVAL_S = 5

let cluster: TestCluster
let account: ServiceAccount
let node: LogNode
let population: Population
let operator: OperatorProcess

beforeAll(async () => {
  cluster = await TestCluster.start({ crds: false })
  await installChart(cluster.kubeconfig)
  account = await mountServiceAccount(cluster, RELEASE.namespace, RELEASE.fullname)
  node = await LogNode.start(cluster.client)
  population = await Population.start(cluster)
  await population.addFinished(FINISHED)
}, 120_000)
afterAll(async () => {
  await operator?.kill()
  await population?.stop()
  await node?.stop()
  await account?.remove()
  await cluster?.stop()
})

const CALM_MS = 500

/** Waits until the queues are empty and nothing was added for a moment. */
async function settled(): Promise<void> {
  let adds = -1
  let since = 0
  await waitFor('the operator has nothing to do', 60_000, async () => {
    const metrics = await operator.metrics()
    const now = metrics.sum('workqueue_adds_total')
    if (now !== adds || metrics.sum('workqueue_depth') > 0) since = performance.now()
    adds = now
    return performance.now() - since >= CALM_MS || undefined
  })
}

const verbs = (requests: ReadonlyMap<string, number>, ...names: string[]) =>
  [...requests].filter(([key]) => names.some((name) => key.startsWith(`${name} `)))

describe('an operator with many runs', () => {
  it('starts with one list and one watch of each kind, and asks and writes nothing about finished runs', async () => {
    const count = await RequestCount.start(cluster.kubeconfig)
    const { hostname: host, port } = new URL(cluster.access.getCurrentCluster()?.server ?? '')
    operator = new OperatorProcess({ server: { host, port }, account })
    await operator.says('informers synced')
    await waitFor('all runs were looked at', 30_000, async () => {
      return (await operator.metrics()).sum('controller_runtime_reconcile_total') >= FINISHED || undefined
    })
    await settled()
    const requests = await count.sinceStart()
    const informers = (await operator.metrics()).select('informer_lists_total')
    expect(informers.map(({ value }) => value)).toEqual(informers.map(() => 1))
    expect(verbs(requests, 'LIST').map(([, times]) => times)).toEqual(informers.map(() => 1))
    expect(verbs(requests, 'WATCH')).toHaveLength(informers.length)
    expect(verbs(requests, 'GET', 'POST', 'PUT', 'PATCH', 'DELETE')).toEqual([])
  }, 60_000)

  it('makes few requests for each run that it serves, and no list of pods or Jobs', async () => {
    const count = await RequestCount.start(cluster.kubeconfig)
    const before = await operator.metrics()
    await population.addRunning(RUNNING)
    await settled()
    const after = await operator.metrics()
    const own = after.sum('rest_client_requests_total') - before.sum('rest_client_requests_total')
    // Reads of the run before its Job is made, ConfigMap, Job, status as pending and running, an Event, the log
    expect(own / RUNNING).toBeLessThan(15)
    expect(verbs(await count.sinceStart(), 'LIST').filter(([key]) => !key.endsWith('events'))).toEqual([])
    expect(node.followers).toBe(RUNNING)
  }, 120_000)

  it('writes progress every five seconds at most, and asks nothing while nothing moves', async () => {
    const quiet = await RequestCount.start(cluster.kubeconfig)
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
    expect([...(await quiet.sinceStart())]).toEqual([])

    const count = await RequestCount.start(cluster.kubeconfig)
    const startedAt = performance.now()
    const ticking = setInterval(() => node.tick(), 200)
    try {
      await waitFor('progress is written twice', 60_000, async () => {
        return ((await count.sinceStart()).get('PATCH pgpackdumps/status') ?? 0) >= 2 * RUNNING || undefined
      })
    } finally {
      clearInterval(ticking)
    }
    await settled()
    const intervals = Math.ceil((performance.now() - startedAt) / 1000 / PROGRESS_INTERVAL_S) + 1
    const requests = await count.sinceStart()
    expect(requests.get('PATCH pgpackdumps/status')).toBeLessThanOrEqual(intervals * RUNNING)
    expect([...requests.keys()]).toEqual(['PATCH pgpackdumps/status'])
  }, 120_000)
})

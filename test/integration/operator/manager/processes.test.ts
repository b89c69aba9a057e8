import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { DUMPS } from '../../../../src/operator/controllers/kinds.ts'
import { JOBS, LEASES } from '../../../../src/operator/manager/resources.ts'
import type { DumpRun } from '../../../../src/operator/specs/run.ts'
import { hasEnded, waitFor } from '../../../cluster/processes.ts'
import {
  type LogLine,
  mountServiceAccount,
  OperatorProcess,
  type ServiceAccount,
} from '../../../support/operator-process.ts'
import { type Partition, startPartition } from '../../../support/partition.ts'
import { installChart, RELEASE } from '../../../support/release.ts'
import { TestCluster } from '../controllers/cluster.ts'
import { Kubelet } from '../controllers/kubelet.ts'
import { dump } from '../controllers/manifests.ts'
import { succeeded } from '../controllers/scenario.ts'

/** Short, and long enough for a busy machine; client-go's are 15, 10 and 2. */
const SHORT = ['lease-seconds=6', 'renew-seconds=4', 'retry-seconds=1'].map((flag) => `--leader-election-${flag}`)
const LEASE = { namespace: RELEASE.namespace, name: RELEASE.fullname }
/** Between two new runs: there is always one that an operator is just about to serve. */
const ARRIVAL_MS = 150

let cluster: TestCluster
let account: ServiceAccount
let namespace: string
let server: { host: string; port: number }
let operators: OperatorProcess[]
let partitions: Partition[]

beforeAll(async () => {
  cluster = await TestCluster.shared()
  // The CRDs are there; Helm would not take them for its own.
  await installChart(cluster.kubeconfig, '--set', 'crds.install=false')
  account = await mountServiceAccount(cluster, RELEASE.namespace, RELEASE.fullname)
  server = cluster.address
}, 120_000)
afterAll(async () => {
  await account.remove()
  await cluster.stop()
})
beforeEach(async () => {
  namespace = await cluster.namespace()
  operators = []
  partitions = []
  await cluster.client.delete(LEASES, LEASE)
})
afterEach(async () => {
  await Promise.all(operators.map((operator) => operator.kill()))
  await Promise.all(partitions.map((partition) => partition.stop()))
})

async function partition(): Promise<Partition> {
  const made = await startPartition(server)
  partitions.push(made)
  return made
}

/** As the kubelet starts it, also after it has ended. */
function start(
  identity: string,
  way: { host: string; port: number },
  timing: readonly string[] = SHORT,
): OperatorProcess {
  const election = [
    '--leader-elect',
    `--leader-election-namespace=${LEASE.namespace}`,
    `--leader-election-lease=${LEASE.name}`,
    `--leader-election-identity=${identity}`,
  ]
  const flags = [...election, ...timing, `--namespace=${namespace}`]
  const operator = new OperatorProcess({ server: way, account, flags })
  operators.push(operator)
  return operator
}

/** A leads, and b waits. */
async function startTwo(a: { host: string; port: number }, b: { host: string; port: number }, timing = SHORT) {
  const first = start('a', a, timing)
  await first.says('became leader')
  const second = start('b', b, timing)
  await second.says('new leader')
  return [first, second] as const
}

/** Creates runs one after the other until it is told to stop; their number. */
function arrivals(): { stop(): Promise<number> } {
  let going = true
  let count = 0
  const ended = (async () => {
    while (going) {
      await cluster.client.create(DUMPS, dump(namespace, `run-${count}`) as DumpRun)
      count++
      await new Promise((resolve) => setTimeout(resolve, ARRIVAL_MS))
    }
  })()
  return {
    async stop() {
      going = false
      await ended
      return count
    },
  }
}

/** Waits until every run has its Job; fails where one has two, or where status and Job do not agree. */
async function expectOneJobEach(runs: number): Promise<void> {
  await waitFor(`${runs} runs are served`, 90_000, async () => {
    const { items } = await cluster.client.list(DUMPS, { namespace })
    return items.filter(({ status }) => status?.jobName !== undefined).length === runs || undefined
  })
  const [{ items: dumps }, { items: jobs }] = await Promise.all([
    cluster.client.list(DUMPS, { namespace }),
    cluster.client.list(JOBS, { namespace }),
  ])
  const jobOf = new Map(jobs.map((job) => [job.metadata?.ownerReferences?.[0]?.uid, job.metadata?.name]))
  expect(jobs).toHaveLength(runs)
  for (const { metadata, status } of dumps) expect(jobOf.get(metadata.uid)).toBe(status?.jobName)
}

const timeOf = (line: LogLine): number => Date.parse(String(line['time']))

describe('two operators, each a process of its own', () => {
  it('make one Job for each run when the leader is cut off, again and again, and what it had sent arrives late', async () => {
    const ways = [await partition(), await partition()] as const
    let [leader, standby] = await startTwo(...ways)
    let [near, far] = ways
    const arriving = arrivals()
    for (const round of [1, 2]) {
      near.cut()
      const began = await standby.says('became leader')
      near.heal()
      expect(await leader.ended).toBe(1)
      const [stopped] = leader.said('controllers stop')
      expect(stopped).toMatchObject({ lostLeadership: true })
      expect(timeOf(stopped as LogLine)).toBeLessThan(timeOf(began))
      const restarted = start(`after-${round}`, near)
      await restarted.says('new leader')
      ;[leader, standby] = [standby, restarted]
      ;[near, far] = [far, near]
    }
    await expectOneJobEach(await arriving.stop())
  }, 300_000)

  it('make one Job for each run when the leader stood still for longer than its lease', async () => {
    const [a, b] = await startTwo(server, server)
    const arriving = arrivals()
    await waitFor('a is at work', 10_000, async () => {
      return (await cluster.client.list(JOBS, { namespace })).items.length > 5 || undefined
    })
    a.child.kill('SIGSTOP')
    await b.says('became leader')
    a.child.kill('SIGCONT')
    expect(await a.ended).toBe(1)
    await expectOneJobEach(await arriving.stop())
  }, 180_000)

  it('hand over within seconds when the leader is told to stop, with the default lease of 15 s', async () => {
    const [a, b] = await startTwo(server, server, [])
    const arriving = arrivals()
    const stoppedAt = Date.now()
    expect(await a.stop()).toBe(0)
    const began = await b.says('became leader')
    expect(timeOf(began) - stoppedAt).toBeLessThan(10_000)
    const [stopped] = a.said('controllers stopped')
    const [released] = a.said('released leadership')
    expect(timeOf(stopped as LogLine)).toBeLessThanOrEqual(timeOf(released as LogLine))
    expect(timeOf(released as LogLine)).toBeLessThanOrEqual(timeOf(began))
    await expectOneJobEach(await arriving.stop())
  }, 180_000)
})

describe('an operator whose API server is away', () => {
  it('ends for lack of its lease, is healthy and not ready while it starts, and goes on by itself', async () => {
    const way = await partition()
    const first = start('a', way)
    await first.says('became leader')
    way.cut()
    expect(await first.ended).toBe(1)
    expect(first.lines.at(-1)?.msg).toContain('LEADERSHIP_LOST')

    const second = start('a', way)
    await second.says('list or watch failed')
    expect(await second.get('/healthz')).toMatchObject({ code: 200 })
    expect(await second.get('/readyz')).toMatchObject({ code: 503, text: expect.stringContaining('not synced') })
    const run = await cluster.client.create(DUMPS, dump(namespace, 'waits') as DumpRun)
    way.heal()
    await waitFor('the run is served', 60_000, async () => {
      const { status } = await cluster.client.get(DUMPS, run.metadata)
      return status?.jobName
    })
    expect(await second.get('/readyz')).toMatchObject({ code: 200 })
    expect(hasEnded(second.child)).toBe(false)
  }, 120_000)
})

describe("an operator's log", () => {
  it('is one line of JSON for each step of a run, which one search for its uid finds', async () => {
    const operator = start('a', server)
    const { metadata } = await cluster.client.create(DUMPS, dump(namespace, 'traced') as DumpRun)
    const kubelet = new Kubelet(cluster.client)
    const job = await waitFor('a Job', 30_000, async () => (await cluster.client.list(JOBS, { namespace })).items[0])
    const pod = await kubelet.run(await kubelet.createPod(job))
    await kubelet.finish(pod, succeeded(pod))
    await kubelet.completeJob(job)
    const trace = () => operator.said('run moved on').filter(({ uid }) => uid === metadata.uid)
    await waitFor(
      'the end is told',
      30_000,
      async () => trace().some(({ reason }) => reason === 'Succeeded') || undefined,
    )
    for (const line of trace()) expect(line).toMatchObject({ level: 'info', namespace, name: 'traced' })
    expect(trace().at(-1)).toMatchObject({ attempt: pod.metadata?.name, jobName: job.metadata?.name })
    expect(trace().map(({ reason }) => reason)).toEqual(expect.arrayContaining(['RunStarted', 'Succeeded']))
  }, 60_000)

  it('is silent below the level that is asked for', async () => {
    const way = await partition()
    const operator = start('a', way, [...SHORT, '--log-level=error'])
    await waitFor('it leads', 30_000, async () => {
      return (await cluster.client.find(LEASES, LEASE))?.spec?.holderIdentity === 'a' || undefined
    })
    expect(await operator.stop()).toBe(0)
    expect(operator.lines).toEqual([])
  }, 60_000)
})

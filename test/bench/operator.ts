/**
 * `npm run bench:operator`: the operator's memory, the time of its reconciles and its requests to the API server, with
 * many runs, on a real API server and etcd, the kubelet played by hand.
 *
 * `-- --finished 1000 --running 50 --idle 60` gives the runs, and the seconds that memory and requests are watched for.
 * The exit code is 1 where a bound of the README does not hold.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { waitFor } from '../cluster/processes.ts'
import { TestCluster } from '../integration/operator/controllers/cluster.ts'
import { LogNode, Population, RequestCount } from '../support/operator-load.ts'
import { mountServiceAccount, OperatorProcess, residentBytes } from '../support/operator-process.ts'
import type { Samples } from '../support/prometheus.ts'
import { installChart, RELEASE, type Rendered, renderChart } from '../support/release.ts'

const MIB = 1024 ** 2
/** Above a Node that does nothing, with all runs in the caches. */
const MEMORY_LIMIT_MIB = 80
const RECONCILE_LIMIT_S = 0.05
const RECONCILE = 'controller_runtime_reconcile_time_seconds'

const { values } = parseArgs({
  options: {
    finished: { type: 'string', default: '1000' },
    running: { type: 'string', default: '50' },
    idle: { type: 'string', default: '60' },
  },
})
const finished = Number(values.finished)
const running = Number(values.running)
const idleMs = Number(values.idle) * 1000

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** What happened between two scrapes. */
interface Phase {
  readonly name: string
  readonly reconciles: number
  /** Upper bounds of the histogram's buckets, in seconds. */
  readonly median: number
  readonly p99: number
  /** Of a single request to the API server, most of which a reconcile waits for. */
  readonly requestP99: number
  readonly requests: ReadonlyMap<string, number>
}

/** @param before undefined where the operator only starts */
async function phase(
  name: string,
  kubeconfig: string,
  before: Samples | undefined,
  play: () => Promise<OperatorProcess>,
): Promise<Phase> {
  const count = await RequestCount.start(kubeconfig)
  const after = await (await play()).metrics()
  const reconciles = after.sum(`${RECONCILE}_count`) - (before?.sum(`${RECONCILE}_count`) ?? 0)
  const quantile = (q: number): number => after.quantile(RECONCILE, q, {}, before)
  const requestP99 = after.quantile('rest_client_request_duration_seconds', 0.99, {}, before)
  return {
    name,
    reconciles,
    median: quantile(0.5),
    p99: quantile(0.99),
    requestP99,
    requests: await count.sinceStart(),
  }
}

async function bareNodeBytes(): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, ['--eval', 'setInterval(() => undefined, 1e6)'])
  await pause(2_000)
  const bytes = await residentBytes(child.pid ?? 0)
  child.kill('SIGKILL')
  return bytes
}

interface Deployment extends Rendered {
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly [{ readonly env: readonly Variable[] }] } }
  }
}

interface Variable {
  readonly name: string
  readonly value?: string
}

/** What image and chart set for the process: its memory depends on it. */
async function podEnvironment(): Promise<Record<string, string>> {
  const dockerfile = await readFile(join(import.meta.dirname, '../../Dockerfile'), 'utf8')
  const [, block = ''] = /^ENV ((?:.*\\\n)*.*)$/m.exec(dockerfile) ?? []
  const image = [...block.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value] as const)
  const deployment = (await renderChart<Deployment>()).find(({ kind }) => kind === 'Deployment')
  const chart = deployment?.spec.template.spec.containers[0].env ?? []
  return Object.fromEntries([...image, ...chart.flatMap(({ name, value }) => (value ? [[name, value] as const] : []))])
}

async function settled(operator: OperatorProcess): Promise<void> {
  await waitFor('all runs were looked at', 120_000, async () => {
    const metrics = await operator.metrics()
    const seen = metrics.sum('controller_runtime_reconcile_total') >= finished
    return (seen && metrics.sum('workqueue_depth') === 0) || undefined
  })
}

async function measure(cluster: TestCluster): Promise<{ phases: Phase[]; bare: number; resident: number[] }> {
  const { kubeconfig, client } = cluster
  await installChart(kubeconfig)
  const account = await mountServiceAccount(cluster, RELEASE.namespace, RELEASE.fullname)
  const node = await LogNode.start(client)
  const population = new Population(cluster, await cluster.namespace())
  say(`${finished} finished runs are being made, with their Jobs and pods`)
  await population.addFinished(finished)
  const { hostname: host, port } = new URL(cluster.access.getCurrentCluster()?.server ?? '')
  const entry = join(import.meta.dirname, '../../dist/main.js')
  const bare = await bareNodeBytes()
  const env = await podEnvironment()
  const ticking = setInterval(() => node.tick(), 1_000)
  let started: OperatorProcess | undefined
  try {
    const start = await phase('start', kubeconfig, undefined, async () => {
      started = new OperatorProcess({ server: { host, port }, account, entry, env })
      await started.says('informers synced', 120)
      await settled(started)
      return started
    })
    const operator = started as unknown as OperatorProcess
    let runs: Awaited<ReturnType<Population['addRunning']>> = []
    const arrive = await phase(`${running} runs arrive`, kubeconfig, await operator.metrics(), async () => {
      runs = await population.addRunning(running)
      await population.reachRunning(runs)
      return operator
    })
    const resident: number[] = []
    const idle = await phase(`${running} run, ${idleMs / 1000} s`, kubeconfig, await operator.metrics(), async () => {
      const end = performance.now() + idleMs
      while (performance.now() < end) {
        await pause(1_000)
        resident.push(await operator.residentBytes())
      }
      return operator
    })
    const end = await phase(`${running} runs end`, kubeconfig, await operator.metrics(), async () => {
      await population.finish(runs)
      return operator
    })
    return { phases: [start, arrive, idle, end], bare, resident }
  } finally {
    clearInterval(ticking)
    await started?.stop()
    await node.stop()
    await account.remove()
  }
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

const cluster = await TestCluster.start({ crds: false })
try {
  const { phases, bare, resident } = await measure(cluster)
  const above = resident.map((bytes) => (bytes - bare) / MIB)
  const median = above.toSorted((left, right) => left - right)[above.length >> 1] ?? Number.NaN
  const milliseconds = (seconds: number): string => `<= ${seconds * 1000} ms`
  say('')
  say(
    table([
      ['phase', 'reconciles', 'median', 'p99', 'p99 of one request'],
      ...phases.map(({ name, reconciles, median: middle, p99, requestP99 }) => {
        return [name, String(reconciles), milliseconds(middle), milliseconds(p99), milliseconds(requestP99)]
      }),
    ]),
  )
  say('\nrequests that the API server counted, this benchmark’s own included where runs arrive and end:\n')
  const keys = [...new Set(phases.flatMap(({ requests }) => [...requests.keys()]))].sort()
  say(
    table([
      ['request', ...phases.map(({ name }) => name)],
      ...keys.map((key) => [key, ...phases.map(({ requests }) => String(requests.get(key) ?? 0))]),
    ]),
  )
  const highest = Math.max(...above)
  say(
    `\nresident memory above a bare Node (${(bare / MIB).toFixed(0)} MiB), with ${finished} finished and ${running} running:`,
  )
  say(`  median ${median.toFixed(0)} MiB, highest ${highest.toFixed(0)} MiB; the bound is ${MEMORY_LIMIT_MIB} MiB`)
  const slow = phases.filter(({ p99 }) => p99 > RECONCILE_LIMIT_S).map(({ name }) => name)
  say(`  reconcile p99: ${slow.length === 0 ? 'within' : `above, while: ${slow.join(', ')};`} the bound of 50 ms`)
  if (highest > MEMORY_LIMIT_MIB || slow.length > 0) process.exitCode = 1
} finally {
  await cluster.stop()
}

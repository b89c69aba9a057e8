/**
 * `npm run bench:operator`: the operator's memory, the time of its reconciles and its requests to the API server, with
 * many runs, on a real API server and etcd, the kubelet played by hand.
 *
 * `-- --finished 1000 --running 50 --idle 60 --workers 2` gives the runs, the seconds that memory and progress are watched
 * for, and the operator's workers. `--write` writes docs/operator-load.md. The exit code is 1 where a bound of the issue
 * does not hold.
 */
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startBound, stop, waitFor } from '../cluster/processes.ts'
import { TestCluster } from '../integration/operator/controllers/cluster.ts'
import { LogNode, Population } from '../support/operator-load.ts'
import { mountServiceAccount, OperatorProcess, residentBytes } from '../support/operator-process.ts'
import { installChart, RELEASE, type Rendered, renderChart } from '../support/release.ts'
import { imageEnvironment, ROOT } from './child.ts'
import { type OperatorReport, page, slowPhases, writePage } from './operator-page.ts'
import { Phases } from './operator-phases.ts'

const MIB = 1024 ** 2
/** Above a Node that does nothing, with all runs in the caches. */
const MEMORY_LIMIT_MIB = 80
const RECONCILE_LIMIT_MS = 50
/** Engines print once a second, each at a time of its own. */
const SHARES = 20

const { values } = parseArgs({
  options: {
    finished: { type: 'string', default: '1000' },
    running: { type: 'string', default: '50' },
    idle: { type: 'string', default: '60' },
    workers: { type: 'string', default: '2' },
    write: { type: 'boolean', default: false },
  },
})
const finished = Number(values.finished)
const running = Number(values.running)
const idleMs = Number(values.idle) * 1000

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function bareNodeBytes(): Promise<number> {
  const script = 'setInterval(() => undefined, 1e6); console.log("up")'
  const child = startBound(process.execPath, ['--eval', script], ['ignore', 'pipe', 'inherit'])
  if (child.stdout !== null) await once(child.stdout, 'data')
  const bytes = await residentBytes(child.pid ?? 0)
  await stop(child, 0)
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
  const deployment = (await renderChart<Deployment>()).find(({ kind }) => kind === 'Deployment')
  const chart = deployment?.spec.template.spec.containers[0].env ?? []
  const set = chart.flatMap(({ name, value }) => (value ? [[name, value] as const] : []))
  return { ...imageEnvironment(), ...Object.fromEntries(set) }
}

async function settled(operator: OperatorProcess): Promise<void> {
  await operator.says('informers synced', 120)
  await waitFor('all runs were looked at', 120_000, async () => {
    const metrics = await operator.metrics()
    const seen = metrics.sum('controller_runtime_reconcile_total') >= finished
    return (seen && metrics.sum('workqueue_depth') === 0) || undefined
  })
}

/** Resident memory each second, in bytes. */
async function watchMemory(operator: OperatorProcess): Promise<number[]> {
  const resident: number[] = []
  for (const end = performance.now() + idleMs; performance.now() < end; ) {
    await pause(1_000)
    resident.push(await operator.residentBytes())
  }
  return resident
}

async function play(phases: Phases, operator: OperatorProcess, population: Population, node: LogNode) {
  let runs: Awaited<ReturnType<Population['addRunning']>> = []
  let resident: number[] = []
  await phases.play(`${finished} finished are found at the start`, operator, () => settled(operator))
  await phases.play(`${running} arrive at once`, operator, async () => {
    runs = await population.addRunning(running)
  })
  const ticking = setInterval(() => node.tick(SHARES), 1_000 / SHARES)
  try {
    await phases.play(`${running} run and report progress`, operator, async () => {
      resident = await watchMemory(operator)
    })
  } finally {
    clearInterval(ticking)
  }
  await phases.play(`${running} end at once`, operator, () => population.finish(runs))
  return resident
}

async function measure(cluster: TestCluster): Promise<OperatorReport> {
  await installChart(cluster.kubeconfig)
  const account = await mountServiceAccount(cluster, RELEASE.namespace, RELEASE.fullname)
  const node = await LogNode.start(cluster.client)
  const population = await Population.start(cluster)
  say(`${finished} finished runs are being made, with their Jobs and pods`)
  await population.addFinished(finished)
  const { hostname: host, port } = new URL(cluster.access.getCurrentCluster()?.server ?? '')
  const bare = await bareNodeBytes()
  const phases = new Phases(cluster.kubeconfig)
  const operator = new OperatorProcess({
    server: { host, port },
    account,
    entry: join(ROOT, 'dist/main.js'),
    env: await podEnvironment(),
    flags: ['--log-level=debug', `--workers=${values.workers}`],
  })
  try {
    const resident = await play(phases, operator, population, node)
    const above = resident.map((bytes) => (bytes - bare) / MIB).sort((left, right) => left - right)
    const memory = {
      bareNode: bare / MIB,
      median: above[above.length >> 1] ?? Number.NaN,
      highest: above.at(-1) ?? Number.NaN,
      limit: MEMORY_LIMIT_MIB,
    }
    const [load = 0] = loadavg()
    const workers = Number(values.workers)
    return { finished, running, workers, load, phases: phases.all, memory, limitMs: RECONCILE_LIMIT_MS }
  } finally {
    await operator.stop()
    await phases.stop()
    await population.stop()
    await node.stop()
    await account.remove()
  }
}

const cluster = await TestCluster.start({ crds: false })
try {
  const report = await measure(cluster)
  say(page(report))
  if (values.write) await writePage(report)
  if (report.memory.highest > MEMORY_LIMIT_MIB || slowPhases(report).length > 0) process.exitCode = 1
} finally {
  await cluster.stop()
}

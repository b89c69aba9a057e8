import { spawnSync } from 'node:child_process'
import { HarnessError } from './errors.ts'
import { detectFlavour, ensureCluster, findCluster, removeCluster } from './index.ts'
import { ensurePackages } from './packages.ts'
import { say } from './progress.ts'
import { installOperator } from './quickstart/operator.ts'
import { ensureTools, findTool } from './tools.ts'

const usage = `Usage: npm run cluster -- COMMAND

  up               a cluster that is ready: the one KUBECONFIG names, or kind, or one node on this machine
  image            build the operator's image and make it known to the cluster; prints its reference
  operator         up, and the operator of this checkout at work in it
  status           what cluster there is, its nodes and pods
  kubectl ARGS...  run kubectl in it
  helm ARGS...     run Helm in it
  down             remove the cluster that up has made
  prepare          build what the integration tests need, so that no test waits for it

Settings, by environment variable: KUBECONFIG, PGPACK_CLUSTER, PGPACK_IMAGE, PGPACK_REGISTRY,
PGPACK_CACHE_DIR; see test/cluster/README.md.`

const commands: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  up: async () => {
    const { flavour, kubeconfig } = await ensureCluster()
    say(`cluster (${flavour}) is ready; to use it: export KUBECONFIG=${kubeconfig}`)
    print(kubeconfig)
  },
  image: async () => print(await (await ensureCluster()).loadOperatorImage()),
  operator: async () => installOperator(await ensureCluster()),
  status: async () => {
    const flavour = await detectFlavour()
    const cluster = await findCluster()
    if (cluster === undefined) return print(`${flavour}: not running`)
    print(`${flavour}: ${cluster.kubeconfig}`)
    print(await cluster.kubectl(['get', 'nodes,pods', '--all-namespaces', '--output', 'wide']))
  },
  kubectl: async (args) => passThrough('kubectl', args),
  helm: async (args) => passThrough('helm', args),
  down: removeCluster,
  prepare: async () => {
    await ensurePackages(['openssl', 'pgbouncer'])
    await ensureTools(['etcd', 'helm', 'kube-apiserver', 'kubectl', 'minio'])
  },
}

async function passThrough(tool: 'kubectl' | 'helm', args: string[]): Promise<void> {
  const cluster = await findCluster()
  if (cluster === undefined) {
    throw new HarnessError('CLUSTER_NOT_RUNNING', 'no cluster runs; to start one: npm run cluster -- up')
  }
  const { status } = spawnSync(await findTool(tool), ['--kubeconfig', cluster.kubeconfig, ...args], {
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

const [name = '', ...args] = process.argv.slice(2)
const command = commands[name]
if (command === undefined) {
  say(usage)
  process.exitCode = 2
} else {
  try {
    await command(args)
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error
    say(describe(error))
    process.exitCode = 1
  }
}

/** A failure and what led to it, a line each. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}\ncaused by: ${describe(error.cause)}`
}

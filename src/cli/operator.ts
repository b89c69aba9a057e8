import { hostname } from 'node:os'
import { Command } from 'commander'
import { createLogger, LOG_LEVELS } from '../log.ts'
import {
  type ClusterAccess,
  checkInstallation,
  createInClusterAccess,
  type OperatorOptions,
  runOperator,
  SERVICE_ACCOUNT_DIRECTORY,
} from '../operator/index.ts'
import { parseChoice, parseInteger } from './options.ts'
import { printLine, type Terminal } from './terminal.ts'

interface OperatorFlags {
  readonly jobImage: string
  readonly jobImagePullPolicy: string
  readonly namespace: readonly string[]
  readonly leaderElect: boolean
  readonly leaderElectionNamespace: string
  readonly leaderElectionLease: string
  readonly leaderElectionIdentity: string
  readonly leaderElectionLeaseSeconds: string
  readonly leaderElectionRenewSeconds: string
  readonly leaderElectionRetrySeconds: string
  readonly serviceAccountDirectory: string
  readonly check: boolean
  readonly checkUrl?: string
  readonly healthPort: string
  readonly workers: string
  readonly logLevel: string
}

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const
const MAX_PORT = 65535
const MAX_WORKERS = 64
const MAX_LEASE_SECONDS = 3600

/** `pgpack operator`: the controller manager. In a pod it takes the service account, elsewhere the kubeconfig. */
export function operatorCommand(terminal: Terminal): Command {
  const collect = (value: string, list: readonly string[]) => [...list, value]
  return new Command('operator')
    .description('Run the operator: reconcile PGPackDump, PGPackRestore and PGPackTransfer resources.')
    .requiredOption('--job-image <image>', 'image of the job pods: the one of the operator')
    .option('--job-image-pull-policy <policy>', PULL_POLICIES.join(', '), 'IfNotPresent')
    .option('--namespace <name>', 'namespace to watch; may be given several times; all of them without it', collect, [])
    .option('--leader-elect', 'run as one of several replicas, of which one acts', false)
    .option('--leader-election-namespace <name>', 'namespace of the Lease', 'default')
    .option('--leader-election-lease <name>', 'name of the Lease', 'pgpack-operator')
    .option('--leader-election-identity <name>', 'name of this replica', hostname())
    .option('--leader-election-lease-seconds <n>', 'how long others leave a Lease alone that is not renewed', '15')
    .option('--leader-election-renew-seconds <n>', 'how long the leader tries to renew before it ends; less', '10')
    .option('--leader-election-retry-seconds <n>', 'between two attempts; less again', '2')
    .option('--service-account-directory <path>', 'where token and ca.crt are, in a pod', SERVICE_ACCOUNT_DIRECTORY)
    .option('--health-port <port>', 'port of /healthz, /readyz and /metrics', '8080')
    .option('--check', 'do not run: check that the kinds are served and may be read', false)
    .option('--check-url <url>', 'with --check: where an operator has to answer that it is ready')
    .option('--workers <n>', 'runs reconciled at once, for each kind', '2')
    .option('--log-level <level>', LOG_LEVELS.join(', '), 'info')
    .action(async (flags: OperatorFlags) => {
      const access = await clusterAccess(flags, terminal)
      if (flags.check) await check(flags, access, terminal)
      else await runOperator(optionsOf(flags, access), terminal.signal)
    })
}

function optionsOf(flags: OperatorFlags, access: ClusterAccess): OperatorOptions {
  const election = {
    namespace: flags.leaderElectionNamespace,
    leaseName: flags.leaderElectionLease,
    identity: flags.leaderElectionIdentity,
    leaseDurationMs: parseSeconds('--leader-election-lease-seconds', flags.leaderElectionLeaseSeconds),
    renewDeadlineMs: parseSeconds('--leader-election-renew-seconds', flags.leaderElectionRenewSeconds),
    retryPeriodMs: parseSeconds('--leader-election-retry-seconds', flags.leaderElectionRetrySeconds),
  }
  return {
    access,
    log: createLogger(parseChoice('--log-level', flags.logLevel, LOG_LEVELS)),
    namespaces: flags.namespace,
    job: {
      image: flags.jobImage,
      imagePullPolicy: parseChoice('--job-image-pull-policy', flags.jobImagePullPolicy, PULL_POLICIES),
    },
    ...(flags.leaderElect ? { leaderElection: election } : {}),
    health: { port: parseInteger('--health-port', flags.healthPort, 0, MAX_PORT) },
    workers: parseInteger('--workers', flags.workers, 1, MAX_WORKERS),
  }
}

async function check(flags: OperatorFlags, access: ClusterAccess, terminal: Terminal): Promise<void> {
  const { namespace: namespaces, checkUrl: url } = flags
  const found = await checkInstallation({ access, namespaces, ...(url && { url }) }, terminal.signal)
  for (const line of found) printLine(terminal.stdout, line)
}

/** In milliseconds. */
function parseSeconds(flag: string, text: string): number {
  return parseInteger(flag, text, 1, MAX_LEASE_SECONDS) * 1000
}

async function clusterAccess(flags: OperatorFlags, terminal: Terminal): Promise<ClusterAccess> {
  const host = terminal.env['KUBERNETES_SERVICE_HOST']
  const port = terminal.env['KUBERNETES_SERVICE_PORT']
  if (host !== undefined && port !== undefined) {
    return createInClusterAccess({ host, port, directory: flags.serviceAccountDirectory })
  }
  // Loaded only outside a cluster: it costs 80 MiB of resident memory.
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  config.loadFromDefault()
  return config
}

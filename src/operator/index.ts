import { GROUP } from '../api/v1alpha1/group.ts'
import type { Logger } from '../log.ts'
import { createCachedReader, createCaches, type Informers } from './controllers/caches.ts'
import { createLiveReader, createRunWriter } from './controllers/client.ts'
import { ProgressFollowers } from './controllers/followers.ts'
import { registerInventory } from './controllers/inventory.ts'
import { DUMPS, RESTORES, TRANSFERS } from './controllers/kinds.ts'
import { RunMetrics } from './controllers/metrics.ts'
import { Pacer } from './controllers/pacer.ts'
import { RunReconciler } from './controllers/reconciler.ts'
import { mapDumpToRestores, mapPodToRun } from './controllers/sources.ts'
import type { ClusterAccess } from './manager/access.ts'
import { type Clock, systemClock } from './manager/clock.ts'
import { type Controller, mapToController } from './manager/controller.ts'
import type { LeaderElectionTiming } from './manager/leaderelection.ts'
import { Manager } from './manager/manager.ts'
import type { Resource } from './manager/resources.ts'
import { ENGINE_CONTAINER, type JobSettings } from './specs/job.ts'
import { RUN_LABELS } from './specs/metadata.ts'
import type { Run } from './specs/run.ts'

export { checkInstallation } from './check.ts'
export { createInClusterAccess, SERVICE_ACCOUNT_DIRECTORY } from './manager/access.ts'
export type { ClusterAccess, JobSettings }

export interface OperatorOptions {
  /** createInClusterAccess() in a pod, client-node's KubeConfig elsewhere. */
  readonly access: ClusterAccess
  readonly log: Logger
  /** Namespaces whose runs are reconciled; empty: all of them (which needs a ClusterRole). */
  readonly namespaces: readonly string[]
  /** What is the same for all Jobs: the engine's image, which is the operator's own. */
  readonly job: JobSettings
  /** Left out: this process leads without asking, and must be the only one. */
  readonly leaderElection?: LeaderElectionTiming & {
    /** Where the Lease lies: the operator's own namespace. */
    readonly namespace: string
    readonly leaseName: string
    /** Unique among living processes: the pod's name. */
    readonly identity: string
  }
  /** Of /healthz, /readyz and /metrics; port 0 takes a free one. */
  readonly health: { readonly host?: string; readonly port: number }
  /** Runs reconciled at once, for each kind. Default {@link WORKERS}. */
  readonly workers?: number
  /** Time, which tests move. */
  readonly clock?: Clock
}

/**
 * A reconcile waits for the API server and for little else. Where fifty runs came at once, four workers took 3.1 times as
 * long for one as a single patch, eight 5 times, two 0.8 to 1.7 times, and all were done as soon with two. One alone would
 * wait behind whatever is not answered.
 */
const WORKERS = 2
/**
 * Between two writes of progress, of whichever runs: a patch of a custom resource costs the API server about 8 ms of CPU.
 * Beyond 50 runs each of them writes less often than every five seconds.
 */
const PROGRESS_PAUSE_MS = 100

/**
 * Runs the operator until `signal` is aborted.
 * @throws PgpackError when leadership was lost (the process has to end: another one acts), Error of the health server
 */
export async function runOperator(options: OperatorOptions, signal: AbortSignal): Promise<void> {
  const { access, log, health, leaderElection, clock = systemClock } = options
  const manager = new Manager({
    access,
    name: 'pgpack-operator',
    log,
    health,
    clock,
    ...(leaderElection && { leaderElection }),
  })
  const followers = addControllers(manager, options, clock)
  const stopFollowing = (): void => {
    for (const each of followers) each.stopAll()
  }
  signal.addEventListener('abort', stopFollowing, { once: true })
  try {
    await manager.start(signal)
  } finally {
    stopFollowing()
  }
}

function addControllers(manager: Manager, options: OperatorOptions, clock: Clock): ProgressFollowers[] {
  const caches = createCaches(manager, options.namespaces)
  const metrics = new RunMetrics(manager.metrics.registry)
  registerInventory(manager.metrics.registry, [
    { kind: 'PGPackDump', runs: caches.dumps },
    { kind: 'PGPackRestore', runs: caches.restores },
    { kind: 'PGPackTransfer', runs: caches.transfers },
  ])
  const pacer = new Pacer(clock, PROGRESS_PAUSE_MS)
  const add = <R extends Run>(resource: Resource<R>, kind: R['kind'], runs: Informers<R>) => {
    const followers = createFollowers({ manager, clock, pacer, log: options.log }, (key) => controller.queue.add(key))
    const reconciler = new RunReconciler({
      cache: createCachedReader(caches, kind, runs),
      live: createLiveReader(manager.client, resource),
      writer: createRunWriter(manager.client, options.job),
      followers,
      record: (run, { type, reason, message }) => manager.recorder.event(run, type, reason, message),
      metrics,
      clock,
    })
    const controller: Controller = manager.controller({
      name: resource.plural,
      workers: options.workers ?? WORKERS,
      reconcile: (key, context) => reconciler.reconcile(key, context),
    })
    for (const informer of runs) controller.watch(informer)
    for (const informer of caches.jobs) controller.watch(informer, mapToController(kind, GROUP))
    for (const informer of caches.pods) controller.watch(informer, mapPodToRun(RUN_LABELS[kind]))
    return { controller, followers }
  }
  const dumps = add(DUMPS, 'PGPackDump', caches.dumps)
  const restores = add(RESTORES, 'PGPackRestore', caches.restores)
  const transfers = add(TRANSFERS, 'PGPackTransfer', caches.transfers)
  for (const informer of caches.dumps) restores.controller.watch(informer, mapDumpToRestores(caches.restores))
  return [dumps.followers, restores.followers, transfers.followers]
}

interface FollowerParts {
  readonly manager: Manager
  readonly clock: Clock
  readonly pacer: Pacer
  readonly log: Logger
}

function createFollowers({ manager, ...parts }: FollowerParts, moved: (key: string) => void): ProgressFollowers {
  return new ProgressFollowers({
    ...parts,
    logs: (pod, signal) =>
      // The newest line tells all: a stream opened late, or again, needs none of the older ones.
      manager.client.logs(pod, { container: ENGINE_CONTAINER, follow: true, tailLines: 20, signal }),
    moved,
  })
}

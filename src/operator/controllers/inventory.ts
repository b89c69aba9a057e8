import { Gauge, type Registry } from 'prom-client'
import type { Informer } from '../manager/informer.ts'
import type { Run } from '../specs/run.ts'
import { findCondition } from '../status/conditions.ts'

/** One kind's caches, as the metrics read them. */
export interface RunCache {
  readonly kind: Run['kind']
  readonly runs: readonly Pick<Informer<Run>, 'store'>[]
}

/**
 * What the caches hold, counted at each scrape: right after a restart, and on a standby, too. Runs have no label of
 * their own, as each is another resource and their number has no bound; namespaces and kinds have one.
 */
export function registerInventory(registry: Registry, caches: readonly RunCache[]): void {
  const registers = [registry]
  const runs = new Gauge({
    name: 'pgpack_run_resources',
    help: 'Runs that exist, by phase',
    labelNames: ['kind', 'namespace', 'phase'],
    registers,
    collect: () => {
      runs.reset()
      for (const { kind, namespace, run } of eachRun(caches)) {
        runs.inc({ kind, namespace, phase: run.status?.phase ?? 'Pending' })
      }
    },
  })
  const lastSuccess: Gauge = new Gauge({
    name: 'pgpack_last_success_timestamp_seconds',
    help: 'When a run of the namespace last succeeded that was no DryRun; kept when its resource is deleted',
    labelNames: ['kind', 'namespace'],
    registers,
    collect: () => newest.observe(lastSuccess, caches),
  })
  const newest = new LastSuccesses()
}

/** The newest completion times; a resource that is deleted does not set them back. */
class LastSuccesses {
  readonly #times = new Map<string, number>()

  observe(gauge: Gauge, caches: readonly RunCache[]): void {
    for (const { kind, namespace, run } of eachRun(caches)) {
      const seconds = successTime(run)
      const key = `${kind} ${namespace}`
      if (seconds === undefined || seconds <= (this.#times.get(key) ?? 0)) continue
      this.#times.set(key, seconds)
      gauge.set({ kind, namespace }, seconds)
    }
  }
}

/** In seconds of the epoch. A DryRun has no artefact: to have planned a dump is not to have one. */
function successTime({ status }: Run): number | undefined {
  const { completionTime, artifact } = status ?? {}
  const succeeded = findCondition(status, 'Succeeded')?.status === 'True'
  if (!succeeded || completionTime === undefined || artifact === undefined) return undefined
  return Date.parse(completionTime) / 1000
}

function* eachRun(caches: readonly RunCache[]): Generator<{ kind: Run['kind']; namespace: string; run: Run }> {
  for (const { kind, runs } of caches) {
    for (const { store } of runs) {
      for (const run of store.list()) yield { kind, namespace: run.metadata.namespace, run }
    }
  }
}

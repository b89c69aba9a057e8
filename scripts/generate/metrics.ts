import { type MetricObject, Registry } from 'prom-client'
import { registerInventory } from '../../src/operator/controllers/inventory.ts'
import { RunMetrics } from '../../src/operator/controllers/metrics.ts'
import { ManagerMetrics } from '../../src/operator/manager/metrics.ts'
import { table } from './markdown.ts'

/** prom-client's metrics know their labels, which its types leave out. */
type Metric = MetricObject & { readonly labelNames?: readonly string[] }

/** What prom-client measures of every Node process. */
const PROCESS = /^(process|nodejs)_/

/** The operator's metrics, from the registry that it serves. */
export function operatorMetrics(): Metric[] {
  const { registry } = new ManagerMetrics(new Registry())
  new RunMetrics(registry)
  registerInventory(registry, [])
  return registry.getMetricsAsArray().filter(({ name }) => !PROCESS.test(name))
}

/** docs/reference/metrics.md. */
export function metricsPage(): string {
  const metrics = operatorMetrics()
  const own = metrics.filter(({ name }) => name.startsWith('pgpack_'))
  const rest = metrics.filter((metric) => !own.includes(metric))
  return [
    '# Metrics',
    'The operator serves them at `/metrics` of port 8080, in front of which the chart puts a Service (`metrics.service`). Durations are in seconds, sizes in bytes. No label holds the name of a run: each run is another resource, and their number has no bound.',
    '## Runs',
    'Counters count what this process has seen since its start, so the leader has them; `pgpack_run_resources` and `pgpack_last_success_timestamp_seconds` are read from the caches, so every replica has them from the start.',
    metricsTable(own),
    'No dump of a namespace has succeeded for 26 hours:',
    '    time() - max by (namespace) (pgpack_last_success_timestamp_seconds{kind="PGPackDump"}) > 26 * 3600',
    '## The operator itself',
    "Named and labelled as controller-runtime and client-go name theirs, so that their dashboards work. Beside them are prom-client's `process_*` and `nodejs_*`.",
    metricsTable(rest),
    '## Health',
    '`/healthz` fails when the process has to be restarted: a queue or a reconcile that stands still for 10 minutes, an informer that makes no attempt any more. An API server that is away is no such reason. `/readyz` fails until every cache is filled. `?verbose` lists the checks.',
    '',
  ].join('\n\n')
}

function metricsTable(metrics: readonly Metric[]): string {
  const rows = metrics.toSorted((left, right) => left.name.localeCompare(right.name)).map(rowOf)
  return table(['Metric', 'Type', 'Labels', 'Meaning'], rows)
}

function rowOf({ name, type, labelNames = [], help }: Metric): string[] {
  return [`\`${name}\``, String(type), labelNames.map((label) => `\`${label}\``).join(', '), help]
}

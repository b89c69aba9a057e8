import { Counter, collectDefaultMetrics, exponentialBuckets, Gauge, Histogram, Registry } from 'prom-client'
import type { RequestObserver } from './rest.ts'
import type { WorkQueue, WorkQueueMetrics } from './workqueue.ts'

export type ReconcileResult = 'success' | 'error' | 'requeue_after'

/** What a controller tells about itself; see {@link ManagerMetrics.controller}. */
export interface ControllerMetrics {
  readonly queue: WorkQueueMetrics
  started(): void
  finished(result: ReconcileResult, seconds: number): void
}

/** Why an informer listed or reconnected. */
export type InformerRestart = 'ended' | 'expired' | 'failed' | 'idle' | 'relist'

export interface InformerMetrics {
  listed(): void
  restarted(reason: InformerRestart): void
}

/** From a look at the cache to a slow API server, and close together where one request to it usually lies. */
const RECONCILE_BUCKETS = [
  ...[0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08],
  ...[0.1, 0.15, 0.2, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
]
const QUEUE_BUCKETS = exponentialBuckets(1e-4, 10, 8)

/** The manager's metrics, named and labelled as controller-runtime names them, so that its dashboards work. */
export class ManagerMetrics {
  readonly registry: Registry
  readonly #queues = new Map<string, WorkQueue>()
  readonly #depth: Gauge
  readonly #adds: Counter
  readonly #queueDuration: Histogram
  readonly #workDuration: Histogram
  readonly #retries: Counter
  readonly #reconciles: Counter
  readonly #reconcileErrors: Counter
  readonly #reconcileTime: Histogram
  readonly #activeWorkers: Gauge
  readonly #maxWorkers: Gauge
  readonly #leader: Gauge
  readonly #requests: Counter
  readonly #requestDuration: Histogram
  readonly #lists: Counter
  readonly #restarts: Counter
  readonly #events: Counter

  constructor(registry = new Registry()) {
    this.registry = registry
    collectDefaultMetrics({ register: registry })
    const queue = ['name', 'controller']
    this.#depth = this.#gauge('workqueue_depth', 'Current depth of the work queue', queue)
    this.#adds = this.#counter('workqueue_adds_total', 'Keys added to the work queue', queue)
    this.#queueDuration = this.#histogram('workqueue_queue_duration_seconds', 'Wait for a worker', queue, QUEUE_BUCKETS)
    this.#workDuration = this.#histogram('workqueue_work_duration_seconds', 'Work on a key', queue, QUEUE_BUCKETS)
    this.#retries = this.#counter('workqueue_retries_total', 'Keys added again after a failure', queue)
    this.#registerRunning(queue)
    this.#reconciles = this.#counter('controller_runtime_reconcile_total', 'Reconciliations', ['controller', 'result'])
    this.#reconcileErrors = this.#counter('controller_runtime_reconcile_errors_total', 'Failed reconciliations', [
      'controller',
    ])
    this.#reconcileTime = this.#histogram(
      'controller_runtime_reconcile_time_seconds',
      'Length of a reconciliation',
      ['controller'],
      RECONCILE_BUCKETS,
    )
    this.#activeWorkers = this.#gauge('controller_runtime_active_workers', 'Workers that reconcile', ['controller'])
    this.#maxWorkers = this.#gauge('controller_runtime_max_concurrent_reconciles', 'Workers', ['controller'])
    this.#leader = this.#gauge('leader_election_master_status', 'Whether this process leads', ['name'])
    this.#requests = this.#counter('rest_client_requests_total', 'Requests to the API server', [
      'code',
      'host',
      'method',
    ])
    this.#requestDuration = this.#histogram(
      'rest_client_request_duration_seconds',
      "Until the head of the API server's answer",
      ['host', 'verb'],
      RECONCILE_BUCKETS,
    )
    this.#lists = this.#counter('informer_lists_total', 'Full lists that an informer asked for', ['informer'])
    this.#restarts = this.#counter('informer_watch_restarts_total', 'Ended watches of an informer, by cause', [
      'informer',
      'reason',
    ])
    this.#events = this.#counter('event_recorder_events_total', 'Events by what became of them', ['result'])
  }

  /** The hooks of one controller and its queue. */
  controller(name: string, workers: number): ControllerMetrics {
    const labels = { name, controller: name }
    this.#maxWorkers.set({ controller: name }, workers)
    this.#activeWorkers.set({ controller: name }, 0)
    this.#depth.set(labels, 0)
    return {
      queue: {
        depth: (keys) => this.#depth.set(labels, keys),
        added: () => this.#adds.inc(labels),
        waited: (seconds) => this.#queueDuration.observe(labels, seconds),
        worked: (seconds) => this.#workDuration.observe(labels, seconds),
        retried: () => this.#retries.inc(labels),
      },
      started: () => this.#activeWorkers.inc({ controller: name }),
      finished: (result, seconds) => {
        this.#activeWorkers.dec({ controller: name })
        this.#reconciles.inc({ controller: name, result })
        if (result === 'error') this.#reconcileErrors.inc({ controller: name })
        this.#reconcileTime.observe({ controller: name }, seconds)
      },
    }
  }

  /** Reads the queue's running times whenever the metrics are scraped. */
  observeQueue(name: string, queue: WorkQueue): void {
    this.#queues.set(name, queue)
  }

  informer(name: string): InformerMetrics {
    return {
      listed: () => this.#lists.inc({ informer: name }),
      restarted: (reason) => this.#restarts.inc({ informer: name, reason }),
    }
  }

  leading(lease: string, leads: boolean): void {
    this.#leader.set({ name: lease }, leads ? 1 : 0)
  }

  recordedEvent(result: 'sent' | 'dropped' | 'failed'): void {
    this.#events.inc({ result })
  }

  readonly observeRequest: RequestObserver = (labels, seconds) => {
    this.#requests.inc(labels)
    this.#requestDuration.observe({ host: labels.host, verb: labels.method }, seconds)
  }

  #registerRunning(labelNames: string[]): void {
    const read = (gauge: Gauge, value: (queue: WorkQueue) => number): void => {
      for (const [name, queue] of this.#queues) gauge.set({ name, controller: name }, value(queue))
    }
    this.#gauge('workqueue_unfinished_work_seconds', 'Work in progress, summed over keys', labelNames, (gauge) =>
      read(gauge, (queue) => queue.unfinishedWorkSeconds),
    )
    this.#gauge('workqueue_longest_running_processor_seconds', 'Longest work in progress', labelNames, (gauge) =>
      read(gauge, (queue) => queue.longestRunningSeconds),
    )
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }

  #gauge(name: string, help: string, labelNames: string[], collect?: (gauge: Gauge) => void): Gauge {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      ...(collect === undefined ? {} : { collect: () => collect(gauge) }),
    })
    return gauge
  }

  #histogram(name: string, help: string, labelNames: string[], buckets: number[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] })
  }
}

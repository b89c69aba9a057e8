import { Counter, exponentialBuckets, Histogram, type Registry } from 'prom-client'
import type { RunStatus } from '../../api/v1alpha1/status.ts'
import { findCondition, isFinal } from '../status/conditions.ts'

/** One second to about nine hours. */
const DURATION_BUCKETS = exponentialBuckets(1, 2, 16)

/** What runs did, in Prometheus' conventions: base units, `_total` counters. */
export class RunMetrics {
  readonly #runs: Counter
  readonly #failures: Counter
  readonly #attempts: Counter
  readonly #duration: Histogram
  readonly #rows: Counter
  readonly #bytes: Counter
  readonly #storedBytes: Counter

  constructor(registry: Registry) {
    const registers = [registry]
    const counter = (name: string, help: string, labelNames: string[]): Counter =>
      new Counter({ name, help, labelNames, registers })
    this.#runs = counter('pgpack_runs_total', 'Runs that ended, by outcome', ['kind', 'outcome'])
    this.#failures = counter('pgpack_run_failures_total', 'Failed runs, by reason', ['kind', 'reason'])
    this.#attempts = counter('pgpack_attempt_failures_total', 'Failed attempts, by reason', ['kind', 'reason'])
    this.#rows = counter('pgpack_rows_total', 'Rows moved by runs that succeeded', ['kind'])
    this.#bytes = counter('pgpack_copied_bytes_total', 'Bytes of COPY streams of runs that succeeded', ['kind'])
    this.#storedBytes = counter('pgpack_stored_bytes_total', 'Bytes in the store of runs that succeeded', ['kind'])
    this.#duration = new Histogram({
      name: 'pgpack_run_duration_seconds',
      help: "From the Job's creation to the end of the run",
      labelNames: ['kind', 'outcome'],
      buckets: DURATION_BUCKETS,
      registers,
    })
  }

  /** Counts what a written status tells for the first time. */
  observe(kind: string, before: RunStatus | undefined, after: RunStatus): void {
    const { lastFailure } = after
    if (lastFailure?.attempt !== before?.lastFailure?.attempt) this.#attempts.inc({ kind, reason: lastFailure?.reason })
    if (isFinal(before) || !isFinal(after)) return
    const { status, reason } = findCondition(after, 'Succeeded') ?? {}
    const outcome = status === 'True' ? 'Succeeded' : 'Failed'
    this.#runs.inc({ kind, outcome })
    this.#duration.observe({ kind, outcome }, secondsBetween(after.startTime, after.completionTime))
    if (outcome === 'Failed') this.#failures.inc({ kind, reason })
    const { rows = 0, bytes = 0, storedBytes = 0 } = after.artifact ?? {}
    this.#rows.inc({ kind }, rows)
    this.#bytes.inc({ kind }, bytes)
    this.#storedBytes.inc({ kind }, storedBytes)
  }
}

/** 0 for a run that ended before it had a Job. */
function secondsBetween(start: string | undefined, end: string | undefined): number {
  return start === undefined || end === undefined ? 0 : Math.max(0, (Date.parse(end) - Date.parse(start)) / 1000)
}

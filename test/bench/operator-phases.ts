import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startBound, stop } from '../cluster/processes.ts'
import type { LogLine, OperatorProcess } from '../support/operator-process.ts'
import { RequestCount } from '../support/request-count.ts'

/** Some durations, in milliseconds; NaN where there are none. */
export interface Durations {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** What happened while something was played to the operator. */
export interface Phase {
  readonly name: string
  readonly seconds: number
  readonly reconciles: Durations
  /** Those of them that had something to write, and waited for the API server. */
  readonly writing: Durations
  /** A status patch by a process that does nothing else, at the same time. */
  readonly bare: Durations
  /** The status patches as the API server itself took the time: their mean, and the bucket of the slowest in a hundred. */
  readonly served: { readonly mean: number; readonly p99: number }
  readonly requests: ReadonlyMap<string, number>
}

/** Plays phases, one after the other, and measures what the operator does in each. */
export class Phases {
  readonly all: Phase[] = []
  readonly #kubeconfig: string
  readonly #probe: ChildProcess
  #patches: number[] = []

  constructor(kubeconfig: string) {
    this.#kubeconfig = kubeconfig
    const entry = join(import.meta.dirname, 'patch-probe.ts')
    this.#probe = startBound(process.execPath, [entry, kubeconfig], ['ignore', 'pipe', 'inherit'])
    if (this.#probe.stdout === null) return
    createInterface({ input: this.#probe.stdout }).on('line', (line) => this.#patches.push(Number(line)))
  }

  /** The operator logs at level debug. */
  async play(name: string, operator: OperatorProcess, work: () => Promise<unknown>): Promise<void> {
    const count = await RequestCount.start(this.#kubeconfig)
    const from = operator.lines.length
    this.#patches = []
    const startedAt = performance.now()
    await work()
    const seconds = (performance.now() - startedAt) / 1000
    const lines = operator.lines.slice(from)
    const served = await count.statusSeconds('PATCH', 'pgpack.io', 'pgpackdumps')
    this.all.push({
      name,
      seconds,
      reconciles: durations(timesOf(lines)),
      writing: durations(timesOf(lines, (seen) => seen['written'] === true || seen['action'] !== undefined)),
      bare: durations(this.#patches),
      served: { mean: served.mean * 1000, p99: served.p99 * 1000 },
      requests: await count.sinceStart(),
    })
  }

  stop(): Promise<void> {
    return stop(this.#probe, 0)
  }
}

/** Milliseconds of each reconcile, or of those whose observation is wanted. */
function timesOf(lines: readonly LogLine[], wanted?: (observed: LogLine) => boolean): number[] {
  const observed = new Map<unknown, LogLine>()
  const times: number[] = []
  for (const line of lines) {
    const key = `${line['controller']} ${line['namespace']}/${line['name']}`
    if (line.msg === 'run observed') observed.set(key, line)
    if (line.msg !== 'reconciled') continue
    const seen = observed.get(key)
    observed.delete(key)
    if (wanted === undefined || (seen !== undefined && wanted(seen))) times.push(Number(line['seconds']) * 1000)
  }
  return times
}

function durations(times: readonly number[]): Durations {
  const sorted = times.toSorted((left, right) => left - right)
  const at = (quantile: number): number => sorted[Math.ceil(quantile * sorted.length) - 1] ?? Number.NaN
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN }
}

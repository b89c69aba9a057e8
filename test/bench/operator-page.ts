import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './child.ts'
import type { Durations, Phase } from './operator-phases.ts'

/** What `npm run bench:operator` found. */
export interface OperatorReport {
  readonly finished: number
  readonly running: number
  readonly workers: number
  /** Processes that wanted a CPU, on average over the measurement: more than there are CPUs, and all times are longer. */
  readonly load: number
  readonly phases: readonly Phase[]
  /** Resident memory in MiB. */
  readonly memory: {
    readonly bareNode: number
    readonly median: number
    readonly highest: number
    readonly limit: number
  }
  readonly limitMs: number
}

/** Writes docs/operator-load.md. */
export async function writePage(report: OperatorReport): Promise<void> {
  await writeFile(join(ROOT, 'docs/operator-load.md'), page(report))
}

/** Phases in which more than one reconcile in a hundred took longer than it may. */
export function slowPhases({ phases, limitMs }: OperatorReport): Phase[] {
  return phases.filter(({ reconciles }) => reconciles.p99 > limitMs)
}

export function page(report: OperatorReport): string {
  const { finished, running, workers, load, phases, memory, limitMs } = report
  const [cpu] = cpus()
  const slow = slowPhases(report).map(({ name }) => name)
  const verdict = slow.length === 0 ? 'it holds in every phase' : `it does not hold in: ${slow.join('; ')}`
  return `${[
    '# The operator with many runs',
    'Made by `npm run bench:operator`; not to be edited.',
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} CPUs (${cpu?.model}), load ${load.toFixed(1)}: API server, etcd, operator and benchmark share them. ${finished} runs have finished, ${running} run; ${workers} workers. Pods are played by hand, as fast as five workers of the Job controller would make them.`,
    '## Memory',
    `Resident memory above a Node that does nothing (${memory.bareNode.toFixed(0)} MiB): median ${memory.median.toFixed(0)} MiB, highest ${memory.highest.toFixed(0)} MiB, of at most ${memory.limit} MiB.`,
    '## Time of a reconcile',
    `The bound is ${limitMs} ms for 99 of 100 reconciles: ${verdict}. "Writing" are those that had something to write, and so waited for the API server; a new run takes four requests, one after the other (the run, its Job and its dump are read at once; then ConfigMap, Job, status), any other change one. "Bare patch" is a status patch by a process that does nothing else, of a resource with the same schema that nobody watches, at the same API server at the same time; the ratio says how much longer a writing reconcile takes, and is what to read where the load is above the number of CPUs. "Served" is what the API server itself says that it took for a status patch.`,
    markdown([
      [
        'phase',
        's',
        'reconciles',
        'p50',
        'p99',
        'max',
        'writing',
        'p50',
        'p99',
        'bare patch p50',
        'p99',
        'ratio p50',
        'p99',
        'served: mean',
        'p99',
      ],
      ...phases.map(phaseRow),
    ]),
    'Times are in milliseconds.',
    '## Requests',
    'As the API server counted them, this benchmark’s own included where runs arrive and end (it makes runs, pods and their states). A watch and a log that is followed are one request each.',
    markdown([['request', ...phases.map(({ name }) => name)], ...requestRows(phases)]),
  ].join('\n\n')}\n`
}

function phaseRow({ name, seconds, reconciles, writing, bare, served }: Phase): string[] {
  const ratio = (quantile: 'p50' | 'p99') => (writing[quantile] / bare[quantile]).toFixed(1)
  return [
    name,
    seconds.toFixed(0),
    ...cells(reconciles),
    milliseconds(reconciles.max),
    ...cells(writing),
    milliseconds(bare.p50),
    milliseconds(bare.p99),
    ...(writing.count === 0 ? ['', ''] : [ratio('p50'), ratio('p99')]),
    milliseconds(served.mean),
    Number.isNaN(served.p99) ? '' : `<= ${milliseconds(served.p99)}`,
  ]
}

function cells({ count, p50, p99 }: Durations): string[] {
  return [String(count), milliseconds(p50), milliseconds(p99)]
}

function requestRows(phases: readonly Phase[]): string[][] {
  const keys = [...new Set(phases.flatMap(({ requests }) => [...requests.keys()]))].sort()
  return keys.map((key) => [key, ...phases.map(({ requests }) => String(requests.get(key) ?? 0))])
}

function milliseconds(value: number): string {
  if (Number.isNaN(value)) return ''
  return value.toFixed(value < 10 ? 1 : 0)
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { CaseReport } from './child.ts'
import { BAD_OUTCOMES, examine, GOOD_OUTCOMES, judge, makeCase, type Outcome } from './judge.ts'
import { MUTATIONS } from './mutations.ts'

/** A case that takes longer hangs. */
const HANG_MS = 5000
/** Importing everything and reading the valid files, on a busy machine. */
const START_MS = 60_000
/** Cases for one process: what it gathers is not to hide what a case needs. */
const PROCESS_CASES = 2500

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    /** seed:index */
    replay: { type: 'string' },
  },
})

type Report = Omit<CaseReport, 'took' | 'memory'> & Partial<CaseReport>

/**
 * Runs cases in processes of their own. One that dies, hangs or grows there is tried again in a fresh process: what the
 * cases before left behind, and a machine that is busy elsewhere, are no faults of the case.
 */
async function runRange(seed: number, from: number, to: number, report: (one: Report) => void): Promise<void> {
  for (let next = from; next < to; next++) {
    const suspect = await runProcess(seed, next, to, report)
    if (suspect === undefined) return
    next = suspect.index
    const failure = await runProcess(seed, next, next + 1, report)
    if (failure !== undefined) report(failure)
  }
}

/** Reports each case that ends within time and memory; stops at the first that does not, and returns it. */
async function runProcess(
  seed: number,
  from: number,
  to: number,
  report: (one: Report) => void,
): Promise<Report | undefined> {
  const child = fork(new URL('./child.ts', import.meta.url), [seed, from, to].map(String), {
    execArgv: ['--expose-gc', '--max-old-space-size=256', '--disable-warning=ExperimentalWarning'],
  })
  let next = from
  let suspect: Report | undefined
  const stop = (why: Report) => {
    suspect ??= why
    child.kill('SIGKILL')
  }
  const giveUp = () => stop(failed(seed, next, 'hang', `${HANG_MS} ms`))
  let timer = setTimeout(giveUp, START_MS)
  child.on('message', (message) => {
    if (suspect !== undefined) return
    clearTimeout(timer)
    const found = message as CaseReport
    if (found.outcome === 'memory') return stop(found)
    timer = setTimeout(giveUp, HANG_MS)
    next++
    report(found)
  })
  const [exitCode, signal] = await once(child, 'exit')
  clearTimeout(timer)
  return suspect ?? (next < to ? failed(seed, next, 'crash', `exit ${exitCode ?? signal}`) : undefined)
}

function failed(seed: number, index: number, outcome: Outcome, detail: string): Report {
  return { index, kind: makeCase(seed, index).kind, outcome, detail }
}

async function fuzz(seed: number, count: number, processes: number): Promise<boolean> {
  const tally = new Tally()
  const ranges = Array.from({ length: Math.ceil(count / PROCESS_CASES) }, (_, at) => at * PROCESS_CASES).values()
  const start = performance.now()
  const work = Array.from({ length: processes }, async () => {
    for (const from of ranges) {
      await runRange(seed, from, Math.min(count, from + PROCESS_CASES), (report) => tally.add(report, seed))
      process.stderr.write(`${tally.total} of ${count} cases after ${seconds(performance.now() - start)}\n`)
    }
  })
  await Promise.all(work)
  print(
    `${tally.table()}\n${tally.extremes()}\n${count} cases of seed ${seed} in ${seconds(performance.now() - start)}`,
  )
  return tally.good
}

class Tally {
  readonly #counts = new Map<string, number>()
  #worst: Record<'took' | 'memory', Report | undefined> = { took: undefined, memory: undefined }
  good = true
  total = 0

  add(report: Report, seed: number): void {
    const { kind, outcome, index } = report
    this.total++
    this.#counts.set(`${kind}/${outcome}`, this.count(kind, outcome) + 1)
    for (const what of ['took', 'memory'] as const) {
      if ((report[what] ?? 0) > (this.#worst[what]?.[what] ?? 0)) this.#worst[what] = report
    }
    if (GOOD_OUTCOMES.some((one) => one === outcome)) return
    this.good = false
    print(`${outcome}: ${kind}, --replay ${seed}:${index}: ${report.detail}`)
  }

  count(kind: string, outcome: Outcome): number {
    return this.#counts.get(`${kind}/${outcome}`) ?? 0
  }

  table(): string {
    const outcomes = [...GOOD_OUTCOMES, ...BAD_OUTCOMES]
    const kinds = Object.keys(MUTATIONS)
    const sums = outcomes.map((outcome) => kinds.reduce((sum, kind) => sum + this.count(kind, outcome), 0))
    const lines: (readonly (string | number)[])[] = [
      ['mutation', ...outcomes],
      ...kinds.map((kind) => [kind, ...outcomes.map((outcome) => this.count(kind, outcome))]),
      ['all', ...sums],
    ]
    return lines
      .map(([name, ...cells]) => `${name}`.padEnd(15) + cells.map((cell) => `${cell}`.padStart(17)).join(''))
      .join('\n')
  }

  extremes(): string {
    const { took, memory } = this.#worst
    const mebibytes = Math.round((memory?.memory ?? 0) / 1024 / 1024)
    return `slowest: ${seconds(took?.took ?? 0)} (${took?.kind} ${took?.index}); most memory above the start: ${mebibytes} MiB (${memory?.kind} ${memory?.index})`
  }
}

async function replay(text: string): Promise<boolean> {
  const [seed = 0, index = 0] = text.split(':').map(Number)
  const made = makeCase(seed, index)
  print(`${made.kind} of: ${made.sample.name}; ${made.file.length} bytes, ${made.sample.file.length} before`)
  print(made.file.subarray(0, 256).toString('hex'))
  const { outcome, detail } = judge(made, await examine(made.file))
  print(`${outcome} ${detail}`)
  return GOOD_OUTCOMES.some((one) => one === outcome)
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

const good =
  values.replay === undefined
    ? await fuzz(Number(values.seed), Number(values.count), Number(values.processes))
    : await replay(values.replay)
process.exitCode = good ? 0 : 1

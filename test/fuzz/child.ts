import { readFileSync, writeFileSync } from 'node:fs'
import { corpus } from './corpus.ts'
import { type Case, examine, judge, LIMIT_BYTES, makeCase, type Verdict } from './judge.ts'

/** What a process may need above its limits. */
const MARGIN_BYTES = 64 * 1024 * 1024
const GC_CASES = 100

export interface CaseReport extends Verdict {
  readonly index: number
  readonly kind: string
  /** Milliseconds, and bytes above what the process had before its first case. */
  readonly took: number
  readonly memory: number
}

interface Conditions {
  /** Resident bytes before the first case. */
  readonly before: number
  /** A suspect is tried again alone, each way of reading by itself: garbage of the others is not its fault. */
  readonly alone: boolean
}

interface Measured {
  readonly verdict: Verdict
  readonly took: number
  readonly memory: number
}

/** Linux keeps a process's peak of resident memory, and starts it anew when 5 is written here (proc(5)). */
function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}

function peakBytes(): number {
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return Number(kibibytes) * 1024
}

/** Judges the cases from `from` up to and without `to`, one report for each to the parent. */
async function main([seed = 0, from = 0, to = 0]: readonly number[]): Promise<void> {
  for (const sample of corpus) await examine(sample.file)
  const before = process.memoryUsage.rss()
  for (let index = from; index < to; index++) {
    const made = makeCase(seed, index)
    if (index % GC_CASES === 0) globalThis.gc?.()
    const { verdict, took, memory } = await measure(made, { before, alone: to - from === 1 })
    const report: CaseReport = { index, kind: made.kind, took, memory, ...overLimit(verdict, memory) }
    process.send?.(report)
  }
}

async function measure(one: Case, { before, alone }: Conditions): Promise<Measured> {
  resetPeak()
  const start = performance.now()
  const examination = await examine(one.file, alone ? globalThis.gc : undefined)
  const measured = { took: performance.now() - start, memory: peakBytes() - before }
  return { ...measured, verdict: judge(one, examination) }
}

function overLimit(verdict: Verdict, memory: number): Verdict {
  if (memory <= LIMIT_BYTES + MARGIN_BYTES) return verdict
  return { outcome: 'memory', detail: `${Math.round(memory / 1024 / 1024)} MiB, ${verdict.detail}` }
}

await main(process.argv.slice(2).map(Number))
process.disconnect?.()

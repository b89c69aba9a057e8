import type { Contestant, Entry, Played, Target } from './contest.ts'
import type { MemoryLine } from './memory.ts'
import type { Profile } from './profile.ts'

const MIB = 1024 ** 2

/** One contestant of one contest, as the JSON and the page have it. */
export interface Line {
  readonly section: string
  readonly contest: string
  readonly name: string
  readonly rounds: number
  readonly seconds: Summary | undefined
  readonly mebibytesPerSecond: number | undefined
  /** Throughput against `against`: the median over the rounds that both took part in. */
  readonly ratio: Summary | undefined
  readonly against: string
  readonly atLeast: number | undefined
  readonly reachFor: number | undefined
  readonly cpuSeconds: number | undefined
  /** CPU time of all else on the machine meanwhile: the servers, where it is quiet. */
  readonly serverSeconds: number | undefined
  /** Of all cores together. */
  readonly idleSeconds: number | undefined
  readonly peakMiB: number | undefined
  readonly memoryLimitMiB: number | undefined
  readonly failure: string | undefined
}

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Report {
  readonly made: string
  /** Of this repository, as `git describe` calls it. */
  readonly commit: string
  readonly machine: string
  readonly versions: Readonly<Record<string, string>>
  readonly mebibytes: number
  readonly rounds: number
  readonly lines: readonly Line[]
  readonly memory: readonly MemoryLine[]
  /** Of what missed its target. */
  readonly profiles: readonly Profile[]
  /** What the typed rows' own bench printed; empty when it was left out. */
  readonly decode: string
}

export function linesOf({ contest, entries }: Played): Line[] {
  const [first] = entries
  return entries.map((entry) => {
    const { contestant, runs, failure } = entry
    const against = contestant.target?.against ?? first?.contestant.name ?? ''
    const peer = entries.find((other) => other.contestant.name === against)
    const done = runs.filter((run) => run !== undefined)
    const seconds = summarize(done.map((run) => run.seconds))
    return {
      section: contest.section,
      contest: contest.title,
      name: contestant.name,
      rounds: done.length,
      seconds,
      mebibytesPerSecond: seconds === undefined ? undefined : contest.bytes / MIB / seconds.median,
      ratio: peer === undefined ? undefined : summarize(ratios(entry, peer)),
      against,
      ...wanted(contestant),
      cpuSeconds: summarize(done.map((run) => run.cpuSeconds))?.median,
      serverSeconds: summarize(done.map((run) => Math.max(0, run.machine.busy - run.cpuSeconds)))?.median,
      idleSeconds: summarize(done.map((run) => run.machine.idle))?.median,
      peakMiB: summarize(done.map((run) => run.peakRSS / MIB))?.max,
      failure,
    }
  })
}

function wanted({ target, memoryLimit }: Contestant) {
  const { atLeast, reachFor }: Partial<Target> = target ?? {}
  return { atLeast, reachFor, memoryLimitMiB: memoryLimit }
}

/** Theirs by ours, round by round: what slowed the machine in one round slowed both. */
function ratios(ours: Entry, theirs: Entry): number[] {
  return ours.runs.flatMap((run, round) => {
    const other = theirs.runs[round]
    return run === undefined || other === undefined ? [] : [other.seconds / run.seconds]
  })
}

export function summarize(values: readonly number[]): Summary | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? 0
  if (sorted.length === 0) return undefined
  const middle = (sorted.length - 1) / 2
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) }
}

/** What a line's targets, of speed and of memory, came to. */
export function verdict({ atLeast, reachFor, ratio, peakMiB, memoryLimitMiB, failure }: Line): string {
  if (failure !== undefined) return 'failed'
  const verdicts: string[] = []
  if (atLeast !== undefined && ratio !== undefined) {
    const goal = ratio.median >= (reachFor ?? Number.POSITIVE_INFINITY) ? `reached ${reachFor}` : `reached ${atLeast}`
    verdicts.push(ratio.median >= atLeast ? goal : `missed ${atLeast}`)
  }
  if (memoryLimitMiB !== undefined && peakMiB !== undefined) {
    verdicts.push(`${peakMiB <= memoryLimitMiB ? 'within' : 'above'} ${memoryLimitMiB} MiB`)
  }
  return verdicts.join(', ')
}

/** Tables for a terminal and for the page, one for each contest. */
export function tables(lines: readonly Line[]): string {
  const contests = [...new Set(lines.map((line) => line.contest))]
  return contests
    .map((contest) =>
      table(
        contest,
        lines.filter((line) => line.contest === contest),
      ),
    )
    .join('\n')
}

function table(contest: string, lines: readonly Line[]): string {
  return [
    `### ${contest[0]?.toUpperCase()}${contest.slice(1)}`,
    '',
    '| work | rounds | median s (min to max) | MiB/s | ratio (min to max) | to | CPU s | servers s | idle s | peak MiB | target |',
    '|---|---:|---:|---:|---:|---|---:|---:|---:|---:|---|',
    ...lines.map(row),
    '',
  ].join('\n')
}

function row(line: Line): string {
  const { name, rounds, seconds, mebibytesPerSecond, ratio, against, peakMiB } = line
  const cells = [
    name.replaceAll('|', '\\|'),
    rounds,
    spread(seconds),
    mebibytesPerSecond?.toFixed(0) ?? '',
    spread(ratio),
    against.replaceAll('|', '\\|'),
    ...[line.cpuSeconds, line.serverSeconds, line.idleSeconds].map((time) => time?.toFixed(2) ?? ''),
    peakMiB?.toFixed(0) ?? '',
    verdict(line),
  ]
  return `| ${cells.join(' | ')} |`
}

function spread(summary: Summary | undefined): string {
  if (summary === undefined) return ''
  return `${summary.median.toFixed(2)} (${summary.min.toFixed(2)} to ${summary.max.toFixed(2)})`
}

/** Where the time of what missed its target went, by threads and by what the main thread did most. */
export function profileTable(profiles: readonly Profile[]): string {
  if (profiles.length === 0) return ''
  const rows = profiles.map(({ contest, name, seconds, threads, servers, idle, mainThread }) => {
    const times = ['MainThread', 'libuv-worker', 'V8Worker'].map((thread) => threads[thread] ?? 0)
    const most = mainThread.map(({ where, share }) => `${(100 * share).toFixed(0)} % ${where}`).join(', ')
    const cells = [seconds, ...times, servers, idle].map((time) => time.toFixed(2))
    return `| ${contest}: ${name} | ${cells.join(' | ')} | ${most} |`
  })
  return [
    '| work | seconds | main thread | thread pool | V8 | servers | idle | in the main thread |',
    '|---|---:|---:|---:|---:|---:|---:|---|',
    ...rows,
    '',
  ].join('\n')
}

export function memoryTable(lines: readonly MemoryLine[]): string {
  if (lines.length === 0) return ''
  const rows = lines.map(({ work, gib, rowBytes, seconds, cpuSeconds, peakRSS, failure }) => {
    const measured = [seconds.toFixed(1), (cpuSeconds / gib).toFixed(2), (peakRSS / MIB).toFixed(0)]
    return `| ${[work, gib, rowBytes, ...(failure === undefined ? measured : ['failed', '', ''])].join(' | ')} |`
  })
  return [
    '### Memory by size',
    '',
    '| work | GiB | bytes a row | seconds | CPU s a GiB | peak MiB |',
    '|---|---:|---:|---:|---:|---:|',
    ...rows,
    '',
  ].join('\n')
}

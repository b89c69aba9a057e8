import cliProgress, { type GenericFormatter } from 'cli-progress'
import type { Progress } from '../run/progress.ts'
import { printLine, type Terminal } from './terminal.ts'
import { formatBytes, formatCount, formatDuration } from './units.ts'

/** Where a command's progress is shown to a person. */
export interface ProgressDisplay {
  /** How often the display wants to hear of progress. */
  readonly intervalMs: number
  show(progress: Progress): void
  /** Leaves the terminal clean for what is printed next. */
  stop(): void
}

const REDRAW_MS = 200
const PLAIN_LINE_MS = 5000

/** A live bar on a terminal, a line every few seconds elsewhere, nothing when `quiet`. Written to stderr. */
export function progressDisplay(terminal: Terminal, quiet: boolean, now: () => number): ProgressDisplay {
  if (quiet) return { intervalMs: PLAIN_LINE_MS, show() {}, stop() {} }
  return terminal.stderr.isTTY === true ? liveBar(terminal, now) : plainLines(terminal, now)
}

function describe(progress: Progress, seconds: number): string {
  const bytes = Number(progress.bytes)
  const rate = seconds > 0 ? bytes / seconds : 0
  return `${formatCount(BigInt(progress.rows))} rows, ${formatBytes(bytes)}, ${formatBytes(rate)}/s`
}

/** Time left by the share that is done; undefined where the size is not known. */
function timeLeft(percent: number | undefined, seconds: number): string | undefined {
  if (percent === undefined || percent <= 0 || percent >= 100) return undefined
  return formatDuration((seconds * (100 - percent)) / percent)
}

function liveBar(terminal: Terminal, now: () => number): ProgressDisplay {
  const start = now()
  let latest: Progress | undefined
  const line: GenericFormatter = (options, params) => {
    if (latest === undefined) return 'starting'
    const seconds = (now() - start) / 1000
    const what = describe(latest, seconds)
    if (latest.percent === undefined) return what
    const left = timeLeft(latest.percent, seconds)
    const bar = cliProgress.Format.BarFormat(params.progress, options)
    return `${bar} ${latest.percent}% | ${what}${left === undefined ? '' : ` | ${left} left`}`
  }
  const bar = new cliProgress.SingleBar(
    { stream: terminal.stderr, hideCursor: true, barsize: 24, format: line },
    cliProgress.Presets.shades_classic,
  )
  bar.start(100, 0)
  return {
    intervalMs: REDRAW_MS,
    show(progress) {
      latest = progress
      bar.update(progress.percent ?? 0)
    },
    stop: () => bar.stop(),
  }
}

function plainLines(terminal: Terminal, now: () => number): ProgressDisplay {
  const start = now()
  return {
    intervalMs: PLAIN_LINE_MS,
    show(progress) {
      const percent = progress.percent === undefined ? '' : `${progress.percent}% `
      printLine(terminal.stderr, `${percent}${describe(progress, (now() - start) / 1000)}`)
    },
    stop() {},
  }
}

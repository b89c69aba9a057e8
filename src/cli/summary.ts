import type { RunTotals } from '../run/result.ts'
import { printLine, type Terminal } from './terminal.ts'
import { formatBytes, formatCount, formatDuration } from './units.ts'

export interface Summary extends RunTotals {
  readonly from: string
  readonly to: string
  readonly seconds: number
  /** Location of the rows that were rejected and logged. */
  readonly rejects?: string
}

/** What was moved: one sentence for a person, one JSON object for a script. */
export function printSummary(terminal: Terminal, verb: string, summary: Summary, json: boolean): void {
  printLine(terminal.stdout, json ? JSON.stringify(summary) : describe(verb, summary))
}

function describe(verb: string, summary: Summary): string {
  const { from, to, rows, bytes, storedBytes, seconds, rejectedRows = '0', rejects } = summary
  const rate = seconds > 0 ? `${formatBytes(Number(bytes) / seconds)}/s` : 'at once'
  const moved = `${formatCount(BigInt(rows))} rows, ${formatBytes(BigInt(bytes))}`
  const stored = `${formatBytes(BigInt(storedBytes))} stored`
  const kept = rejects === undefined ? '' : ` in ${rejects}`
  const rejected = rejectedRows === '0' ? '' : `; ${formatCount(BigInt(rejectedRows))} rows rejected${kept}`
  return `${verb} ${from} -> ${to}: ${moved}, ${stored}, ${formatDuration(seconds)} (${rate})${rejected}`
}

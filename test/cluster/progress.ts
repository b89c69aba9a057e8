import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readSettings } from './settings.ts'

/** Writes one line for a person who waits. Standard output stays free for results. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

/**
 * Runs a slow piece of work: says what it is and how long it usually takes, then how long it took.
 * `work` is handed a log file to append to, whose place is said where it fails.
 */
export async function step<T>(what: string, usually: string, work: (log: string) => Promise<T>): Promise<T> {
  const logDirectory = join(readSettings().cacheDirectory, 'logs')
  mkdirSync(logDirectory, { recursive: true })
  const log = join(logDirectory, `${what.replaceAll(/[^a-zA-Z0-9.]+/g, '-')}.log`)
  rmSync(log, { force: true })
  say(`${what} (usually ${usually}) ...`)
  const start = performance.now()
  try {
    const result = await work(log)
    say(`${what}: done in ${elapsedSeconds(start)} s`)
    return result
  } catch (error) {
    say(`${what}: failed after ${elapsedSeconds(start)} s; all it said is in ${log}`)
    throw error
  }
}

function elapsedSeconds(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(1)
}

import type { RunContext } from '../engine/context.ts'
import { ProgressMeter } from '../engine/progress.ts'
import { createLogger, type LogLevel } from '../log.ts'
import { progressDisplay } from './progressbar.ts'
import type { Terminal } from './terminal.ts'

/** Runs a piece of the engine's work under a progress display. `quiet` is for output that a script reads. */
export async function withContext<T>(
  terminal: Terminal,
  quiet: boolean,
  work: (context: RunContext) => Promise<T>,
  logLevel: LogLevel = 'warn',
): Promise<T> {
  const now = () => performance.now()
  const { signal, footprint } = terminal
  const display = progressDisplay(terminal, quiet, now)
  const progress = new ProgressMeter((report) => display.show(report), { now, intervalMs: display.intervalMs })
  try {
    return await work({ signal, log: createLogger(logLevel), progress, onBytesOnly: footprint?.leaveUnoptimized })
  } finally {
    display.stop()
  }
}

export async function timed<T>(work: () => Promise<T>): Promise<{ result: T; seconds: number }> {
  const start = performance.now()
  const result = await work()
  return { result, seconds: Math.round(performance.now() - start) / 1000 }
}

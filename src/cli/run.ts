import { readFile, writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import type { RunContext } from '../engine/context.ts'
import { ProgressMeter } from '../engine/progress.ts'
import { PgpackError, toPgpackError } from '../errors.ts'
import { createLogger, type Logger } from '../log.ts'
import { parseRunConfig, type RunConfig } from '../run/config.ts'
import { ATTEMPT_VARIABLE, MOUNTS } from '../run/paths.ts'
import { encodeProgress } from '../run/progress.ts'
import { encodeResult, exitCodeOf, failedResult, type Outcome, type RunResult } from '../run/result.ts'
import { printLine, type Terminal } from './terminal.ts'
import { timed } from './work.ts'

interface RunOptions {
  readonly config: string
  readonly terminationMessage: string
}

/** How often the pod's log tells of progress; the operator writes it to the status less often still. */
const PROGRESS_INTERVAL_MS = 2000

/** `pgpack run`: what a job pod runs. Everything comes from mounted files; the result goes to the termination message. */
export function runCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  return new Command('run')
    .description('Run a dump or a restore from a mounted configuration (the entry point of job pods).')
    .option('--config <file>', 'run configuration, JSON', MOUNTS.configFile)
    .option('--termination-message <file>', 'where the result goes', MOUNTS.terminationMessage)
    .action(async (options: RunOptions) => {
      const result = await runConfigured(options.config, terminal)
      await writeFile(options.terminationMessage, encodeResult(result))
      finish(exitCodeOf(result))
    })
}

async function runConfigured(configFile: string, terminal: Terminal): Promise<RunResult> {
  const attempt = terminal.env[ATTEMPT_VARIABLE] ?? 'manual'
  let log = createLogger('info', { attempt })
  try {
    const config = parseRunConfig(await readConfig(configFile))
    log = log.child({ kind: config.kind, namespace: config.namespace, name: config.name, uid: config.uid })
    log.info({}, 'run started')
    const { result, seconds } = await timed(() => execute(config, attempt, contextOf(terminal, log)))
    log.info({ ...result.totals, seconds }, 'run succeeded')
    return { outcome: 'Succeeded', attempt, seconds, ...result }
  } catch (err) {
    const error = toPgpackError(err)
    log.error({ err: error, code: error.code, retryable: error.retryable }, 'run failed')
    return failedResult(attempt, error)
  }
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the run configuration ${file} cannot be read`, { cause })
  }
}

function contextOf({ stdout, signal, footprint }: Terminal, log: Logger): RunContext {
  const progress = new ProgressMeter((report) => printLine(stdout, encodeProgress(report)), {
    now: () => performance.now(),
    intervalMs: PROGRESS_INTERVAL_MS,
  })
  return { signal, log, progress, onBytesOnly: footprint?.leaveUnoptimized }
}

/** Each kind's part of the engine is loaded when it is asked for. */
async function execute(config: RunConfig, attempt: string, context: RunContext): Promise<Outcome> {
  switch (config.kind) {
    case 'Dump':
      return (await import('./execute-dump.ts')).executeDump(config, attempt, context)
    case 'Restore':
      return (await import('./execute-restore.ts')).executeRestore(config, context)
    case 'Remove':
      return (await import('./execute-remove.ts')).executeRemove(config, context)
    case 'Transfer':
      return (await import('./execute-transfer.ts')).executeTransfer(config, context)
  }
}

import type { Command } from 'commander'
import type { TargetRequest } from '../engine/target.ts'
import { RESTORE_MODES, TRANSACTIONS } from '../run/choices.ts'
import type { Outcome } from '../run/result.ts'
import { MAX_CONNECTIONS, parseChoice, parseInteger } from './options.ts'
import { collect, type SessionOptions, sessionOf } from './session.ts'
import { printSummary } from './summary.ts'
import { printLine, type Terminal } from './terminal.ts'

/** What `pgpack restore` and `pgpack transfer` ask alike of the target. */
export interface LoadingOptions extends SessionOptions {
  readonly mode: string
  readonly connections: string
  readonly transaction?: string
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly analyze: boolean
  readonly runId?: string
  readonly dryRun: boolean
}

export function withLoadingOptions(command: Command): Command {
  return command
    .option(
      '--mode <mode>',
      'append; truncate: empty the table first; replace: load beside it, then fill it anew; createifmissing',
      'append',
    )
    .option('--connections <n>', 'connections that write at once', '1')
    .option('--transaction <scope>', 'all, or perobject: what has committed stays (all with one connection)')
    .option('--run-id <id>', 'append once however often the same id is tried, by rows in the table pgpack.ledger')
    .option('--before <sql>', 'run on the target before the first row; repeatable', collect, [])
    .option('--after <sql>', 'run on the target after the last row; repeatable', collect, [])
    .option('--set <name=value>', "a setting of the target's sessions: 'work_mem=64MB'; repeatable", collect, [])
    .option('--isolation <level>', 'readcommitted, repeatableread or serializable')
    .option('--no-analyze', "leave the planner's statistics as they are")
    .option('--dry-run', 'check both sides, show what would happen, write nothing', false)
}

/** @throws PgpackError CONFIG_INVALID */
export function loadingRequest(options: LoadingOptions): Omit<TargetRequest, 'target'> {
  const { transaction, before, after, analyze, runId, dryRun } = options
  return {
    mode: parseChoice('--mode', options.mode, RESTORE_MODES),
    connections: parseInteger('--connections', options.connections, 1, MAX_CONNECTIONS),
    ...(transaction === undefined ? {} : { transaction: parseChoice('--transaction', transaction, TRANSACTIONS) }),
    before,
    after,
    session: sessionOf(options),
    analyze: analyze ? 'Always' : 'Never',
    runMode: dryRun ? 'DryRun' : 'Run',
    runId,
  }
}

interface Loaded extends Outcome {
  readonly from: string
  readonly to: string
  readonly seconds: number
}

/** What was moved, or of a dry run the plan. */
export function printLoaded(terminal: Terminal, verb: string, loaded: Loaded, json: boolean): void {
  const { from, to, plan, totals, rejects, seconds } = loaded
  const kept = rejects === undefined ? {} : { rejects }
  if (plan === undefined) printSummary(terminal, verb, { from, to, ...totals, ...kept, seconds }, json)
  else printLine(terminal.stdout, json ? JSON.stringify({ from, to, plan }) : plan)
}

import { Command, CommanderError } from 'commander'
import { PgpackError, toPgpackError } from '../errors.ts'
import { EXIT, exitCodeOfFailure } from '../run/result.ts'
import { VERSION } from '../version.ts'
import { printLine, type Terminal } from './terminal.ts'

type CommandFactory = (terminal: Terminal, finish: (exitCode: number) => void) => Command

/** Loaded when asked for: a job pod has no use for the operator's libraries, nor the operator for the engine's. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandFactory>>> = {
  dump: async () => (await import('./dump.ts')).dumpCommand,
  restore: async () => (await import('./restore.ts')).restoreCommand,
  transfer: async () => (await import('./transfer.ts')).transferCommand,
  inspect: async () => (await import('./inspect.ts')).inspectCommand,
  verify: async () => (await import('./verify.ts')).verifyCommand,
  head: async () => (await import('./head.ts')).headCommand,
  convert: async () => (await import('./convert.ts')).convertCommand,
  run: async () => (await import('./run.ts')).runCommand,
  operator: async () => (await import('./operator.ts')).operatorCommand,
}

/**
 * What these move lies outside of V8's heap. Only the rows that a restore makes of NDJSON and CSV do not: a heap that
 * stays small has them 6 % slower, in 135 MiB instead of 230.
 */
const MOVERS: ReadonlySet<string | undefined> = new Set(['dump', 'restore', 'transfer', 'run'])

/**
 * Runs one command and resolves with its exit code: 0 done, 1 worth retrying, 42 retrying cannot help (a misused option
 * included), 143 stopped by a signal. Never throws: what went wrong is on stderr, one line, without a stack trace.
 */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = EXIT.done
  const finish = (code: number) => {
    exitCode = code
  }
  // Before the command's modules are loaded: the heap would have grown by then.
  if (MOVERS.has(args[0])) terminal.footprint?.keepHeapSmall()
  const program = new Command('pgpack')
    .description('Moves PostgreSQL and Greenplum data at COPY speed, in PGPack files.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
    })
  try {
    for (const command of await chosenCommands(args[0])) {
      program.addCommand(command(terminal, finish).copyInheritedSettings(program))
    }
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (error) {
    return failure(error, terminal)
  }
}

/** The named command, or all of them where none is, so that the help shows them. */
function chosenCommands(name: string | undefined): Promise<CommandFactory[]> {
  const chosen = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  return Promise.all((chosen === undefined ? Object.values(COMMANDS) : [chosen]).map((load) => load()))
}

function failure(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.permanent
  const known = error instanceof PgpackError
  const failed = toPgpackError(error)
  const { code, message, stack } = failed
  printLine(terminal.stderr, `pgpack: ${message} [${code}]`)
  // A stack trace helps nobody who misspelled a table; it does where the fault is ours.
  if (!known && stack !== undefined) printLine(terminal.stderr, stack)
  return exitCodeOfFailure(failed)
}

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, openSync, readFileSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { HarnessError } from './errors.ts'

export interface RunOptions {
  /** Written to the command's standard input. */
  readonly input?: string
  readonly cwd?: string
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** A file that all output is appended to. */
  readonly log?: string
  readonly signal?: AbortSignal
}

/**
 * Runs a command to its end and returns its standard output.
 * @throws HarnessError `COMMAND_FAILED` with the last lines of what it said.
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    signal: options.signal,
    stdio: 'pipe',
  })
  // What it said on both streams, in the order it said it.
  const said: string[] = []
  const [status, output, , inputError] = await Promise.all([
    exitStatus(child, command),
    collect(child.stdout, said, options.log),
    collect(child.stderr, said, options.log),
    feed(child.stdin, options.input ?? ''),
  ])
  if (status !== '0') {
    const shown = [command, ...args].join(' ')
    const message = `${shown}: ended with ${status}\n${lastLines(said.join(''), 20)}`
    throw new HarnessError('COMMAND_FAILED', message, { cause: inputError })
  }
  return output
}

async function collect(stream: Readable, said: string[], log: string | undefined): Promise<string> {
  let text = ''
  for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    said.push(chunk)
    if (log !== undefined) await appendFile(log, chunk)
  }
  return text
}

/** Returns the error instead of throwing it: a command that reads only part of its input has the last word. */
async function feed(stdin: Writable, input: string): Promise<unknown> {
  try {
    await pipeline([input], stdin)
    return undefined
  } catch (error) {
    return error
  }
}

async function exitStatus(child: ChildProcess, command: string): Promise<string> {
  try {
    const [code, signal] = await once(child, 'close')
    return String(code ?? signal)
  } catch (error) {
    throw new HarnessError('COMMAND_FAILED', `${command}: cannot be run: ${String(error)}`, { cause: error })
  }
}

/** The path of a command on PATH, or undefined. */
export function findCommand(name: string): string | undefined {
  // Debian keeps administrators' commands out of an ordinary user's PATH.
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return directories.map((directory) => join(directory, name)).find(isExecutable)
}

/** Whether a file is there and may be executed. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Starts a process that outlives this one, its output appended to `log`. */
export function startDetached(command: string, args: readonly string[], log: string): ChildProcess {
  const child = spawn(command, args, { detached: true, stdio: appendingTo(log) })
  child.unref()
  return child
}

/**
 * GOGC of the servers that tests start: their heaps are small, and collecting them at each doubling is a good part of what
 * they do.
 */
export const FEWER_COLLECTIONS = '300'

/**
 * Starts a process that the kernel ends (on Linux) when this process ends, however that happens.
 * @param variables added to this process's own environment.
 */
export function startBound(
  command: string,
  args: readonly string[],
  stdio: StdioOptions,
  variables: Readonly<Record<string, string>> = {},
): ChildProcess {
  const options = { stdio, env: { ...process.env, ...variables } }
  if (process.platform !== 'linux') return spawn(command, args, options)
  return spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], options)
}

/** Standard streams of a process that reads nothing and appends all it says to a file. */
export function appendingTo(log: string): ['ignore', number, number] {
  const file = openSync(log, 'a')
  return ['ignore', file, file]
}

/** Ends a child: SIGTERM, and SIGKILL where that has not helped within `graceMilliseconds`. */
export async function stop(child: ChildProcess, graceMilliseconds: number): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMilliseconds)
  await ended
  clearTimeout(timer)
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/**
 * Polls `check` until it returns something other than undefined.
 * @throws HarnessError `NOT_READY` at the deadline, with the last error of `check` as its cause.
 */
export async function waitFor<T>(
  what: string,
  timeoutMilliseconds: number,
  check: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeoutMilliseconds
  for (;;) {
    let failure: unknown
    try {
      const result = await check()
      if (result !== undefined) return result
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) {
      const seconds = timeoutMilliseconds / 1000
      throw new HarnessError('NOT_READY', `${what}: not so after ${seconds} s`, { cause: failure })
    }
    await delay(100)
  }
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}

/** The last lines of a log file; empty where there is none. */
export function tailOf(path: string, count = 20): string {
  try {
    return lastLines(readFileSync(path, 'utf8'), count)
  } catch {
    return ''
  }
}

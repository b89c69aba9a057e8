import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { postgresOfMajor } from './support/postgres-versions.ts'

export interface Totals {
  readonly passed: number
  readonly failed: number
}

/** For output that is under way when its command has ended. */
const DRAIN_MS = 5_000

/** How a command is run. */
export interface CommandOptions {
  /** Added to this process's own environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** Takes what it says; by default it is said on this process's own streams. */
  readonly output?: (text: Uint8Array) => void
}

/** Runs npm. Resolves with the exit code; a signal counts as failure. */
export async function npm(args: readonly string[], options: CommandOptions = {}): Promise<number> {
  const { environment, output } = options
  // Behind a pipe, commands would not know that colours are wanted.
  const colours = output !== undefined && process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const child = spawn('npm', args, {
    stdio: output === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...colours, ...environment },
  })
  if (output !== undefined) for (const stream of [child.stdout, child.stderr]) stream?.on('data', output)
  const exited = new Promise((resolve) => child.on('exit', resolve))
  // What it has started may outlive it, and hold its output open.
  await Promise.race([once(child, 'close'), exited.then(() => delay(DRAIN_MS, undefined, { ref: false }))])
  return child.exitCode ?? 1
}

/**
 * Runs one of package.json's scripts that are Jest, and counts by Jest's own report. A suite that could not even run is
 * one failure, and so is a run without a report, or a test that was skipped.
 */
export async function runSuite(
  script: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): Promise<Totals> {
  const directory = mkdtempSync(join(tmpdir(), 'pgpack-test-'))
  const file = join(directory, 'report.json')
  try {
    const code = await npm(['run', '--silent', script, '--', '--json', `--outputFile=${file}`, ...args], options)
    const { passed, failed } = readReport(file)
    return { passed, failed: failed === 0 && code !== 0 ? 1 : failed }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Runs test files, or folders of them, on a major version of PostgreSQL that is fetched first. */
export async function runOnPostgres(
  major: number,
  paths: readonly string[],
  options: CommandOptions = {},
): Promise<Totals> {
  try {
    await postgresOfMajor(major)
  } catch (error) {
    process.stderr.write(`PostgreSQL ${major} cannot be had: ${String(error)}\n`)
    return { passed: 0, failed: 1 }
  }
  const environment = { ...options.environment, PGPACK_TEST_POSTGRES_VERSION: String(major) }
  return runSuite('jest', ['--maxWorkers=4', ...paths], { ...options, environment })
}

function readReport(file: string): Totals {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>
    const { numPassedTests = 0, numFailedTests = 0, numRuntimeErrorTestSuites = 0, numPendingTests = 0 } = report
    return { passed: numPassedTests, failed: numFailedTests + numRuntimeErrorTestSuites + numPendingTests }
  } catch (error) {
    process.stderr.write(`no test report: ${String(error)}\n`)
    return { passed: 0, failed: 1 }
  }
}

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { postgresOfMajor } from './support/postgres-versions.ts'

export interface Totals {
  readonly passed: number
  readonly failed: number
}

/** Runs npm with its output on ours. Resolves with the exit code; a signal counts as failure. */
export function npm(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { stdio: 'inherit', env: { ...process.env, ...environment } })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

/**
 * Runs one of package.json's scripts that are Jest, and counts by Jest's own report. A suite that could not even run is
 * one failure, and so is a run without a report, or a test that was skipped.
 */
export async function runSuite(
  script: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Totals> {
  const directory = mkdtempSync(join(tmpdir(), 'pgpack-test-'))
  const file = join(directory, 'report.json')
  try {
    const code = await npm(['run', '--silent', script, '--', '--json', `--outputFile=${file}`, ...args], environment)
    const { passed, failed } = readReport(file)
    return { passed, failed: failed === 0 && code !== 0 ? 1 : failed }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Runs test files, or folders of them, on a major version of PostgreSQL that is fetched first. */
export async function runOnPostgres(major: number, paths: readonly string[]): Promise<Totals> {
  try {
    await postgresOfMajor(major)
  } catch (error) {
    process.stderr.write(`PostgreSQL ${major} cannot be had: ${String(error)}\n`)
    return { passed: 0, failed: 1 }
  }
  return runSuite('jest', ['--maxWorkers=4', ...paths], { PGPACK_TEST_POSTGRES_VERSION: String(major) })
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

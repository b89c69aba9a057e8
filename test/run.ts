/**
 * `npm test`: static checks, unit, integration and e2e tests, in the order in which they fail fastest.
 *
 * It goes on after a failure, so that one run shows all there is to mend, and ends with one line of totals.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Totals {
  passed: number
  failed: number
}

const CHECKS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['lint', ['run', '--silent', 'lint']],
  ['typecheck', ['run', '--silent', 'typecheck']],
  ['generated files', ['run', '--silent', 'generate', '--', '--check']],
]

const reports = mkdtempSync(join(tmpdir(), 'pgpack-test-'))
const totals: Totals = { passed: 0, failed: 0 }
const start = performance.now()

/** Resolves with the exit code; a signal counts as failure. */
function npm(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { stdio: 'inherit' })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

function announce(name: string): void {
  process.stdout.write(`\n== ${name} (${((performance.now() - start) / 1000).toFixed(0)} s since the start)\n`)
}

/** One command that passes or fails as a whole. */
async function check(name: string, args: readonly string[]): Promise<void> {
  announce(name)
  if ((await npm(args)) === 0) totals.passed += 1
  else totals.failed += 1
}

/** Counts by jest's own report. A suite that could not even run is one failure, and so is a run without a report. */
async function suite(name: 'unit' | 'integration' | 'e2e'): Promise<void> {
  announce(`${name} tests`)
  const file = join(reports, `${name}.json`)
  const code = await npm(['run', '--silent', `test:${name}`, '--', '--json', `--outputFile=${file}`])
  const { passed, failed } = readReport(file)
  totals.passed += passed
  totals.failed += failed === 0 && code !== 0 ? 1 : failed
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

for (const [name, args] of CHECKS) await check(name, args)
await suite('unit')
// Not within a test, whose deadline is no measure of how long a first build takes.
await check('servers for the tests', ['run', '--silent', 'cluster', '--', 'prepare'])
await suite('integration')
await suite('e2e')
rmSync(reports, { recursive: true, force: true })
announce('totals')
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1

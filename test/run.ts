/**
 * `npm test`: static checks, unit, integration and e2e tests, in the order in which they fail fastest.
 *
 * It goes on after a failure, so that one run shows all there is to mend, and ends with one line of totals.
 */
import { npm, runOnPostgres, runSuite, type Totals } from './suites.ts'
import { POSTGRES_MAJORS } from './support/postgres-versions.ts'

const CHECKS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['lint', ['run', '--silent', 'lint']],
  ['typecheck', ['run', '--silent', 'typecheck']],
  ['generated files', ['run', '--silent', 'generate', '--', '--check']],
]

/** What the oldest PostgreSQL must show in every run: that it is set up, asked, read and written as the newest one is. */
const ON_THE_OLDEST = [
  'test/integration/postgres/copy-in.test.ts',
  'test/integration/postgres/copy-out.test.ts',
  'test/integration/postgres/session.test.ts',
  'test/integration/engine/roundtrip.test.ts',
]
const [oldest = Number.NaN] = POSTGRES_MAJORS

let passed = 0
let failed = 0
const start = performance.now()

function announce(name: string): void {
  process.stdout.write(`\n== ${name} (${((performance.now() - start) / 1000).toFixed(0)} s since the start)\n`)
}

function count(totals: Totals): void {
  passed += totals.passed
  failed += totals.failed
}

/** One command that passes or fails as a whole. */
async function check(name: string, args: readonly string[]): Promise<void> {
  announce(name)
  const ok = (await npm(args)) === 0
  count({ passed: ok ? 1 : 0, failed: ok ? 0 : 1 })
}

async function suite(name: 'unit' | 'integration' | 'e2e'): Promise<void> {
  announce(`${name} tests`)
  count(await runSuite(`test:${name}`))
}

for (const [name, args] of CHECKS) await check(name, args)
await suite('unit')
// Not within a test, whose deadline is no measure of how long a first build takes.
await check('servers for the tests', ['run', '--silent', 'cluster', '--', 'prepare'])
await suite('integration')
announce(`integration tests on PostgreSQL ${oldest}`)
count(await runOnPostgres(oldest, ON_THE_OLDEST))
await suite('e2e')
announce('totals')
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1

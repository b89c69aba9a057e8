/**
 * `npm test`: static checks, unit, integration and e2e tests. What waits (for a cluster, for a second command) runs
 * beside what works, and is told after it.
 *
 * It goes on after a failure, so that one run shows all there is to mend, and ends with one line of totals.
 */

import { FEWER_COLLECTIONS } from './cluster/processes.ts'
import { type Section, Sections } from './sections.ts'
import { type CommandOptions, npm, runOnPostgres, runSuite, type Totals } from './suites.ts'
import { bundleCommands, removeCommands } from './support/command.ts'
import { POSTGRES_MAJORS } from './support/postgres-versions.ts'

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
const sections = new Sections((text) => process.stdout.write(text))

function seconds(): string {
  return ((performance.now() - start) / 1000).toFixed(0)
}

/** Something to run, with its place in the output. */
interface Step {
  run(): Promise<void>
}

/** A step's section comes below those of the steps that were made before it, whenever they run. */
function step(title: string, work: (options: CommandOptions) => Promise<Totals>): Step {
  const section = sections.open(title)
  return { run: () => perform(section, work) }
}

async function perform(section: Section, work: (options: CommandOptions) => Promise<Totals>): Promise<void> {
  const from = seconds()
  const totals = await work({ output: (text) => section.write(text) })
  passed += totals.passed
  failed += totals.failed
  section.write(`${totals.failed === 0 ? 'passed' : 'FAILED'}, from ${from} s to ${seconds()} s since the start\n`)
  section.close()
}

/** One command that passes or fails as a whole. */
function check(title: string, ...args: readonly string[]): Step {
  return step(title, async (options) => {
    const ok = (await npm(['run', '--silent', ...args], options)) === 0
    return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 }
  })
}

function suite(title: string, script: string): Step {
  // For kubectl, a fifth of what a short command takes. Not for builds, which it would give several times the memory.
  const environment = { GOGC: FEWER_COLLECTIONS }
  return step(title, (options) => runSuite(script, [], { ...options, environment }))
}

async function inTurn(...steps: readonly Step[]): Promise<void> {
  for (const each of steps) await each.run()
}

const lint = check('lint', 'lint')
const types = check('typecheck', 'typecheck')
const generated = check('generated files', 'generate', '--', '--check')
const unit = suite('unit tests', 'test:unit')
// Not within a test, whose deadline is no measure of how long a first build takes.
const servers = check('servers for the tests', 'cluster', '--', 'prepare')
const operator = check('cluster with the operator', 'cluster', '--', 'operator')
const integration = suite('integration tests', 'test:integration')
const onTheOldest = step(`integration tests on PostgreSQL ${oldest}`, (options) =>
  runOnPostgres(oldest, ON_THE_OLDEST, options),
)
const together = suite('e2e tests', 'test:e2e:together')
const alone = suite('e2e tests that stop what all share', 'test:e2e:alone')

const prepared = servers.run()
let last: Promise<void> | undefined
/** Run by whoever is done first: on a machine where the cluster is to be built first, that is not the cluster's tests. */
const lastOfAll = () => {
  last ??= onTheOldest.run()
  return last
}
/** Waits more than it works. */
const onTheCluster = async () => {
  await prepared
  await inTurn(operator, together, alone)
  await lastOfAll()
}
const onThisMachine = async () => {
  await Promise.all([inTurn(lint, types, generated), unit.run(), prepared])
  await integration.run()
  await lastOfAll()
}
// Once for all Jest runs. Each tries it again after a failure, and tells it.
await bundleCommands().catch(() => undefined)
await Promise.all([onTheCluster(), onThisMachine()])
await removeCommands()
process.stdout.write(`\n== totals (${seconds()} s since the start)\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1

/**
 * `npm run test:matrix`: the integration tests of src/postgres and src/engine on every major version of PostgreSQL that
 * the tests know, and a table of what passed where. It fails when one test fails on one version, or a version cannot be had.
 *
 * `PGPACK_MATRIX=10,18` names the versions wanted; arguments are files or folders to run instead.
 */
import { runOnPostgres } from './suites.ts'
import { POSTGRES_MAJORS } from './support/postgres-versions.ts'

const HEAD = ['PostgreSQL', 'passed', 'failed', 'seconds']

function line(cells: readonly (string | number)[]): string {
  return `${cells.map((cell, column) => String(cell).padStart(HEAD[column]?.length ?? 0)).join('  ')}\n`
}

function wantedMajors(list: string | undefined): readonly number[] {
  if (!list) return POSTGRES_MAJORS
  const wanted = list.split(',').map(Number)
  const unknown = wanted.filter((major) => !POSTGRES_MAJORS.includes(major))
  if (unknown.length === 0) return wanted
  throw new Error(`PGPACK_MATRIX is ${list}: the tests know PostgreSQL ${POSTGRES_MAJORS.join(', ')}`)
}

const given = process.argv.slice(2)
const paths = given.length > 0 ? given : ['test/integration/postgres', 'test/integration/engine']
const lines = [line(HEAD)]
let ok = true
for (const major of wantedMajors(process.env['PGPACK_MATRIX'])) {
  process.stdout.write(`\n== PostgreSQL ${major}\n`)
  const start = performance.now()
  const { passed, failed } = await runOnPostgres(major, paths)
  lines.push(line([major, passed, failed, Math.round((performance.now() - start) / 1000)]))
  ok &&= passed > 0 && failed === 0
}
process.stdout.write(`\n${lines.join('')}`)
process.exitCode = ok ? 0 : 1

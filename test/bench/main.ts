/**
 * `npm run bench`: peak memory of the engine by the size of what it moves, printed as a table.
 *
 * `-- --gib 1,10` gives the sizes, in GiB of binary COPY; the default is 1. It needs that much free disk three times.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres, type TestDatabase } from '../support/postgres-server.ts'
import { type Measured, measurePgpack } from './child.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3
/** The bound of issue and README: whatever the size, the engine stays below it. */
const LIMIT_MIB = 160
/** Field count, two lengths, an int8 and an md5 in hexadecimal twice over. */
const ROW_BYTES = 2 + 4 + 8 + 4 + 64

const { values } = parseArgs({ options: { gib: { type: 'string', default: '1' } } })
const sizes = values.gib.split(',').map(Number)

interface Line extends Measured {
  readonly what: string
  readonly gib: number
}

async function measure(database: TestDatabase, folder: string, gib: number): Promise<Line[]> {
  const rows = Math.ceil((gib * GIB) / ROW_BYTES)
  const file = join(folder, 'table.pgpack')
  const columns = `SELECT i AS id, md5(i::text) || md5((i * 7)::text) AS payload FROM generate_series(1, ${rows}::int8) AS i`
  const target = ['--dsn', database.dsn]
  const lines: Line[] = []
  const run = async (what: string, args: readonly string[]) => {
    lines.push({ what, gib, ...(await measurePgpack([...args, ...target, '--json'])) })
  }
  await database.query(`CREATE UNLOGGED TABLE source AS ${columns}; CREATE UNLOGGED TABLE target (LIKE source)`)
  for (const compression of ['zstd:3', 'lz4', 'none']) {
    await run(`dump, ${compression}`, ['dump', '--table', 'source', '--out', file, '--compression', compression])
    await run(`restore, ${compression}`, ['restore', '--table', 'target', '--mode', 'truncate', '--in', file])
  }
  await run('dump, zstd:3, 2 connections', ['dump', '--table', 'source', '--out', file, '--connections', '2'])
  await database.query('DROP TABLE source, target')
  return lines
}

function print(lines: readonly Line[]): void {
  process.stdout.write('| work | GiB | seconds | MiB/s | peak RSS, MiB |\n|---|---|---|---|---|\n')
  for (const { what, gib, seconds, peakRSS } of lines) {
    const rate = (gib * GIB) / MIB / seconds
    const peak = peakRSS / MIB
    const mark = peak > LIMIT_MIB ? ` (over ${LIMIT_MIB})` : ''
    process.stdout.write(
      `| ${what} | ${gib} | ${seconds.toFixed(1)} | ${rate.toFixed(0)} | ${peak.toFixed(0)}${mark} |\n`,
    )
  }
}

const folder = mkdtempSync(join(tmpdir(), 'pgpack-bench-'))
const server = await startPostgres()
try {
  const lines: Line[] = []
  for (const gib of sizes) {
    const database = await server.createDatabase()
    lines.push(...(await measure(database, folder, gib)))
    await database.drop()
  }
  print(lines)
} finally {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

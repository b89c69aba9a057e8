/**
 * `npm run bench`: peak memory of the engine by the size of what it moves, then rows a second of the typed rows beside
 * the Python reference (decode.ts), printed as tables.
 *
 * `-- --gib 1,10 --compression zstd:3,lz4,none --store file,S3 --source table` gives the sizes, in GiB of binary COPY, the
 * methods, the stores, and what is dumped: a table, or a query that generates the rows and needs no disk for them. The
 * default is 1 GiB of a table and all methods and stores. A table and its copy need 2.6 times the size of free disk.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from '../cluster/processes.ts'
import { startMinio } from '../support/minio-server.ts'
import { startPostgres, type TestDatabase } from '../support/postgres-server.ts'
import { referencePython } from '../support/reference.ts'
import { type Measured, measurePgpack } from './child.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3
/** The bound of issue and README: whatever the size, the engine stays below it. */
const LIMIT_MIB = 160
/** Field count, two lengths, an int8 and an md5 in hexadecimal twice over. */
const ROW_BYTES = 2 + 4 + 8 + 4 + 64

const DECODE = new URL('decode.ts', import.meta.url).pathname

const { values } = parseArgs({
  options: {
    gib: { type: 'string', default: '1' },
    compression: { type: 'string', default: 'zstd:3,lz4,none' },
    store: { type: 'string', default: 'file,S3' },
    source: { type: 'string', default: 'table' },
  },
})
const sizes = values.gib.split(',').map(Number)
const methods = values.compression.split(',')

interface Line extends Measured {
  readonly what: string
  readonly gib: number
}

/** A file, or an object of the bucket, and how to reach it. */
interface Place {
  readonly name: string
  readonly location: string
  readonly env: Record<string, string>
}

async function measure(database: TestDatabase, places: readonly Place[], gib: number): Promise<Line[]> {
  const rows = Math.ceil((gib * GIB) / ROW_BYTES)
  const select = `SELECT i AS id, md5(i::text) || md5((i * 7)::text) AS payload FROM generate_series(1, ${rows}::int8) AS i`
  const fromTable = values.source === 'table'
  const source = fromTable ? ['--table', 'source'] : ['--query', select]
  await database.query(
    'CREATE UNLOGGED TABLE source (id int8, payload text); CREATE UNLOGGED TABLE target (LIKE source)',
  )
  if (fromTable) await database.query(`INSERT INTO source ${select}`)
  const lines: Line[] = []
  const add = async (what: string, env: Record<string, string>, args: readonly string[]) => {
    lines.push({ what, gib, ...(await measurePgpack([...args, '--dsn', database.dsn, '--json'], env)) })
  }
  for (const { name, location, env } of places) {
    const dump = ['dump', ...source, '--out', location]
    const restore = ['restore', '--table', 'target', '--mode', 'truncate', '--in', location]
    for (const method of methods) {
      await add(`dump, ${method}, ${name}`, env, [...dump, '--compression', method])
      await add(`restore, ${method}, ${name}`, env, restore)
    }
    if (fromTable) await add(`dump, zstd:3, ${name}, 2 connections`, env, [...dump, '--connections', '2'])
  }
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
const minio = await startMinio()
try {
  const bucket = await minio.createBucket()
  const all: Place[] = [
    { name: 'file', location: join(folder, 'table.pgpack'), env: {} },
    {
      name: 'S3',
      location: `s3://${bucket}/table.pgpack`,
      env: {
        AWS_ENDPOINT_URL: minio.endpoint,
        AWS_ACCESS_KEY_ID: minio.accessKeyId,
        AWS_SECRET_ACCESS_KEY: minio.secretAccessKey,
      },
    },
  ]
  const places = all.filter(({ name }) => values.store.split(',').includes(name))
  const lines: Line[] = []
  for (const gib of sizes) {
    const database = await server.createDatabase()
    lines.push(...(await measure(database, places, gib)))
    await database.drop()
  }
  print(lines)
  const decoded = await run(process.execPath, [DECODE, '--python', await referencePython()])
  process.stdout.write(`\n${decoded}`)
} finally {
  await minio.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

/**
 * `node test/bench/decode.ts`: rows per second that RowReader decodes and RowWriter encodes, for a narrow table of
 * ints, timestamps and short text, on one core.
 *
 * `--rows 2000000` gives the number of rows. `--python <path>` is the interpreter of an environment with the released
 * reference (the interop tests make one); its reader then reads the same file, and the ratio is printed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  BUILTIN_REGISTRY,
  bufferSource,
  columnsOf,
  fromRows,
  PGPackReader,
  RowDecoder,
  RowReader,
} from '../../src/pgpack/index.ts'
import { run } from '../cluster/processes.ts'
import { copyOut } from '../support/copy.ts'
import { MemorySink, tuplesOf, writeFile as writePGPack } from '../support/pgpack.ts'
import { startPostgres } from '../support/postgres-server.ts'

const { values } = parseArgs({ options: { rows: { type: 'string', default: '1000000' }, python: { type: 'string' } } })
const count = Number(values.rows)
const ROUNDS = 3
const FRAME_ROWS = 5000
const columns = columnsOf({ id: 'int4', amount: 'int8', at: 'timestamptz', name: 'text' })
const query = `SELECT i::int4, i::int8 * 1000, timestamptz '2026-01-01' + i * interval '1.000001 s', 'name ' || i % 5000
  FROM generate_series(1, ${count}) AS i`
/** Reads all rows and prints the seconds that it took, without the start of Python. */
const REFERENCE = `import sys, time
from pgpack import PGPackReader
start = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    for row in PGPackReader(file).to_rows():
        pass
print(time.perf_counter() - start)`

async function makeFile(): Promise<Buffer> {
  const server = await startPostgres()
  try {
    const database = await server.createDatabase()
    const tuples = [...tuplesOf(await copyOut(database, `COPY (${query}) TO STDOUT (FORMAT binary)`))]
    const chunks: [Buffer, number][] = []
    for (let at = 0; at < tuples.length; at += FRAME_ROWS) {
      const some = tuples.slice(at, at + FRAME_ROWS)
      chunks.push([Buffer.concat(some), some.length])
    }
    return (await writePGPack({ columns, compression: { method: 'Zstd' } }, chunks)).file
  } finally {
    await server.stop()
  }
}

/** The best of some rounds: what the machine can do when nothing else runs. */
async function best(work: () => Promise<number>): Promise<number> {
  let seconds = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    const rows = await work()
    if (rows !== count) throw new Error(`${rows} rows instead of ${count}`)
    seconds = Math.min(seconds, (performance.now() - start) / 1000)
  }
  return seconds
}

async function readBatches(file: Buffer): Promise<number> {
  let rows = 0
  for await (const batch of (await RowReader.open(bufferSource(file))).batches()) rows += batch.length
  return rows
}

async function readObjects(file: Buffer): Promise<number> {
  let rows = 0
  for await (const batch of (await RowReader.objects(bufferSource(file))).batches()) rows += batch.length
  return rows
}

async function readRows(file: Buffer): Promise<number> {
  let rows = 0
  for await (const _ of await RowReader.open(bufferSource(file))) rows++
  return rows
}

async function decodeBody(body: Buffer): Promise<number> {
  const decoder = new RowDecoder(columns, BUILTIN_REGISTRY)
  decoder.push(body)
  for (;;) {
    const rows: unknown[][] = []
    decoder.next(rows, 1000)
    if (rows.length === 0) return decoder.rows
  }
}

async function rewrite(file: Buffer): Promise<number> {
  const reader = await RowReader.open(bufferSource(file))
  return Number((await fromRows(new MemorySink(), { columns, compression: { method: 'Zstd' } }, reader)).rows)
}

async function readByReference(python: string, file: Buffer): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'pgpack-bench-'))
  try {
    const path = join(folder, 'rows.pgpack')
    await writeFile(path, file)
    return Number(await run(python, ['-I', '-c', REFERENCE, path]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function print(what: string, seconds: number): void {
  process.stdout.write(`| ${what} | ${seconds.toFixed(2)} | ${(count / seconds / 1e6).toFixed(2)} |\n`)
}

const file = await makeFile()
const parts: Buffer[] = []
for await (const piece of (await PGPackReader.open(bufferSource(file))).body()) parts.push(piece)
const body = Buffer.concat(parts)
process.stdout.write('| work | seconds | million rows/s |\n|---|---|---|\n')
print('RowDecoder, body in memory', await best(() => decodeBody(body)))
const batches = await best(() => readBatches(file))
print('RowReader batches, zstd', batches)
print('RowReader.objects batches, zstd', await best(() => readObjects(file)))
print('RowReader rows, zstd', await best(() => readRows(file)))
print('RowReader to fromRows, zstd', await best(() => rewrite(file)))
if (values.python !== undefined) {
  const reference = await readByReference(values.python, file)
  print('Python reference, to_rows', reference)
  process.stdout.write(`ratio of RowReader batches to the reference: ${(reference / batches).toFixed(1)}\n`)
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { Random } from '../../fuzz/random.ts'
import { bundled } from '../../support/command.ts'
import { backendsGone, type Fingerprint, fingerprint, testContext } from '../../support/engine.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../support/postgres.ts'

/** Moments at which the engine is killed, half of them with one connection and half with two. */
const KILLS = Number(process.env['PGPACK_KILLS'] || 12)
const MOST_KILLS = 100
const SEED = Number(process.env['PGPACK_SEED'] || 20_241_107)
const ROWS = 50_000

jest.setTimeout(60_000 + Math.max(KILLS, MOST_KILLS) * 10_000)

const child = bundled('exactly-once-child.js')
let server: PostgresServer
let database: TestDatabase
let folder: string
let expected: Fingerprint

/** One row takes a while, so that with several parts there are moments at which just the others are committed. */
beforeAll(async () => {
  server = await startPostgres()
  database = await server.createDatabase()
  folder = await mkdtemp(join(tmpdir(), 'pgpack-kills-'))
  await database.query(`
    CREATE TABLE events (id int, note text);
    INSERT INTO events SELECT i, md5(i::text) || repeat('x', 60) FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE copied (LIKE events);
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON copied FOR EACH ROW WHEN (NEW.id = ${ROWS}) EXECUTE PROCEDURE slow()`)
  expected = await fingerprint(database, 'events')
  const request = {
    source: database.config,
    objects: [{ table: { schema: 'public', name: 'events' } }],
    connections: 1,
  }
  await dump(
    { ...request, store: new FilesystemStore(folder), path: 'p', compression: { method: 'Zstd', level: 1 } },
    testContext(),
  )
})
/** Processes that wait for a request: to start one takes longer than a restore. */
const waiting: Promise<ChildProcess>[] = []
const SPARE = 2

async function startChild(): Promise<ChildProcess> {
  const process_ = spawn(process.execPath, [child], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [first] = await Promise.race([once(process_.stdout, 'data'), once(process_, 'exit')])
  if (typeof first === 'number') throw new Error(`the process does not start: exit code ${first}`)
  return process_
}

async function takeChild(): Promise<ChildProcess> {
  while (waiting.length <= SPARE) waiting.push(startChild())
  return (await waiting.shift()) ?? startChild()
}

afterAll(async () => {
  for (const process_ of await Promise.all(waiting)) process_.kill('SIGKILL')
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

function requestOf(runId: string, connections: number) {
  const objects = [{ from: 'public.events', to: { schema: 'public', name: 'copied' } }]
  return { path: 'p', target: database.config, mode: 'Append', objects, runId, connections, analyze: 'Never' } as const
}

/** Resolves with whether the restore came to its end before it was killed, and the milliseconds that it lived. */
async function runAndKill(runId: string, connections: number, afterMs: number): Promise<{ done: boolean; ms: number }> {
  const process_ = await takeChild()
  const exited = once(process_, 'exit')
  process_.stdin?.write(`${JSON.stringify({ ...requestOf(runId, connections), folder })}\n`)
  const begun = performance.now()
  const timer = setTimeout(() => process_.kill('SIGKILL'), afterMs)
  const [code] = await exited
  clearTimeout(timer)
  return { done: code === 0, ms: performance.now() - begun }
}

async function rowsNow(): Promise<number> {
  const [row] = await database.query('SELECT count(*)::int AS rows FROM copied')
  return Number(row?.['rows'])
}

describe.each([1, 2])('an Append over %i connections that is killed', (connections) => {
  it('and tried again until it is done neither loses nor doubles a row, whatever the moment', async () => {
    const random = new Random(SEED, connections)
    const warm = await runAndKill(`warm-${connections}`, connections, 60_000)
    expect(warm.done).toBe(true)
    let span = warm.ms
    const seen = { killed: 0, partly: 0 }
    // A few moments can all be too late to show anything: then it goes on until one was in time.
    const shown = () => seen.killed > KILLS / 8 && (connections === 1 || seen.partly > 0)
    for (let kill = 0; kill < KILLS / 2 || (!shown() && kill < MOST_KILLS); kill += 1) {
      await database.query('TRUNCATE copied')
      const runId = `run-${connections}-${kill}`
      const afterMs = random.below(Math.ceil(span))
      const { done, ms } = await runAndKill(runId, connections, afterMs)
      // A run takes longer when the machine has got busier since: its end must stay among the moments.
      span = done ? ms : span * 1.05
      const rows = await rowsNow()
      seen.killed += done ? 0 : 1
      seen.partly += rows > 0 && rows < ROWS ? 1 : 0
      await restore({ ...requestOf(runId, connections), store: new FilesystemStore(folder) }, testContext())
      const moment = { kill, afterMs, done }
      expect({ ...moment, ...(await fingerprint(database, 'copied')) }).toEqual({ ...moment, ...expected })
    }
    await backendsGone(server)
    expect({ ...seen, shown: shown() }).toEqual({ ...seen, shown: true })
  })
})

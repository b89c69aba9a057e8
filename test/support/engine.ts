import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from '@jest/globals'
import type { RunContext } from '../../src/engine/context.ts'
import { ProgressMeter } from '../../src/engine/progress.ts'
import { PgpackError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import type { Progress } from '../../src/run/progress.ts'
import type { ObjectStore } from '../../src/storage/store.ts'
import { waitFor } from '../cluster/processes.ts'
import type { PostgresServer, TestDatabase } from './postgres-server.ts'

export interface TestContext extends RunContext {
  /** Every report of progress, in order. */
  readonly reports: readonly Progress[]
  readonly abort: (reason?: unknown) => void
}

/** A run's context that keeps what it hears. */
export function testContext(): TestContext {
  const stop = new AbortController()
  const reports: Progress[] = []
  const progress = new ProgressMeter((report) => reports.push(report), { now: () => performance.now(), intervalMs: 0 })
  return { signal: stop.signal, log: silentLogger, progress, reports, abort: (reason) => stop.abort(reason) }
}

export interface Fingerprint {
  readonly rows: string
  /** Independent of the rows' order: the sum of a hash of every row's text. */
  readonly hash: string
}

/** SQL for a hash of a row's text; hashtextextended would be faster, but came with PostgreSQL 11. */
export const rowHash = (row: string) => `('x' || left(md5(${row}::text), 15))::bit(60)::bigint`

/** Rows and hash of a table, or of anything that may stand in FROM. */
export async function fingerprint(database: TestDatabase, from: string): Promise<Fingerprint> {
  const sql = `SELECT count(*)::text AS rows, coalesce(sum(${rowHash('t')}), 0)::text AS hash FROM ${from} AS t`
  const [found] = await database.query<{ rows: string; hash: string }>(sql)
  if (found === undefined) throw new Error('no answer')
  return found
}

/** The error that a run ends with; a run that does not fail is an error, too. */
export async function failureOf(work: Promise<unknown>): Promise<PgpackError> {
  let value: unknown
  try {
    value = await work
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error(`it did not fail, but gave ${JSON.stringify(value)}`)
}

/** The keys in a store, in its order. */
export async function keysIn(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('', new AbortController().signal)) keys.push(key)
  return keys
}

export interface Backend {
  readonly pid: number
  readonly state: string
  readonly query: string
  readonly wait: string | null
}

/** The engine's own sessions on a server: `pgpack dump`, `pgpack restore`. */
export async function backendsOf(server: PostgresServer): Promise<Backend[]> {
  return server.query<Backend & Record<string, unknown>>(
    `SELECT pid, state, query, wait_event AS wait FROM pg_stat_activity WHERE application_name LIKE 'pgpack %' ORDER BY pid`,
  )
}

/** Resolves with a backend that runs COPY, as soon as there is one that `fits`. */
export async function copyingBackend(
  server: PostgresServer,
  fits: (backend: Backend) => boolean = () => true,
): Promise<Backend> {
  return waitFor('a backend that runs COPY', 45_000, async () => {
    const backends = await backendsOf(server)
    return backends.find((backend) => backend.state === 'active' && backend.query.startsWith('COPY') && fits(backend))
  })
}

/** Resolves when no session of the engine is left on the server. */
export async function backendsGone(server: PostgresServer, withinMs = 10_000): Promise<void> {
  await waitFor('the backends are gone', withinMs, async () => (await backendsOf(server)).length === 0 || undefined)
}

/** A temporary folder for each test. */
export function useFolder(): { readonly path: string } {
  let path = ''
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'pgpack-test-'))
  })
  afterEach(async () => rm(path, { recursive: true, force: true }))
  return {
    get path() {
      return path
    },
  }
}

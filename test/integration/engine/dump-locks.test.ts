import { describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { waitFor } from '../../cluster/processes.ts'
import { backendsOf, failureOf, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const ROWS = 3000
const postgres = usePostgres({
  setup: `CREATE TABLE orders (id int, filler text);
    INSERT INTO orders SELECT i, repeat('x', 200) FROM generate_series(1, ${ROWS}) i;`,
})
const folder = useFolder()

/**
 * Looks larger than any table here, so that it is read first; then it waits before its first row. Before PostgreSQL 12 the
 * planner takes every generate_series for 1000 rows.
 */
const sleeping = (name: string, seconds: number): DumpObject => ({
  query: {
    name,
    sql: `SELECT i, repeat('x', 100) AS filler, (SELECT pg_sleep(${seconds}))::text AS slept
      FROM generate_series(1, 1000) i, generate_series(1, 1000) LIMIT 500000`,
  },
})
const orders: DumpObject = { table: { schema: 'public', name: 'orders' } }

const store = () => new FilesystemStore(folder.path)

/** One connection for each sleeper; the first one sleeps on the leader, who holds its locks already. */
function dumpBehind(...seconds: readonly number[]) {
  const objects = [...seconds.map((each, index) => sleeping(`q${index}`, each)), orders]
  const request = {
    source: postgres.database.config,
    objects,
    connections: seconds.length,
    store: store(),
    path: 'run',
  }
  return dump({ ...request, compression: { method: 'Zstd', level: 1 } }, testContext())
}

const asleep = (count: number) =>
  waitFor('the sessions sleep', 30_000, async () => {
    const backends = await backendsOf(postgres.server)
    return backends.filter(({ wait }) => wait === 'PgSleep').length === count || undefined
  })

describe('while other objects are read', () => {
  it('a table that is still to come cannot be truncated: its rows belong to the snapshot', async () => {
    const dumping = dumpBehind(3)
    await asleep(1)
    const truncating = postgres.database.query("SET lock_timeout = '300ms'; TRUNCATE orders")
    await expect(truncating).rejects.toMatchObject({ code: '55P03' })
    expect((await dumping).totals.rows).toBe(String(500_000 + ROWS))
  })

  it('somebody who waits for an exclusive lock on it ends the dump, worth a retry, instead of a deadlock', async () => {
    const failure = failureOf(dumpBehind(12, 4))
    await asleep(2)
    const waiting = postgres.database.query('TRUNCATE orders')
    const error = await failure
    expect(error).toMatchObject({ code: 'POSTGRES_BUSY', retryable: true, details: { status: '55P03' } })
    await waiting
    expect(await keysIn(store())).toEqual([])
  })
})

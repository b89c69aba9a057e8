import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { connect, type PostgresConnection } from '../../../src/postgres/connection.ts'
import { copyIn } from '../../../src/postgres/copy-in.ts'
import { copyOut } from '../../../src/postgres/copy-out.ts'
import { exportSnapshot, importSnapshot } from '../../../src/postgres/snapshot.ts'
import { waitFor } from '../../cluster/processes.ts'
import { type PgBouncer, type PoolMode, startPgBouncer } from '../../support/pgbouncer.ts'
import { usePostgres } from '../../support/postgres.ts'

const postgres = usePostgres()

/** Through a PgBouncer of the test's own. */
async function through<T>(
  mode: PoolMode,
  settings: Readonly<Record<string, string | number>>,
  work: (pool: PgBouncer) => Promise<T>,
): Promise<T> {
  const pool = await startPgBouncer(postgres.server, mode, settings)
  try {
    return await work(pool)
  } finally {
    await pool.stop()
  }
}

function clientOf(pool: PgBouncer): pg.Client {
  const { host, port, user, database } = pool.config(postgres.database.name)
  return new pg.Client({ host, port, user, database, ssl: false })
}

/** Other clients of the pool, with `count` backends between them. */
async function withClients<T>(pool: PgBouncer, count: number, work: (clients: readonly pg.Client[]) => Promise<T>) {
  const clients = Array.from({ length: count }, () => clientOf(pool))
  try {
    for (const client of clients) await client.connect()
    // In a transaction each holds a backend; afterwards all of them wait in the pool.
    for (const client of clients) await client.query('begin')
    for (const client of clients) await client.query('commit')
    return await work(clients)
  } finally {
    for (const client of clients) await client.end()
  }
}

const refusal = {
  code: 'CONFIG_INVALID',
  retryable: false,
  message: expect.stringContaining('PgBouncer with pool_mode = transaction or statement'),
}

describe('PgBouncer in session mode', () => {
  let pool: PgBouncer
  beforeAll(async () => {
    pool = await startPgBouncer(postgres.server, 'session')
  }, 120_000)
  afterAll(() => pool.stop())

  async function within<T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const connection = await connect(pool.config(postgres.database.name), { session: { lockTimeoutSeconds: 7 } })
    try {
      return await work(connection)
    } finally {
      await connection.close()
    }
  }

  it("serves a session with settings, and the backend's own process id", async () => {
    await within(async (connection) => {
      const rows = await connection.query(`select pg_backend_pid() as pid, current_setting('lock_timeout') as timeout`)
      expect(rows).toEqual([{ pid: connection.processId, timeout: '7s' }])
    })
  })

  it('carries COPY both ways', async () => {
    await postgres.database.query(
      'create table t as select n, repeat($$x$$, 100) as x from generate_series(1, 20000) n',
    )
    await postgres.database.query('create table u (like t)')
    const rows = await within((source) =>
      within(async (target) => {
        const into = await copyIn(target, 'COPY u FROM STDIN (FORMAT binary)')
        for await (const { data } of await copyOut(source, 'COPY t TO STDOUT (FORMAT binary)')) await into.write(data)
        return into.end()
      }),
    )
    expect(rows).toBe(20_000n)
  })

  it('passes on what cancels a query and a COPY', async () => {
    await within(async (connection) => {
      const controller = new AbortController()
      const sleeping = connection.query('select pg_sleep(600)', [], { signal: controller.signal })
      setImmediate(() => controller.abort())
      await expect(sleeping).rejects.toMatchObject({ code: 'CANCELLED' })
      // More than once: there are PgBouncers that a CancelRequest can end.
      for (let attempt = 0; attempt < 5; attempt += 1) {
        for await (const _ of await copyOut(connection, 'COPY (select generate_series(1, 1000000000)) TO STDOUT')) break
      }
      expect(await connection.query('select 1 as n')).toEqual([{ n: 1 }])
    })
  })

  it('lets sessions share a snapshot', async () => {
    await within((leader) =>
      within(async (follower) => {
        await leader.query('begin isolation level repeatable read read only')
        const snapshot = await exportSnapshot(leader)
        await follower.query('begin isolation level repeatable read read only')
        await importSnapshot(follower, snapshot)
        expect(await follower.query('select 1 as n')).toEqual([{ n: 1 }])
      }),
    )
  })

  it('serves the only session that it has room for', async () => {
    await through('session', { default_pool_size: 1, query_wait_timeout: 60 }, async (small) => {
      const connection = await connect(small.config(postgres.database.name))
      expect(await connection.query('select 1 as n')).toEqual([{ n: 1 }])
      await connection.close()
    })
  })
})

describe('PgBouncer in a mode without sessions is refused', () => {
  it.each<PoolMode>(['transaction', 'statement'])('in %s mode, and keeps nothing of our settings', async (mode) => {
    await through(mode, {}, async (pool) => {
      await expect(connect(pool.config(postgres.database.name))).rejects.toMatchObject(refusal)
      const client = clientOf(pool)
      await client.connect()
      expect((await client.query('show row_security')).rows).toEqual([{ row_security: 'on' }])
      await client.end()
    })
  })

  it.each([0, 1])('when many backends wait in the pool (server_round_robin = %s)', async (roundRobin) => {
    await through('transaction', { server_round_robin: roundRobin }, (pool) =>
      withClients(pool, 10, async () => {
        await expect(connect(pool.config(postgres.database.name))).rejects.toMatchObject(refusal)
      }),
    )
  })

  it('when other clients keep the pool busy', async () => {
    await through('transaction', { default_pool_size: 4 }, (pool) =>
      withClients(pool, 4, async (clients) => {
        let stopped = false
        const busy = clients.map(async (client) => {
          while (!stopped) await client.query('select pg_sleep(0.002)')
        })
        try {
          for (let attempt = 0; attempt < 5; attempt += 1) {
            await expect(connect(pool.config(postgres.database.name))).rejects.toMatchObject(refusal)
          }
        } finally {
          stopped = true
          await Promise.all(busy)
        }
      }),
    )
  })

  it('and leaves no session behind', async () => {
    await through('transaction', {}, async (pool) => {
      await expect(connect(pool.config(postgres.database.name))).rejects.toMatchObject(refusal)
    })
    await waitFor('all backends are gone', 10_000, async () => {
      const sql = 'select 1 from pg_stat_activity where datname = $1'
      return (await postgres.server.query(sql, [postgres.database.name])).length === 0 || undefined
    })
  })
})

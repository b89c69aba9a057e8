import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import pg from 'pg'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { ConnectionConfig } from '../../../src/postgres/types.ts'
import type { RestoreMode } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { waitFor } from '../../cluster/processes.ts'
import { backendsOf, failureOf, type TestContext, testContext, useFolder } from '../../support/engine.ts'
import { startTCPProxy, type TCPProxy } from '../../support/faultproxy.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(60_000)

const ROWS = 300
const postgres = usePostgres({
  setup: `
    CREATE TABLE events (id int, note text);
    INSERT INTO events SELECT i, 'note ' || i FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE copied (LIKE events);
    CREATE ROLE writer LOGIN PASSWORD 'wr1ter'; GRANT SELECT, INSERT ON copied TO writer;`,
})
const folder = useFolder()
let store: FilesystemStore

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  const objects = [{ table: { schema: 'public', name: 'events' } }]
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'run/pod-1' }
  await dump({ ...request, compression: { method: 'Zstd' } }, testContext())
})

interface Changes {
  readonly runId?: string
  readonly mode?: RestoreMode
  readonly target?: ConnectionConfig
}

function append({ runId = 'uid-1', mode = 'Append', target = postgres.database.config }: Changes = {}) {
  const objects = [{ from: 'public.events', to: { schema: 'public', name: 'copied' } }]
  return restore({ store, path: 'run/pod-1', target, mode, objects, runId }, testContext())
}

async function copiedRows(): Promise<number> {
  const [row] = await postgres.database.query('SELECT count(*)::int AS rows FROM copied')
  return Number(row?.['rows'])
}

const ledger = () =>
  postgres.database.query('SELECT run_id, objects::int, rows::int FROM pgpack.ledger ORDER BY run_id')

/** A session of the test's own, for what a transaction of another pod does. */
async function withSession(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.database.dsn })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

describe('an Append with a run id', () => {
  it('is done once however often it is tried, and each attempt tells what was committed', async () => {
    const first = await append()
    const second = await append()
    expect(second.totals).toEqual(first.totals)
    expect(await copiedRows()).toBe(ROWS)
    expect(await ledger()).toEqual([{ run_id: 'uid-1', objects: 1, rows: ROWS }])
  })

  it('of another run is another Append', async () => {
    await append({ runId: 'uid-1' })
    await append({ runId: 'uid-2' })
    expect(await copiedRows()).toBe(2 * ROWS)
    expect(await ledger()).toHaveLength(2)
  })

  it('that failed leaves no row in the ledger, so that the next attempt does it', async () => {
    await postgres.database.query(`ALTER TABLE copied ADD CONSTRAINT no CHECK (id < ${ROWS})`)
    expect((await failureOf(append())).code).toBe('POSTGRES_DATA')
    expect(await ledger()).toEqual([])
    await postgres.database.query('ALTER TABLE copied DROP CONSTRAINT no')
    await append()
    expect(await copiedRows()).toBe(ROWS)
  })

  it('whose pod was killed before its commit is done by the next attempt', async () => {
    await withSession(async (client) => {
      await append({ runId: 'uid-0' })
      await client.query('BEGIN')
      await client.query(
        `INSERT INTO pgpack.ledger (run_id, objects, rows, bytes, stored_bytes) VALUES ('uid-1', 0, 0, 0, 0)`,
      )
      const retried = append()
      await waitFor('the second pod waits for the first', 10_000, async () =>
        (await backendsOf(postgres.server)).find(({ wait }) => wait === 'transactionid'),
      )
      await client.query('ROLLBACK')
      await retried
      expect(await copiedRows()).toBe(2 * ROWS)
    })
  })
})

describe('two pods of one run at the same time', () => {
  beforeEach(async () => {
    await postgres.database.query(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.003); RETURN NEW; END $$;
      CREATE TRIGGER slow BEFORE INSERT ON copied FOR EACH ROW EXECUTE PROCEDURE slow()`)
  })

  it('append once, and both tell what was committed', async () => {
    await append({ runId: 'uid-0' })
    const [one, other] = await Promise.all([append(), append()])
    expect(other).toEqual(one)
    expect(one.totals.rows).toBe(String(ROWS))
    expect(await copiedRows()).toBe(2 * ROWS)
  })

  it('append once where there was no ledger before', async () => {
    const [one, other] = await Promise.all([append(), append()])
    expect(other).toEqual(one)
    expect(await copiedRows()).toBe(ROWS)
  })
})

describe('a connection that breaks during COMMIT', () => {
  let proxy: TCPProxy

  beforeEach(async () => {
    proxy = await startTCPProxy({ host: postgres.server.host, port: postgres.server.port })
    await postgres.database.query(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON copied DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.id = 1) EXECUTE PROCEDURE slow()`)
  })
  afterEach(async () => proxy.stop())

  const cut = () => proxy.cutAll()

  /** Does something when the server is in the middle of COMMIT; it goes on and commits all the same. */
  async function duringCommit(act: (context: TestContext) => void, runId?: string): Promise<PgpackError> {
    const context = testContext()
    const target = { ...postgres.database.config, port: proxy.port }
    const objects = [{ from: 'public.events', to: { schema: 'public', name: 'copied' } }]
    const request = { store, path: 'run/pod-1', target, mode: 'Append', objects } as const
    const failure = failureOf(restore({ ...request, ...(runId === undefined ? {} : { runId }) }, context))
    await waitFor('the server commits', 10_000, async () =>
      (await backendsOf(postgres.server)).find(({ query, wait }) => query === 'COMMIT' && wait === 'PgSleep'),
    )
    act(context)
    const error = await failure
    await waitFor('the rows are there', 10_000, async () => (await copiedRows()) > 0 || undefined)
    return error
  }

  it('is worth a retry with a run id, and the retry finds that all was done', async () => {
    expect(await duringCommit(cut, 'uid-1')).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: true })
    expect((await append()).totals).toMatchObject({ rows: String(ROWS) })
    expect(await copiedRows()).toBe(ROWS)
  })

  it('is not to be tried again blindly without one, and the message says why', async () => {
    const error = await duringCommit(cut)
    expect(error).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: false })
    expect(error.message).toContain('during COMMIT')
  })

  it('says so as well when it is cut because a cancellation does not reach the server', async () => {
    const error = await duringCommit(({ abort }) => {
      proxy.use(() => ({ refuse: true }))
      abort(new Error('received SIGTERM'))
    })
    expect(error).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: false })
    expect(error.message).toContain('during COMMIT')
  })
})

describe('the ledger', () => {
  it('is made by two runs at once, whichever is first', async () => {
    await Promise.all(['uid-1', 'uid-2', 'uid-3', 'uid-4'].map((runId) => append({ runId })))
    expect(await ledger()).toHaveLength(4)
    expect(await copiedRows()).toBe(4 * ROWS)
  })

  it('is made even when another session has just made its schema and not yet its table', async () => {
    await withSession(async (client) => {
      await client.query('BEGIN')
      await client.query('CREATE SCHEMA pgpack')
      const waiting = append()
      await waitFor('the restore waits for the schema', 10_000, async () =>
        (await backendsOf(postgres.server)).find(({ wait }) => wait === 'transactionid'),
      )
      await client.query('COMMIT')
      await waiting
    })
    expect(await ledger()).toEqual([{ run_id: 'uid-1', objects: 1, rows: ROWS }])
  })

  it('that the user may not make is asked for by its definition, and no row is kept', async () => {
    const target = { ...postgres.database.config, user: 'writer', password: 'wr1ter' }
    const error = await failureOf(append({ target }))
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false, reason: 'PermissionDenied' })
    expect(error.message).toContain('CREATE TABLE IF NOT EXISTS pgpack.ledger')
    expect(await copiedRows()).toBe(0)
  })

  it('that an administrator has made with the grants that the message names serves a plain user', async () => {
    const target = { ...postgres.database.config, user: 'writer', password: 'wr1ter' }
    const { message } = await failureOf(append({ target }))
    const create = message.slice(message.indexOf('CREATE TABLE'))
    await postgres.database.query(`CREATE SCHEMA pgpack; ${create}`)
    await postgres.database.query(
      'GRANT USAGE ON SCHEMA pgpack TO writer; GRANT SELECT, INSERT, UPDATE ON pgpack.ledger TO writer',
    )
    await append({ target })
    await append({ target })
    expect(await copiedRows()).toBe(ROWS)
  })

  it('is not touched by a Truncate, which is the same however often it is done', async () => {
    await append({ mode: 'Truncate' })
    await append({ mode: 'Truncate' })
    expect(await copiedRows()).toBe(ROWS)
    expect(await postgres.database.query(`SELECT to_regnamespace('pgpack') AS schema`)).toEqual([{ schema: null }])
  })

  it('is in the same transaction as the rows', async () => {
    await append()
    const [row] = await postgres.database.query(
      'SELECT (SELECT xmin::text FROM pgpack.ledger) = (SELECT DISTINCT xmin::text FROM copied) AS same',
    )
    expect(row).toEqual({ same: true })
  })
})

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type TransferRequest, transfer } from '../../../src/engine/transfer.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { TransferObject } from '../../../src/run/config.ts'
import type { Outcome } from '../../../src/run/result.ts'
import { waitFor } from '../../cluster/processes.ts'
import {
  backendsGone,
  backendsOf,
  copyingBackend,
  failureOf,
  fingerprint,
  type TestContext,
  testContext,
} from '../../support/engine.ts'
import { type TestDatabase, usePostgres } from '../../support/postgres.ts'
import { allTypes, userTypes } from '../../support/tables.ts'

jest.setTimeout(120_000)

const ROWS = 30_000
const EVENTS = 'id bigint, kind text, at timestamptz, amount numeric(12,2)'
const postgres = usePostgres({
  setup: `
    CREATE TABLE events (${EVENTS});
    INSERT INTO events SELECT i, 'kind ' || i % 7, timestamptz '2024-01-01' + i * interval '1 s', i / 100.0
    FROM generate_series(1, ${ROWS}) i;
    -- By which servers before PostgreSQL 14 share a table out among connections.
    ALTER TABLE events ADD PRIMARY KEY (id);
    ANALYZE events;`,
})
let target: TestDatabase

beforeEach(async () => {
  target = await postgres.server.createDatabase()
})
afterEach(async () => target.drop())

const events = { schema: 'public', name: 'events' }
const intoEvents: TransferObject = { table: events }

type Changes = Partial<TransferRequest>

function move(changes: Changes = {}, context: TestContext = testContext()): Promise<Outcome> {
  const { source, target: to } = { source: postgres.database.config, target: target.config }
  return transfer({ source, target: to, mode: 'Append', objects: [intoEvents], ...changes }, context)
}

async function refusal(changes: Changes): Promise<PgpackError> {
  const error = await failureOf(move(changes))
  await backendsGone(postgres.server)
  return error
}

describe.each([1, 3])('a transfer over %i connections', (connections) => {
  beforeEach(async () => {
    await target.query(`CREATE TABLE events (${EVENTS})`)
  })

  it('brings every row of a table into the other database', async () => {
    const context = testContext()
    const { totals } = await move({ connections }, context)
    expect(totals).toMatchObject({ objects: 1, rows: String(ROWS), storedBytes: '0' })
    expect(await fingerprint(target, 'events')).toEqual(await fingerprint(postgres.database, 'events'))
    expect(context.reports.at(-1)).toMatchObject({ objects: 1, objectsDone: 1, rows: String(ROWS), percent: 100 })
    await backendsGone(postgres.server)
  })

  it('brings the rows of a query', async () => {
    const query = { name: 'late', sql: 'SELECT id, kind FROM events WHERE id > 100' }
    await move({ connections, objects: [{ query, to: events }] })
    expect(await target.query('SELECT count(*)::int AS rows, min(id)::int, count(at)::int AS at FROM events')).toEqual([
      { rows: ROWS - 100, min: 101, at: 0 },
    ])
  })

  it('brings an empty table', async () => {
    await postgres.database.query('CREATE TABLE empty (id int)')
    await target.query('CREATE TABLE empty (id int)')
    const { totals } = await move({ connections, objects: [{ table: { schema: 'public', name: 'empty' } }] })
    expect(totals).toMatchObject({ objects: 1, rows: '0' })
  })

  it('empties the table first under Truncate, and again when it is done again', async () => {
    await target.query('INSERT INTO events VALUES (0)')
    for (let time = 0; time < 2; time += 1) await move({ connections, mode: 'Truncate' })
    expect(await fingerprint(target, 'events')).toEqual(await fingerprint(postgres.database, 'events'))
  })

  it('is done once with a run id under Append, however often it is tried', async () => {
    const first = await move({ connections, runId: 'uid-1' })
    const second = await move({ connections, runId: 'uid-1' })
    expect(second.totals).toEqual(first.totals)
    expect((await fingerprint(target, 'events')).rows).toBe(String(ROWS))
  })

  it('keeps nothing when the target refuses one row', async () => {
    await target.query(`ALTER TABLE events ADD CONSTRAINT no CHECK (id <> ${ROWS - 10})`)
    const error = await refusal({ connections })
    expect(error).toMatchObject({ code: 'POSTGRES_DATA', retryable: false })
    expect((await fingerprint(target, 'events')).rows).toBe('0')
  })

  it('keeps nothing when a check at COMMIT refuses a row', async () => {
    await target.query(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
      CREATE CONSTRAINT TRIGGER no AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.id = ${ROWS - 10}) EXECUTE PROCEDURE no()`)
    expect((await refusal({ connections })).message).toContain('refused')
    expect((await fingerprint(target, 'events')).rows).toBe('0')
  })

  it('keeps nothing when it is aborted, and no backend is left', async () => {
    await target.query(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
      CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE PROCEDURE slow()`)
    const context = testContext()
    const failure = failureOf(move({ connections }, context))
    await copyingBackend(postgres.server, ({ query }) => query.includes('FROM STDIN'))
    context.abort()
    expect(await failure).toMatchObject({ code: 'CANCELLED' })
    await backendsGone(postgres.server)
    expect((await fingerprint(target, 'events')).rows).toBe('0')
  })

  it('keeps nothing when the source is lost on the way', async () => {
    await target.query(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
      CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.id < 200) EXECUTE PROCEDURE slow()`)
    const query = { name: 'wide', sql: 'SELECT id, repeat(kind, 500) AS kind FROM events' }
    const failure = failureOf(move({ connections, objects: [{ query, to: events }] }))
    await copyingBackend(postgres.server, ({ query: running }) => running.includes('FROM STDIN'))
    const reader = await copyingBackend(postgres.server, ({ query: running }) => running.includes('TO STDOUT'))
    await postgres.server.query('SELECT pg_terminate_backend($1)', [reader.pid])
    expect(await failure).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: true })
    await backendsGone(postgres.server)
    expect((await fingerprint(target, 'events')).rows).toBe('0')
  })
})

describe('a transfer', () => {
  it('brings values of all types as they are', async () => {
    await postgres.database.query(`${userTypes} ${allTypes}`)
    const { totals } = await move({
      connections: 2,
      mode: 'CreateIfMissing',
      objects: [{ table: { schema: 'public', name: 'all_types' } }],
    })
    expect(totals.rows).toBe('2004')
    expect(await fingerprint(target, 'all_types')).toEqual(await fingerprint(postgres.database, 'all_types'))
  })

  it('takes tables by patterns into another schema', async () => {
    await postgres.database.query('CREATE TABLE event_kinds AS SELECT DISTINCT kind FROM events')
    await target.query('CREATE SCHEMA copied')
    const objects: TransferObject[] = [
      { tables: { schema: 'public', include: ['event*'], exclude: [] }, toSchema: 'copied' },
    ]
    const { totals } = await move({ objects, mode: 'CreateIfMissing', connections: 2 })
    expect(totals).toMatchObject({ objects: 2, rows: String(ROWS + 7) })
    expect(await fingerprint(target, 'copied.events')).toEqual(await fingerprint(postgres.database, 'events'))
  })

  it('reads one snapshot over all connections while another session writes', async () => {
    await target.query(`CREATE TABLE events (${EVENTS})`)
    await postgres.database.query('CREATE TABLE marks (id int); INSERT INTO marks VALUES (0)')
    const writing = new AbortController()
    const writer = (async () => {
      while (!writing.signal.aborted) {
        await postgres.database.query(
          `UPDATE events SET amount = amount + 1 WHERE id % 3000 = 0;
           INSERT INTO events SELECT least(min(id), 0) - 1 FROM events`,
        )
      }
    })()
    try {
      await move({ connections: 3 })
    } finally {
      writing.abort()
      await writer
    }
    expect(
      await target.query('SELECT count(DISTINCT id)::int AS ids, count(*)::int AS rows FROM events WHERE id > 0'),
    ).toEqual([{ ids: ROWS, rows: ROWS }])
  })

  it('runs statements before and after on both sides', async () => {
    await target.query(`CREATE TABLE events (${EVENTS}); CREATE TABLE said (text text)`)
    await postgres.database.query('CREATE TABLE said (text text)')
    await move({
      sourceBefore: ["INSERT INTO said VALUES ('before')", 'DELETE FROM events WHERE id > 10'],
      sourceAfter: ["INSERT INTO said VALUES ('after')"],
      before: ["INSERT INTO said SELECT 'before ' || count(*) FROM events"],
      after: ["INSERT INTO said SELECT 'after ' || count(*) FROM events"],
    })
    expect(await postgres.database.query('SELECT text FROM said')).toEqual([{ text: 'before' }, { text: 'after' }])
    expect(await target.query('SELECT text FROM said')).toEqual([{ text: 'before 0' }, { text: 'after 10' }])
  })

  it('is a dry run that shows both sides and writes nothing', async () => {
    const { totals, plan } = await move({ runMode: 'DryRun', mode: 'CreateIfMissing' })
    expect(totals.rows).toBe('0')
    expect(plan).toContain('public.events (new)')
    expect(plan).toMatch(/numeric\(12,2\).*numeric\(12,2\)/)
    expect(plan).toContain('30,000 rows')
    expect(await target.query(`SELECT to_regclass('public.events') AS table`)).toEqual([{ table: null }])
  })

  it('tells all that is wrong on the target at once', async () => {
    await target.query('CREATE TABLE events (id int, kind varchar(3), extra int NOT NULL)')
    const error = await refusal({})
    expect(error.code).toBe('TARGET_MISMATCH')
    for (const column of ['id', 'kind', 'at', 'amount', 'extra']) expect(error.message).toContain(`column "${column}"`)
  })
})

describe('a transfer within one database', () => {
  const within = (changes: Changes) => refusal({ target: postgres.database.config, ...changes })

  it('goes into another table', async () => {
    await postgres.database.query('CREATE TABLE copied (LIKE events)')
    const to = { schema: 'public', name: 'copied' }
    await move({ target: postgres.database.config, objects: [{ table: events, to }], mode: 'Truncate', connections: 2 })
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'events'))
  })

  it.each(['Append', 'Truncate', 'Replace'] as const)('is refused for a table into itself (%s)', async (mode) => {
    const error = await within({ mode })
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    expect(error.message).toContain('the same table')
    expect((await fingerprint(postgres.database, 'events')).rows).toBe(String(ROWS))
  })

  it('is refused where the table to be emptied is read through a view or by a query', async () => {
    await postgres.database.query('CREATE VIEW seen AS SELECT * FROM events')
    const objects: TransferObject[] = [
      { table: { schema: 'public', name: 'seen' }, to: events },
      { query: { name: 'q', sql: 'SELECT * FROM events' }, to: events },
    ]
    for (const object of objects) {
      const error = await within({ mode: 'Truncate', objects: [object] })
      expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
      expect(error.message).toContain('cannot be emptied in mode Truncate')
    }
  })

  it('is refused where a partition that is read is to be emptied', async () => {
    await postgres.database.query(`CREATE TABLE whole (id int) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (100)`)
    const objects = [{ table: { schema: 'public', name: 'whole' }, to: { schema: 'public', name: 'low' } }]
    expect((await within({ mode: 'Truncate', objects })).message).toContain('cannot be emptied')
  })
})

describe('a transfer over several connections whose commits were cut', () => {
  it('is refused by the next attempt, which would double what was committed', async () => {
    await target.query(`CREATE TABLE events (${EVENTS})`)
    await move({ connections: 3, runId: 'uid-1' })
    await target.query(`DELETE FROM pgpack.ledger WHERE object = '' OR part = 2`)
    const error = await refusal({ connections: 3, runId: 'uid-1' })
    expect(error).toMatchObject({ code: 'TARGET_INCOMPLETE', retryable: false })
    expect(error.message).toContain('2 of 3 connections')
    expect((await fingerprint(target, 'events')).rows).toBe(String(ROWS))
  })

  it('is refused by an attempt over one connection, too', async () => {
    await target.query(`CREATE TABLE events (${EVENTS})`)
    await move({ connections: 3, runId: 'uid-1' })
    await target.query(`DELETE FROM pgpack.ledger WHERE object = '' OR part = 2`)
    expect(await refusal({ runId: 'uid-1' })).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    await move({ runId: 'uid-1', mode: 'Truncate' })
    expect(await fingerprint(target, 'events')).toEqual(await fingerprint(postgres.database, 'events'))
  })

  it('is done anew under Truncate', async () => {
    await target.query(`CREATE TABLE events (${EVENTS})`)
    await move({ connections: 3, runId: 'uid-1', mode: 'Truncate' })
    await target.query(`DELETE FROM pgpack.ledger WHERE object = '' OR part = 2`)
    await move({ connections: 3, runId: 'uid-1', mode: 'Truncate' })
    expect(await fingerprint(target, 'events')).toEqual(await fingerprint(postgres.database, 'events'))
  })

  it('waits for the other where two pods of one run are at work', async () => {
    await target.query(`CREATE TABLE events (${EVENTS})`)
    const attempts = await Promise.allSettled([0, 1].map(() => move({ connections: 3, runId: 'uid-1' })))
    expect(attempts.map(({ status }) => status)).toContain('fulfilled')
    expect(await fingerprint(target, 'events')).toEqual(await fingerprint(postgres.database, 'events'))
    await waitFor(
      'the backends are gone',
      10_000,
      async () => (await backendsOf(postgres.server)).length === 0 || undefined,
    )
  })
})

import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import pg from 'pg'
import { dump } from '../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore } from '../../../src/engine/restore.ts'
import type { RestoreObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { waitFor } from '../../cluster/processes.ts'
import { backendsGone, backendsOf, failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const ROWS = 20_000
const postgres = usePostgres({
  setup: `
    CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
    CREATE DOMAIN positive AS int DEFAULT 1 CHECK (VALUE > 0);
    CREATE TYPE pair AS (label text, mood mood);
    CREATE TABLE orders (id serial PRIMARY KEY, mood mood NOT NULL, amount positive, pair pair, note varchar(400));
    INSERT INTO orders SELECT i, 'sad', i, row(i, 'sad')::pair, md5(i::text) || repeat(md5((i * 7)::text), 10)
      FROM generate_series(1, ${ROWS}) i;`,
})
const folder = useFolder()
let store: FilesystemStore
const sql = (text: string) => postgres.database.query(text)

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  const objects = [{ table: { schema: 'public', name: 'orders' } }]
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'p' }
  await dump({ ...request, compression: { method: 'Zstd' } }, testContext())
})

type Changes = Partial<ArtifactRestoreRequest> & { readonly into?: string; readonly columns?: RestoreObject['columns'] }

function into(name: string, { columns, ...changes }: Changes = {}, context = testContext()) {
  const object = { from: 'public.orders', to: { schema: 'public', name } }
  const objects = [columns === undefined ? object : { ...object, columns }]
  const target = postgres.database.config
  return restore({ store, path: 'p', target, mode: 'Append', objects, ...changes }, context)
}

const all = () => fingerprint(postgres.database, 'orders')

describe.each([1, 3])('Replace over %i connections', (connections) => {
  beforeEach(async () => {
    await sql(`
      CREATE TABLE shown (LIKE orders INCLUDING ALL, extra int DEFAULT 7);
      INSERT INTO shown (id, mood) VALUES (-1, 'sad');
      CREATE VIEW seen AS SELECT * FROM shown;
      CREATE INDEX notes ON shown (note);
      GRANT SELECT ON shown TO PUBLIC`)
  })

  it('puts the new rows in the place of the old ones and keeps all that hangs on the table', async () => {
    const oid = await sql(`SELECT 'shown'::regclass::oid`)
    const { totals } = await into('shown', { mode: 'Replace', connections })
    expect(totals).toMatchObject({ objects: 1, rows: String(ROWS) })
    const columns = 'SELECT id, mood, amount, pair, note FROM'
    expect(await fingerprint(postgres.database, `(${columns} seen)`)).toEqual(
      await fingerprint(postgres.database, `(${columns} orders)`),
    )
    expect(await sql(`SELECT 'shown'::regclass::oid`)).toEqual(oid)
    expect(await sql('SELECT DISTINCT extra FROM shown')).toEqual([{ extra: 7 }])
    expect(await sql(`SELECT has_table_privilege('public', 'shown', 'SELECT') AS may`)).toEqual([{ may: true }])
    expect(await sql(`SELECT relname FROM pg_class WHERE relname LIKE 'pgpack%' AND relkind = 'r'`)).toEqual([])
  })

  it('shows the old rows to others until all new ones are there', async () => {
    const other = new pg.Client({ connectionString: postgres.database.dsn })
    await other.connect()
    try {
      await other.query('BEGIN; SELECT FROM shown')
      const replacing = into('shown', { mode: 'Replace', connections })
      await waitFor('all rows are there, and the table is about to be emptied', 20_000, async () =>
        (await backendsOf(postgres.server)).find(
          ({ query, wait }) => query.startsWith('TRUNCATE') && wait === 'relation',
        ),
      )
      const { rows } = await other.query('SELECT id FROM shown')
      expect(rows).toEqual([{ id: -1 }])
      await other.query('COMMIT')
      await replacing
    } finally {
      await other.end()
    }
    expect((await fingerprint(postgres.database, 'shown')).rows).toBe(String(ROWS))
  })

  it('leaves the table as it was when a new row breaks a rule, and nothing beside it', async () => {
    await sql(`ALTER TABLE shown ADD CONSTRAINT no CHECK (id <> ${ROWS - 1})`)
    const before = await fingerprint(postgres.database, 'shown')
    expect(await failureOf(into('shown', { mode: 'Replace', connections }))).toMatchObject({ code: 'POSTGRES_DATA' })
    expect(await fingerprint(postgres.database, 'shown')).toEqual(before)
    await backendsGone(postgres.server)
    expect(await sql(`SELECT relname FROM pg_class WHERE relname LIKE 'pgpack%' AND relkind = 'r'`)).toEqual([])
  })

  it('leaves nothing beside the table when it is aborted, and drops what a killed attempt has left', async () => {
    await sql(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;
      CREATE TRIGGER slow BEFORE TRUNCATE ON shown EXECUTE PROCEDURE slow()`)
    const context = testContext()
    const failure = failureOf(into('shown', { mode: 'Replace', connections, runId: 'uid-1' }, context))
    const shadows = () => sql(`SELECT relname FROM pg_class WHERE relname LIKE 'pgpack%' AND relkind = 'r'`)
    await waitFor('the table is about to be emptied', 20_000, async () =>
      (await backendsOf(postgres.server)).find(({ query }) => query.startsWith('TRUNCATE')),
    )
    for (const { relname } of connections > 1 ? await shadows() : []) await sql(`CREATE TABLE ${relname}left ()`)
    context.abort()
    expect(await failure).toMatchObject({ code: 'CANCELLED' })
    expect(await shadows()).toHaveLength(connections > 1 ? 1 : 0)
    await sql('DROP TRIGGER slow ON shown')
    await into('shown', { mode: 'Replace', connections, runId: 'uid-1' })
    expect(await shadows()).toEqual([])
  })

  it('writes values of identity columns, which an INSERT would refuse', async () => {
    await sql(`ALTER TABLE shown ALTER id DROP DEFAULT, ALTER id ADD GENERATED ALWAYS AS IDENTITY`)
    await into('shown', { mode: 'Replace', connections })
    expect(await sql('SELECT min(id), max(id) FROM shown')).toEqual([{ min: 1, max: ROWS }])
    await sql(`INSERT INTO shown (mood) VALUES ('sad')`)
    expect(await sql('SELECT max(id) FROM shown')).toEqual([{ max: ROWS + 1 }])
  })
})

describe.each([1, 3])('CreateIfMissing over %i connections', (connections) => {
  it('makes the table with its types, key and NOT NULL, in another database', async () => {
    const other = await postgres.server.createDatabase()
    try {
      const { totals } = await into('made', { mode: 'CreateIfMissing', connections, target: other.config })
      expect(totals.rows).toBe(String(ROWS))
      expect(await fingerprint(other, 'made')).toEqual(await all())
      expect(
        await other.query(
          `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required
           FROM pg_attribute a WHERE a.attrelid = 'made'::regclass AND a.attnum > 0`,
        ),
      ).toEqual([
        { name: 'id', type: 'integer', required: true },
        { name: 'mood', type: 'mood', required: true },
        { name: 'amount', type: 'positive', required: false },
        { name: 'pair', type: 'pair', required: false },
        { name: 'note', type: 'character varying(400)', required: false },
      ])
      expect(await failureOf(into('made', { target: other.config }))).toMatchObject({ code: 'POSTGRES_DATA' })
      await expect(other.query(`INSERT INTO made (id, mood, amount) VALUES (-1, 'sad', -1)`)).rejects.toThrow(
        'positive',
      )
    } finally {
      await other.drop()
    }
  })

  it('adds to a table that is there, once for a run id', async () => {
    await sql('CREATE TABLE made (LIKE orders)')
    for (let time = 0; time < 2; time += 1) await into('made', { mode: 'CreateIfMissing', connections, runId: 'uid-1' })
    expect(await fingerprint(postgres.database, 'made')).toEqual(await all())
  })
})

describe('sequences of a loaded table', () => {
  it('go on behind the largest value, and never back', async () => {
    await sql(
      'CREATE TABLE counted (LIKE orders); CREATE SEQUENCE ids OWNED BY counted.id; ALTER TABLE counted ALTER id SET DEFAULT nextval($$ids$$)',
    )
    await into('counted')
    expect(await sql(`SELECT nextval('ids')::int AS id`)).toEqual([{ id: ROWS + 1 }])
    await sql(`SELECT setval('ids', ${5 * ROWS})`)
    await into('counted', { mode: 'Truncate' })
    expect(await sql(`SELECT nextval('ids')::int AS id`)).toEqual([{ id: 5 * ROWS + 1 }])
  })
})

describe('a loaded table', () => {
  it.each(['Always', 'Never'] as const)('is analysed: %s', async (analyze) => {
    await sql('CREATE TABLE copied (LIKE orders)')
    await into('copied', { analyze })
    const [row] = await sql(`SELECT reltuples::int AS rows FROM pg_class WHERE relname = 'copied'`)
    expect(Number(row?.['rows']) === ROWS).toBe(analyze === 'Always')
  })

  it('takes some of the columns, over one connection and several', async () => {
    await sql('CREATE TABLE few (note text, id int, own text DEFAULT $$mine$$)')
    for (const connections of [1, 3]) {
      await into('few', { columns: ['note', 'id'], mode: 'Truncate', connections })
      expect(await sql(`SELECT DISTINCT own FROM few`)).toEqual([{ own: 'mine' }])
      expect(await fingerprint(postgres.database, '(SELECT id, note::text FROM few)')).toEqual(
        await fingerprint(postgres.database, '(SELECT id, note::text FROM orders)'),
      )
    }
  })

  it('refuses a column that the dump does not have, by its name', async () => {
    await sql('CREATE TABLE few (id int)')
    const error = await failureOf(into('few', { columns: ['id', 'nothing'] }))
    expect(error).toMatchObject({ code: 'POSTGRES_NO_COLUMN' })
    expect(error.message).toContain('no column "nothing"')
  })
})

describe('several objects', () => {
  beforeEach(async () => {
    await sql('CREATE TABLE one (LIKE orders); CREATE TABLE two (LIKE orders); ALTER TABLE two ADD CHECK (id < 100)')
  })
  const objects = ['one', 'two'].map((name) => ({ from: 'public.orders', to: { schema: 'public', name } }))

  it('are kept one by one under PerObject, and none of them under All', async () => {
    await failureOf(into('', { objects, transaction: 'All' }))
    expect((await fingerprint(postgres.database, 'one')).rows).toBe('0')
    await failureOf(into('', { objects, transaction: 'PerObject' }))
    expect((await fingerprint(postgres.database, 'one')).rows).toBe(String(ROWS))
    expect((await fingerprint(postgres.database, 'two')).rows).toBe('0')
  })

  it('are gone on with where the attempt before has failed', async () => {
    const request = { objects, transaction: 'PerObject', runId: 'uid-1' } as const
    await failureOf(into('', request))
    await sql('ALTER TABLE two DROP CONSTRAINT two_id_check')
    const { totals } = await into('', request)
    expect(totals).toMatchObject({ objects: 2, rows: String(2 * ROWS) })
    for (const table of ['one', 'two']) expect(await fingerprint(postgres.database, table)).toEqual(await all())
  })

  it('cannot all be in one transaction over several connections', async () => {
    const error = await failureOf(into('', { objects, transaction: 'All', connections: 2 }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(error.message).toContain('one connection')
  })
})

describe('statements before and after', () => {
  it('are part of the one transaction under All', async () => {
    await sql('CREATE TABLE copied (LIKE orders); CREATE TABLE said (text text)')
    const before = ["INSERT INTO said VALUES ('before')"]
    const after = ['INSERT INTO said SELECT count(*) FROM copied', 'SELECT 1/0']
    expect(await failureOf(into('copied', { before, after }))).toMatchObject({ code: 'POSTGRES_DATA' })
    expect(await sql('SELECT * FROM said')).toEqual([])
    await into('copied', { before, after: after.slice(0, 1) })
    expect(await sql('SELECT * FROM said')).toEqual([{ text: 'before' }, { text: String(ROWS) }])
  })

  it('see the settings of the session', async () => {
    await sql('CREATE TABLE copied (LIKE orders); CREATE TABLE said (text text)')
    const session = { isolation: 'Serializable' as const, settings: [{ name: 'work_mem', value: '5MB' }] }
    const before = [
      `INSERT INTO said VALUES (current_setting('work_mem') || ' ' || current_setting('transaction_isolation'))`,
    ]
    await into('copied', { before, session })
    expect(await sql('SELECT * FROM said')).toEqual([{ text: '5MB serializable' }])
  })
})

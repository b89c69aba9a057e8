import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump, dumpFile } from '../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore, restoreFile } from '../../../src/engine/restore.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { ConnectionConfig } from '../../../src/postgres/types.ts'
import type { RestoreMode } from '../../../src/run/config.ts'
import type { ArtifactRef } from '../../../src/run/result.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { waitFor } from '../../cluster/processes.ts'
import {
  backendsGone,
  backendsOf,
  copyingBackend,
  failureOf,
  fingerprint,
  rowHash,
  type TestContext,
  testContext,
  useFolder,
} from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'

jest.setTimeout(60_000)

const ROWS = 5000
const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE orders (id int NOT NULL, price numeric(8,2), note varchar(40), mood mood);
    INSERT INTO orders SELECT i, i / 4.0, 'secret note ' || i, 'ok' FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE old (LIKE orders); INSERT INTO old VALUES (-1, 0, 'old', 'sad'), (-2, 0, 'old', null);
    CREATE ROLE writer LOGIN PASSWORD 'wr1ter';`,
})
const folder = useFolder()
let store: FilesystemStore
let artifact: ArtifactRef

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  const objects = [{ table: { schema: 'public', name: 'orders' } }]
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'run/pod-1' }
  artifact = (await dump({ ...request, compression: { method: 'Zstd' } }, testContext())).artifact
})

/** Restores the dump of `orders` into `table`. */
function intoTable(table: string, changes: Partial<ArtifactRestoreRequest> = {}, context = testContext()) {
  const objects = [{ from: 'public.orders', to: { schema: 'public', name: table } }]
  return restore({ store, ...artifact, target: postgres.database.config, mode: 'Append', objects, ...changes }, context)
}

/** What the whole database holds: rows of every table, and every schema. */
async function everything(): Promise<unknown> {
  return postgres.database.query(`
    SELECT n.nspname, c.relname, c.relfilenode, query_to_xml(format($$SELECT count(*), sum(${rowHash('t')}) FROM %I.%I t$$, n.nspname, c.relname), false, true, '')::text
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
    WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2`)
}

/** The error of a restore that leaves the target as it was. */
async function refusal(work: () => Promise<unknown>): Promise<PgpackError> {
  const before = await everything()
  const error = await failureOf(work())
  expect(await everything()).toEqual(before)
  await backendsGone(postgres.server)
  return error
}

const sql = (text: string) => postgres.database.query(text)

const generatedColumn: [what: string, definition: string, message: string] = [
  'with a generated column',
  'id int, price numeric(8,2), note text, mood mood GENERATED ALWAYS AS (NULL) STORED',
  'column "mood" is generated in the table',
]

describe('a restore is refused before a row moves', () => {
  it.each<[what: string, definition: string, message: string]>([
    [
      'that lacks a column',
      'id int, price numeric(8,2), note text',
      'column "mood" is in the file but not in the table',
    ],
    [
      'with another type',
      'id text, price numeric(8,2), note text, mood mood',
      'column "id" is integer in the file but text in the table',
    ],
    [
      'with a wider integer',
      'id bigint, price numeric(8,2), note text, mood mood',
      'column "id" is integer in the file but bigint in the table',
    ],
    [
      'with a shorter text',
      'id int, price numeric(8,2), note varchar(39), mood mood',
      'column "note" is character varying(40) in the file and may not fit character varying(39)',
    ],
    [
      'with fewer digits',
      'id int, price numeric(8,3), note text, mood mood',
      'column "price" is numeric(8,2) in the file and may not fit numeric(8,3)',
    ],
    [
      'with another enum',
      'id int, price numeric(8,2), note text, mood text',
      'column "mood" is public.mood in the file but text in the table',
    ],
    ...(testedMajor >= 12 ? [generatedColumn] : []),
    [
      'with a column that must be given',
      'id int, price numeric(8,2), note text, mood mood, extra int NOT NULL',
      'column "extra" of the table is NOT NULL without a default and not in the file',
    ],
  ])('for a table %s', async (_, definition, message) => {
    await sql(`CREATE TABLE target (${definition})`)
    const context = testContext()
    const error = await refusal(() => intoTable('target', { runId: 'uid-1' }, context))
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false, reason: 'ColumnMismatch' })
    expect(error.message).toContain(message)
    expect(context.reports).toEqual([])
  })

  it('with all problems in one message', async () => {
    await sql('CREATE TABLE target (id text, price numeric(8,3), extra int NOT NULL)')
    const { message } = await refusal(() => intoTable('target'))
    for (const column of ['id', 'price', 'note', 'mood', 'extra']) expect(message).toContain(`column "${column}"`)
  })

  it('for a table that is not there, with the names that come near', async () => {
    const error = await refusal(() => intoTable('Old'))
    expect(error).toMatchObject({ code: 'POSTGRES_NO_RELATION', retryable: false })
    expect(error.message).toContain('"public"."Old"')
    expect(error.message).toContain('did you mean "public"."old"')
  })

  it('for a view', async () => {
    await sql('CREATE VIEW target AS SELECT * FROM old')
    expect(await refusal(() => intoTable('target'))).toMatchObject({ code: 'OBJECT_UNSUPPORTED', retryable: false })
  })

  it.each<RestoreMode>(['Append', 'Truncate'])('for a table that the user may not write, %s', async (mode) => {
    await sql('GRANT SELECT ON old TO writer')
    const target: ConnectionConfig = { ...postgres.database.config, user: 'writer', password: 'wr1ter' }
    const error = await refusal(() => intoTable('old', { target, mode }))
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false, reason: 'PermissionDenied' })
  })

  it('for a wrong password, which stays unsaid', async () => {
    const target: ConnectionConfig = { ...postgres.database.config, password: 'wr0ng-s3cret' }
    const error = await refusal(() => intoTable('old', { target }))
    expect(error).toMatchObject({ code: 'POSTGRES_AUTHENTICATION', retryable: false })
    expect(`${error.message} ${String(error.cause)}`).not.toContain('wr0ng-s3cret')
  })

  it('for the second of two tables, with nothing in the first', async () => {
    await sql('CREATE TABLE first (LIKE orders); CREATE TABLE second (id text)')
    const objects = ['first', 'second'].map((name) => ({ from: 'public.orders', to: { schema: 'public', name } }))
    expect(await refusal(() => intoTable('', { objects }))).toMatchObject({ code: 'TARGET_MISMATCH' })
  })

  it('for TRUNCATE of a table that a foreign key points at', async () => {
    await sql(
      'ALTER TABLE old ADD PRIMARY KEY (id); CREATE TABLE pointing (id int REFERENCES old); INSERT INTO pointing VALUES (-1)',
    )
    const error = await refusal(() => intoTable('old', { mode: 'Truncate' }))
    expect(error.retryable).toBe(false)
    expect(error.message).toContain('pointing')
  })
})

describe.each<RestoreMode>(['Append', 'Truncate'])(
  'a restore (%s) that fails in the middle of a COPY keeps the table as it was',
  (mode) => {
    it('after a violated constraint, without the values of the row in its message', async () => {
      await sql(`ALTER TABLE old ADD CONSTRAINT not_this_one CHECK (id <> ${ROWS - 1})`)
      const error = await refusal(() => intoTable('old', { mode }))
      expect(error).toMatchObject({
        code: 'POSTGRES_DATA',
        retryable: false,
        reason: 'DataRejected',
        details: { status: '23514' },
      })
      expect(error.message).toContain('not_this_one')
      expect(error.message).not.toContain('secret note')
    })

    it('after a duplicate key', async () => {
      await sql(`ALTER TABLE old ADD PRIMARY KEY (id); DELETE FROM old; INSERT INTO old VALUES (-1)`)
      await sql(
        `CREATE FUNCTION double() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id = NEW.id % ${ROWS - 1}; RETURN NEW; END $$`,
      )
      await sql('CREATE TRIGGER double BEFORE INSERT ON old FOR EACH ROW EXECUTE PROCEDURE double()')
      const error = await refusal(() => intoTable('old', { mode }))
      expect(error).toMatchObject({ code: 'POSTGRES_DATA', retryable: false, details: { status: '23505' } })
    })

    it('after its backend was terminated, and is worth a retry', async () => {
      await slow('old')
      const error = await refusal(async () => {
        const failure = intoTable('old', { mode })
        const [{ pid }] = await Promise.all([
          copyingBackend(postgres.server, ({ wait }) => wait === 'PgSleep'),
          moved(failure),
        ])
        await postgres.server.query('SELECT pg_terminate_backend($1)', [pid])
        await failure
      })
      expect(error).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: true })
    })

    it('when it is aborted, and its backend is gone within seconds', async () => {
      await slow('old')
      const context = testContext()
      const error = await refusal(async () => {
        const failure = intoTable('old', { mode }, context)
        await Promise.all([copyingBackend(postgres.server, ({ wait }) => wait === 'PgSleep'), moved(failure, context)])
        const start = performance.now()
        context.abort(new Error('received SIGTERM'))
        await failure.finally(() => expect(performance.now() - start).toBeLessThan(5000))
      })
      expect(error).toMatchObject({ code: 'CANCELLED', retryable: true })
      await backendsGone(postgres.server, 2000)
    })

    it('when it is aborted while it waits for a lock', async () => {
      const context = testContext()
      const locking = sql('BEGIN; LOCK TABLE old IN SHARE MODE; SELECT pg_sleep(600)').catch((error: unknown) => error)
      const locker = await waitFor('the lock is held', 10_000, async () => {
        const rows = await sql(
          `SELECT pid FROM pg_locks WHERE relation = 'old'::regclass AND mode = 'ShareLock' AND granted`,
        )
        return rows[0]
      })
      const error = await refusal(async () => {
        const failure = intoTable('old', { mode }, context)
        await waitFor('a backend that waits for the lock', 10_000, async () =>
          (await backendsOf(postgres.server)).find(({ wait }) => wait === 'relation'),
        )
        context.abort()
        await failure
      })
      expect(error.code).toBe('CANCELLED')
      await postgres.server.query('SELECT pg_terminate_backend($1)', [locker['pid']])
      await locking
    })

    it('after a fault late in the file', async () => {
      await truncateInside(0.9)
      const error = await refusal(() => restoreOrdersFile(mode))
      expect(error).toMatchObject({ reason: 'ArtifactCorrupt', retryable: false })
    })
  },
)

/** Makes every row that a table takes cost a moment, so that a COPY into it lasts as long as a test needs. */
async function slow(table: string): Promise<void> {
  await sql(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$`,
  )
  await sql(`CREATE TRIGGER slow BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE PROCEDURE slow()`)
}

/** Resolves when bytes have passed; fails with a restore that fails before. */
async function moved(failure: Promise<unknown>, context?: TestContext): Promise<void> {
  const passed = waitFor('rows are on their way', 10_000, async () =>
    context === undefined || BigInt(context.reports.at(-1)?.bytes ?? 0) > 0n ? true : undefined,
  )
  await Promise.race([failure, passed])
}

const FILE = 'orders.pgpack'

async function dumpOrdersFile(method: 'None' | 'Zstd' = 'None'): Promise<string> {
  const object = { table: { schema: 'public', name: 'orders' } }
  const request = {
    source: postgres.database.config,
    object,
    connections: 1,
    store,
    key: FILE,
    compression: { method },
  }
  await dumpFile(request, testContext())
  return join(folder.path, FILE)
}

const restoreOrdersFile = (mode: RestoreMode = 'Append') =>
  restoreFile(
    { store, key: FILE, target: postgres.database.config, mode, table: { schema: 'public', name: 'old' } },
    testContext(),
  )

/** Makes a file whose lengths are right and whose body ends in the middle: zeros from `share` of it on. */
async function truncateInside(share: number): Promise<void> {
  const path = await dumpOrdersFile()
  const bytes = await readFile(path)
  bytes.fill(0, Math.floor(bytes.length * share))
  await writeFile(path, bytes)
}

describe('a file without manifest', () => {
  it('is restored by what its own head says', async () => {
    await dumpOrdersFile('Zstd')
    expect((await restoreOrdersFile('Truncate')).totals).toMatchObject({ objects: 1, rows: String(ROWS) })
    expect(await fingerprint(postgres.database, 'old')).toEqual(await fingerprint(postgres.database, 'orders'))
  })

  it.each([1, 16, 1000])('that was cut by %s bytes is refused before a row moves', async (bytes) => {
    const path = await dumpOrdersFile()
    await truncate(path, (await stat(path)).size - bytes)
    const error = await refusal(() => restoreOrdersFile())
    expect(error).toMatchObject({ code: 'PGPACK_TRUNCATED', reason: 'ArtifactCorrupt', retryable: false })
  })

  it.each([0, 1, 10, 40])('of which only %s bytes are left is refused', async (bytes) => {
    await truncate(await dumpOrdersFile(), bytes)
    expect(await refusal(() => restoreOrdersFile())).toMatchObject({
      code: expect.stringMatching(/^PGPACK_/),
      retryable: false,
    })
  })

  it('with bytes behind its end is refused', async () => {
    const path = await dumpOrdersFile()
    await writeFile(path, 'more', { flag: 'a' })
    expect(await refusal(() => restoreOrdersFile())).toMatchObject({ code: 'PGPACK_TRAILING_DATA', retryable: false })
  })

  it('that is something else is refused', async () => {
    await writeFile(join(folder.path, FILE), 'PGDMP is what pg_dump writes')
    expect(await refusal(() => restoreOrdersFile())).toMatchObject({ code: 'PGPACK_SIGNATURE', retryable: false })
  })

  it('that is not there is refused', async () => {
    const error = await refusal(() => restoreOrdersFile())
    expect(error).toMatchObject({ code: 'STORE_NO_OBJECT', retryable: false })
    expect(error.message).toContain(FILE)
  })

  it('is refused where the types differ, by their OIDs', async () => {
    await dumpOrdersFile()
    await sql('ALTER TABLE old ALTER COLUMN id TYPE bigint')
    const error = await refusal(() => restoreOrdersFile())
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH' })
    expect(error.message).toContain('column "id" is of type OID 23 in the file but bigint in the table')
  })
})

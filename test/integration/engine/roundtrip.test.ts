import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { CompressionOptions } from '../../../src/compression/method.ts'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import type { ObjectStore } from '../../../src/storage/store.ts'
import { fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { useMinio } from '../../support/minio.ts'
import { type TestDatabase, usePostgres } from '../../support/postgres.ts'
import { itSince } from '../../support/since.ts'
import { allTypes, userTypes } from '../../support/tables.ts'

jest.setTimeout(60_000)

const postgres = usePostgres({ setup: `${userTypes}${allTypes}` })
const minio = useMinio()
const folder = useFolder()

const stores: [name: string, open: () => ObjectStore][] = [
  ['a folder', () => new FilesystemStore(folder.path)],
  ['a bucket', () => new S3Store(minio.server.options(minio.bucket, { prefix: 'some/prefix' }))],
]

interface Passage {
  readonly objects: readonly DumpObject[]
  readonly to?: { readonly from: string; readonly to: { readonly schema: string; readonly name: string } }[]
  readonly store?: ObjectStore
  readonly connections?: number
  readonly compression?: CompressionOptions
  readonly target?: TestDatabase
}

/** Dumps from the test's database and restores into it, or into `target`. */
async function pass({ objects, to = [], connections = 1, compression = { method: 'Zstd' }, ...rest }: Passage) {
  const source = postgres.database.config
  const target = (rest.target ?? postgres.database).config
  const store = rest.store ?? new FilesystemStore(folder.path)
  const dumped = await dump({ source, objects, connections, compression, store, path: 'run/pod-1' }, testContext())
  const { path, manifestSHA256 } = dumped.artifact
  const restored = await restore({ store, path, manifestSHA256, target, mode: 'Append', objects: to }, testContext())
  store.close()
  return { dumped: dumped.totals, restored: restored.totals }
}

const table = (name: string, extra: { columns?: string[]; where?: string } = {}): DumpObject => ({
  table: { schema: 'public', name, ...extra },
})
const into = (from: string, name: string) => [{ from, to: { schema: 'public', name } }]

/** Copies `name` through a dump into an empty table of the same definition; expects the same rows there. */
async function expectSame(name: string, passage: Omit<Passage, 'objects' | 'to'> = {}): Promise<void> {
  await postgres.database.query(`CREATE TABLE copied (LIKE ${name} INCLUDING ALL)`)
  const totals = await pass({ ...passage, objects: [table(name)], to: into(`public.${name}`, 'copied') })
  const before = await fingerprint(postgres.database, name)
  expect(await fingerprint(postgres.database, 'copied')).toEqual(before)
  expect(totals.dumped).toMatchObject({ objects: 1, rows: before.rows })
  expect(totals.restored).toEqual(totals.dumped)
}

describe('a table of all common types', () => {
  it.each(stores)('passes through %s', async (_, open) => {
    await expectSame('all_types', { store: open() })
  })

  it.each<CompressionOptions>([
    { method: 'None' },
    { method: 'LZ4' },
    { method: 'Zstd', level: 1 },
    { method: 'Zstd', level: 19 },
  ])('passes through %j', async (compression) => {
    await expectSame('all_types', { compression })
  })

  it.each(stores)('is the same by three connections, through %s', async (_, open) => {
    await expectSame('all_types', { store: open(), connections: 3 })
  })

  it('arrives in a database where its own types have other OIDs', async () => {
    const target = await postgres.server.createDatabase()
    try {
      // Other types first, in another order: none of the OIDs is the same.
      await target.query(`CREATE TYPE shift AS ENUM ('x'); CREATE TABLE shift_table (a int); ${userTypes}${allTypes}`)
      await target.query('TRUNCATE all_types')
      await pass({ objects: [table('all_types')], target })
      expect(await fingerprint(target, 'all_types')).toEqual(await fingerprint(postgres.database, 'all_types'))
    } finally {
      await target.drop()
    }
  })
})

describe('a table of odd shape', () => {
  const make = (sql: string) => postgres.database.query(sql)

  it.each([1, 3])('with no rows passes, by %s connections', async (connections) => {
    await make('CREATE TABLE empty (a int, b text)')
    await expectSame('empty', { connections })
  })

  it('with names that need quoting passes, to its own name and to another', async () => {
    const odd = 'Sch ema."dot"/ü%'
    const quoted = `"Sch ema.""dot""/ü%"`
    await make(
      `CREATE SCHEMA ${quoted}; CREATE TABLE ${quoted}."T a/b.c""🐘" ("select" int, "Ä ö" text, "c""d" text, "e.f" int)`,
    )
    await make(`INSERT INTO ${quoted}."T a/b.c""🐘" SELECT i, 'v' || i, null, -i FROM generate_series(1, 100) i`)
    const name = 'T a/b.c"🐘'
    const before = await fingerprint(postgres.database, `${quoted}."T a/b.c""🐘"`)
    for (const [index, open] of stores.map(([, open]) => open).entries()) {
      await make(`CREATE TABLE "Copy;--${index}" (LIKE ${quoted}."T a/b.c""🐘")`)
      await pass({
        objects: [{ table: { schema: odd, name } }],
        to: into(`${quoted}."T a/b.c""🐘"`, `Copy;--${index}`),
        store: open(),
      })
      expect(await fingerprint(postgres.database, `"Copy;--${index}"`)).toEqual(before)
    }
  })

  it('with identity and defaulted columns keeps what is stored', async () => {
    await make(`CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b text DEFAULT 'x')`)
    await make('INSERT INTO counted (a, b) SELECT i, null FROM generate_series(1, 500) i')
    await expectSame('counted')
  })

  itSince(12)(
    'with generated, identity and defaulted columns keeps what is stored and computes the rest anew',
    async () => {
      await make(`CREATE TABLE computed (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text DEFAULT 'x')`)
      await make('INSERT INTO computed (a, b) SELECT i, null FROM generate_series(1, 500) i')
      await expectSame('computed')
    },
  )

  it('with dropped columns passes', async () => {
    await make('CREATE TABLE dropped (a int, gone text, b text, gone_too int, c int)')
    await make(`INSERT INTO dropped SELECT i, 'gone', 'b' || i, 1, i FROM generate_series(1, 500) i`)
    await make('ALTER TABLE dropped DROP COLUMN gone, DROP COLUMN gone_too')
    await expectSame('dropped', { connections: 2 })
  })

  it('with columns in another order in the target is matched by name', async () => {
    await make('CREATE TABLE ordered (a int, b text, c int); CREATE TABLE reordered (c int, extra text, b text, a int)')
    await make(`INSERT INTO ordered SELECT i, 'b' || i, -i FROM generate_series(1, 100) i`)
    await pass({ objects: [table('ordered')], to: into('public.ordered', 'reordered') })
    expect(await fingerprint(postgres.database, '(SELECT a, b, c FROM reordered)')).toEqual(
      await fingerprint(postgres.database, '(SELECT a, b, c FROM ordered)'),
    )
  })

  it('with one row of 5 MiB passes', async () => {
    await make('CREATE TABLE wide (a int, b text)')
    await make(`INSERT INTO wide SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 163840) i`)
    await make(`INSERT INTO wide SELECT i, 'small' FROM generate_series(2, 1000) i`)
    await expectSame('wide')
  })

  it('with 1600 columns passes', async () => {
    const columns = Array.from({ length: 1600 }, (_, index) => `c${index} boolean`).join(', ')
    await make(
      `CREATE TABLE many (${columns}); INSERT INTO many (c0, c1599) SELECT i % 2 = 0, true FROM generate_series(1, 200) i`,
    )
    await expectSame('many')
  })

  it('that inherits is dumped without its children, as COPY reads it, by any number of connections', async () => {
    await make('CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent)')
    await make(
      'INSERT INTO parent SELECT generate_series(1, 2000); INSERT INTO child SELECT i, i FROM generate_series(1, 50) i',
    )
    const own = await fingerprint(postgres.database, '(SELECT * FROM ONLY parent)')
    for (const connections of [1, 3]) {
      await make(`CREATE TABLE parent_copy_${connections} (a int)`)
      await pass({ objects: [table('parent')], connections, to: into('public.parent', `parent_copy_${connections}`) })
      expect(await fingerprint(postgres.database, `parent_copy_${connections}`)).toEqual(own)
    }
  })
})

describe('something else than a plain table', () => {
  beforeEach(async () => {
    await postgres.database.query(`
      CREATE TABLE copied (a int, b text);
      CREATE VIEW a_view AS SELECT i AS a, 'view ' || i AS b FROM generate_series(1, 300) i;
      CREATE MATERIALIZED VIEW a_matview AS SELECT i AS a, 'mat ' || i AS b FROM generate_series(1, 300) i;
      CREATE TABLE a_partitioned (a int, b text) PARTITION BY RANGE (a);
      CREATE TABLE a_partition_1 PARTITION OF a_partitioned FOR VALUES FROM (0) TO (100);
      CREATE TABLE a_partition_2 PARTITION OF a_partitioned FOR VALUES FROM (100) TO (MAXVALUE);
      INSERT INTO a_partitioned SELECT i, 'part ' || i FROM generate_series(1, 300) i;
    `)
  })

  it.each(['a_view', 'a_matview', 'a_partitioned'])('%s passes, by one connection or three', async (name) => {
    for (const connections of [1, 3]) {
      await postgres.database.query('TRUNCATE copied')
      await pass({ objects: [table(name)], connections, to: into(`public.${name}`, 'copied') })
      expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, name))
    }
  })

  it('a query passes, with its semicolon and its comment', async () => {
    const sql = `SELECT i AS a, 'q' || i AS b FROM generate_series(1, 300) i -- the end`
    await pass({
      objects: [{ query: { name: 'my query', sql: `${sql}\n;` } }],
      to: into('my query', 'copied'),
      connections: 2,
    })
    expect(await fingerprint(postgres.database, 'copied')).toEqual(
      await fingerprint(postgres.database, `(SELECT i AS a, 'q' || i AS b FROM generate_series(1, 300) i)`),
    )
  })

  it('a partitioned table takes rows', async () => {
    const before = await fingerprint(postgres.database, 'a_partitioned')
    await postgres.database.query('CREATE TABLE another (LIKE a_partitioned) PARTITION BY RANGE (b)')
    await postgres.database.query(
      'CREATE TABLE another_1 PARTITION OF another FOR VALUES FROM (MINVALUE) TO (MAXVALUE)',
    )
    await pass({ objects: [table('a_partitioned')], to: into('public.a_partitioned', 'another') })
    expect(await fingerprint(postgres.database, 'another')).toEqual(before)
  })

  it('a sequence is refused by name', async () => {
    await postgres.database.query('CREATE SEQUENCE counter')
    await expect(pass({ objects: [table('counter')] })).rejects.toMatchObject({
      code: 'OBJECT_UNSUPPORTED',
      message: expect.stringContaining('public.counter'),
    })
  })
})

describe('a part of a table', () => {
  it.each([1, 3])(
    'by columns in the asked-for order and rows by a condition passes, by %s connections',
    async (connections) => {
      await postgres.database.query('CREATE TABLE part (c_text text, id int)')
      await pass({
        objects: [table('all_types', { columns: ['c_text', 'id'], where: 'id % 7 = 0 -- every seventh' })],
        connections,
        to: into('public.all_types', 'part'),
      })
      expect(await fingerprint(postgres.database, 'part')).toEqual(
        await fingerprint(postgres.database, '(SELECT c_text, id FROM all_types WHERE id % 7 = 0)'),
      )
    },
  )

  it('by a condition that is an OR is not widened by what we add to it', async () => {
    await postgres.database.query('CREATE TABLE part (id int)')
    await pass({
      objects: [table('all_types', { columns: ['id'], where: 'id < 10 OR id > 1990' })],
      connections: 3,
      to: into('public.all_types', 'part'),
    })
    expect(await fingerprint(postgres.database, 'part')).toEqual(
      await fingerprint(postgres.database, '(SELECT id FROM all_types WHERE id < 10 OR id > 1990)'),
    )
  })
})

describe('several objects', () => {
  it('pass in one dump, each to its own name in another database', async () => {
    await postgres.database.query('CREATE SCHEMA other; CREATE TABLE other.all_types (a int)')
    await postgres.database.close()
    const target = await postgres.server.createDatabase({ template: postgres.database.name })
    try {
      await target.query('TRUNCATE all_types')
      await postgres.database.query('INSERT INTO other.all_types SELECT generate_series(1, 77)')
      const objects = [table('all_types'), { table: { schema: 'other', name: 'all_types' } }]
      const totals = await pass({ objects, connections: 2, target })
      expect(totals.restored).toMatchObject({ objects: 2, rows: String(2004 + 77) })
      for (const name of ['public.all_types', 'other.all_types']) {
        expect(await fingerprint(target, name)).toEqual(await fingerprint(postgres.database, name))
      }
    } finally {
      await target.drop()
    }
  })
})

describe('progress', () => {
  it('of dump and restore ends with all objects done, 100 %, and the totals of the run', async () => {
    await postgres.database.query('CREATE TABLE copied (LIKE all_types); ANALYZE all_types')
    const store = new FilesystemStore(folder.path)
    const source = postgres.database.config
    const [dumping, restoring] = [testContext(), testContext()]
    const dumped = await dump(
      { source, objects: [table('all_types')], connections: 1, compression: { method: 'Zstd' }, store, path: 'p' },
      dumping,
    )
    const { totals } = await restore(
      { store, path: 'p', target: source, mode: 'Append', objects: into('public.all_types', 'copied') },
      restoring,
    )
    for (const { reports } of [dumping, restoring]) {
      const { rows, storedBytes } = totals
      expect(reports.at(-1)).toMatchObject({ rows, storedBytes, objects: 1, objectsDone: 1, percent: 100 })
      expect(reports.slice(0, -1).every(({ percent = 0 }) => percent < 100)).toBe(true)
      expect(reports.length).toBeGreaterThan(3)
    }
    expect(dumped.totals).toEqual(totals)
  })
})

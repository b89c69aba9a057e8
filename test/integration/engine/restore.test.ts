import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { RestoreMode } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(60_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    INSERT INTO customers SELECT i, 'name ' || i FROM generate_series(1, 100) i;
    CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, previous int REFERENCES orders);
    INSERT INTO orders SELECT i, 1 + i % 100, nullif(i - 1, 0) FROM generate_series(1, 1000) i;
    CREATE TABLE both_years (id int, name text);`,
})
const folder = useFolder()
let store: FilesystemStore

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  const objects = ['customers', 'orders'].map((name) => ({ table: { schema: 'public', name } }))
  await dump(
    { source: postgres.database.config, objects, connections: 1, compression: { method: 'Zstd' }, store, path: 'p' },
    testContext(),
  )
})

const restoreAs = (mode: RestoreMode, ...pairs: [from: string, to: string][]) =>
  restore(
    {
      store,
      path: 'p',
      target: postgres.database.config,
      mode,
      objects: pairs.map(([from, name]) => ({ from: `public.${from}`, to: { schema: 'public', name } })),
    },
    testContext(),
  )

describe('a restore of several tables', () => {
  it('under Truncate takes tables that point at one another, and leaves just what was dumped', async () => {
    const before = [await fingerprint(postgres.database, 'customers'), await fingerprint(postgres.database, 'orders')]
    await postgres.database.query(`DELETE FROM orders WHERE id > 500; UPDATE customers SET name = 'changed'`)
    const { totals } = await restoreAs('Truncate', ['customers', 'customers'], ['orders', 'orders'])
    expect(totals).toMatchObject({ objects: 2, rows: '1100' })
    expect([await fingerprint(postgres.database, 'customers'), await fingerprint(postgres.database, 'orders')]).toEqual(
      before,
    )
  })

  it.each<RestoreMode>(['Append', 'Truncate'])('into one table keeps the rows of both (%s)', async (mode) => {
    await postgres.database.query(`INSERT INTO both_years VALUES (0, 'old')`)
    await dump(
      {
        source: postgres.database.config,
        objects: ['2024', '2025'].map((name) => ({
          query: { name, sql: `SELECT id, name FROM customers WHERE name <> '${name}'` },
        })),
        connections: 1,
        compression: { method: 'None' },
        store,
        path: 'years',
      },
      testContext(),
    )
    const to = { schema: 'public', name: 'both_years' }
    const objects = ['2024', '2025'].map((from) => ({ from, to }))
    const { totals } = await restore(
      { store, path: 'years', target: postgres.database.config, mode, objects },
      testContext(),
    )
    expect(totals.rows).toBe('200')
    expect((await fingerprint(postgres.database, 'both_years')).rows).toBe(mode === 'Append' ? '201' : '200')
  })

  it('takes one object into two tables', async () => {
    await postgres.database.query('CREATE TABLE one (LIKE customers); CREATE TABLE two (LIKE customers)')
    await restoreAs('Append', ['customers', 'one'], ['customers', 'two'])
    const expected = await fingerprint(postgres.database, 'customers')
    expect(await fingerprint(postgres.database, 'one')).toEqual(expected)
    expect(await fingerprint(postgres.database, 'two')).toEqual(expected)
  })

  it('is all or nothing: a failure in the second undoes the first', async () => {
    await postgres.database.query(`
      CREATE TABLE one (LIKE customers); INSERT INTO one VALUES (0, 'old');
      CREATE TABLE two (LIKE orders); ALTER TABLE two ADD CHECK (id < 1000)`)
    const before = await fingerprint(postgres.database, 'one')
    for (const mode of ['Append', 'Truncate'] as const) {
      expect(await failureOf(restoreAs(mode, ['customers', 'one'], ['orders', 'two']))).toMatchObject({
        code: 'POSTGRES_DATA',
      })
      expect(await fingerprint(postgres.database, 'one')).toEqual(before)
    }
  })

  it("asks for a table where a query's rows have none of their own", async () => {
    const objects = [{ query: { name: 'recent', sql: 'SELECT 1 AS a' } }]
    const request = { source: postgres.database.config, objects, connections: 1, store, path: 'q' }
    await dump({ ...request, compression: { method: 'None' } }, testContext())
    const failure = failureOf(
      restore({ store, path: 'q', target: postgres.database.config, mode: 'Append', objects: [] }, testContext()),
    )
    expect(await failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('recent') })
  })
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump, dumpFile } from '../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore, restoreFile } from '../../../src/engine/restore.ts'
import { type RowsRestoreRequest, restoreRows } from '../../../src/engine/restore-rows.ts'
import type { CopyOptions } from '../../../src/postgres/copy-options/schema.ts'
import type { DumpFormat } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { failureOf, fingerprint, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'

jest.setTimeout(60_000)

const ROWS = 5000
/** Generated columns came with PostgreSQL 12. */
const GENERATED = testedMajor >= 12 ? ', twice int GENERATED ALWAYS AS (1) STORED' : ''
const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int, note text, at timestamptz, price numeric(8,2));
    INSERT INTO orders SELECT i, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN E'a "b"; c\\td\\n' || i ELSE '' END,
      timestamptz '2024-01-01' + i * interval '1 s', i / 100.0 FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE copied (LIKE orders);`,
})
const folder = useFolder()
let store: FilesystemStore
const sql = (text: string) => postgres.database.query(text)

beforeEach(() => {
  store = new FilesystemStore(folder.path)
})

async function dumpAs(format: DumpFormat, method: 'None' | 'Zstd' | 'LZ4', copyOptions?: CopyOptions): Promise<void> {
  const objects = [{ table: { schema: 'public', name: 'orders' } }]
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'p', format, copyOptions }
  await dump({ ...request, compression: { method } }, testContext())
}

function intoCopied(changes: Partial<ArtifactRestoreRequest> = {}) {
  const objects = [{ from: 'public.orders', to: { schema: 'public', name: 'copied' } }]
  const target = postgres.database.config
  return restore({ store, path: 'p', target, mode: 'Append', objects, ...changes }, testContext())
}

describe.each([
  ['Binary', 'None', undefined],
  ['Binary', 'Zstd', undefined],
  ['Text', 'LZ4', undefined],
  ['Text', 'None', { delimiter: '|', null: 'nothing' }],
  ['CSV', 'None', undefined],
  ['CSV', 'Zstd', { delimiter: ';', header: 'Present', quote: "'", forceQuote: ['*'] }],
] as const)('a dump as %s, %s, %j', (format, method, options) => {
  const copyOptions = options as CopyOptions | undefined

  it.each([1, 2])('is restored as it was, over %i connections', async (connections) => {
    await dumpAs(format, method, copyOptions)
    const { totals } = await intoCopied({ connections })
    expect(totals).toMatchObject({ objects: 1, rows: String(ROWS) })
    expect(totals.rejectedRows).toBeUndefined()
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
  })

  it('whose file was changed keeps no row', async () => {
    await dumpAs(format, method, copyOptions)
    const [file] = (await keys()).filter((key) => !key.endsWith('manifest.json'))
    const bytes = await readAll(file ?? '')
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1
    await writeFile(join(folder.path, file ?? ''), bytes)
    await failureOf(intoCopied())
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe('0')
  })
})

async function keys(): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of store.list('', new AbortController().signal)) found.push(key)
  return found
}

async function readAll(key: string): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of store.read(key, new AbortController().signal)) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('a dump as PGPack', () => {
  const freeze = { freeze: true }

  beforeEach(() => dumpAs('PGPack', 'Zstd'))

  it.each<[CopyOptions, RegExp]>([
    [{ delimiter: ';' }, /public\.orders is PGPack.*delimiter.*allowed are freeze/],
    [{ ...freeze, header: 'Present' }, /header/],
    [{ onError: 'Ignore' }, /onError Ignore/],
    [{ onSegment: '/tmp/<SEGID>' }, /public\.orders lies in the store/],
  ])('refuses %j before a row moves', async (copyOptions, said) => {
    for (const runMode of ['Run', 'DryRun'] as const) {
      const message = expect.stringMatching(said)
      expect(await failureOf(intoCopied({ copyOptions, runMode }))).toMatchObject({ code: 'CONFIG_INVALID', message })
    }
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe('0')
  })

  it('is loaded with FREEZE into a table that is emptied', async () => {
    expect((await intoCopied({ copyOptions: freeze, mode: 'Truncate' })).totals.rows).toBe(String(ROWS))
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
    expect(await failureOf(intoCopied({ copyOptions: freeze }))).toMatchObject({
      message: expect.stringContaining('FREEZE because the table was not created or truncated'),
    })
  })

  const withWhere = testedMajor >= 12 ? it : it.failing
  withWhere.each([1, 2])('is loaded so far as a condition holds, over %i connections', async (connections) => {
    const { totals } = await intoCopied({ copyOptions: { where: 'id <= 10' }, connections })
    expect(totals).toMatchObject({ rows: '10' })
    expect((await sql('SELECT max(id) AS id FROM copied'))[0]).toEqual({ id: 10 })
  })
})

describe('a file without a manifest', () => {
  const table = { schema: 'public', name: 'copied' }
  const load = (key: string, copyOptions: CopyOptions) => {
    const request = { store, key, target: postgres.database.config, mode: 'Truncate', table, copyOptions } as const
    if (key.endsWith('.pgpack')) return restoreFile(request, testContext())
    return restoreRows({ ...request, format: key.endsWith('.csv') ? 'csv' : 'ndjson' }, testContext())
  }

  beforeEach(async () => {
    const source = postgres.database.config
    const object = { table: { schema: 'public', name: 'orders' } }
    const fixed = { connections: 1, compression: { method: 'None' }, store, key: 'orders.pgpack' } as const
    await dumpFile({ source, object, ...fixed }, testContext())
    await writeFile(join(folder.path, 'rows.ndjson'), '{"id": 1}\n{"id": 2}\n')
    await writeFile(join(folder.path, 'rows.csv'), '1,,,\n')
  })

  it.each([
    ['orders.pgpack', { delimiter: ';' }, /orders\.pgpack is PGPack.*delimiter/],
    ['rows.ndjson', { header: 'Present' }, /rows\.ndjson is NDJSON.*header/],
    ['orders.pgpack', { onSegment: '/tmp/<SEGID>' }, /lies in the store/],
    ['rows.csv', { onSegment: '/tmp/<SEGID>' }, /lies in the store/],
  ] as const)('%s refuses %j before a row moves', async (key, copyOptions, said) => {
    const message = expect.stringMatching(said)
    expect(await failureOf(load(key, copyOptions))).toMatchObject({ code: 'CONFIG_INVALID', message })
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe('0')
  })

  it.each([
    ['orders.pgpack', String(ROWS)],
    ['rows.ndjson', '2'],
  ])('%s is loaded with FREEZE', async (key, rows) => {
    expect((await load(key, { freeze: true })).totals.rows).toBe(rows)
  })
})

describe('a dump as CSV', () => {
  it('goes into a table of other types, as the server parses its values', async () => {
    await dumpAs('CSV', 'None')
    await sql('CREATE TABLE wide (id bigint, note varchar, at text, price float8)')
    const objects = [{ from: 'public.orders', to: { schema: 'public', name: 'wide' } }]
    expect((await intoCopied({ objects })).totals.rows).toBe(String(ROWS))
  })

  it('refuses options that the server does not know, before a row moves', async () => {
    await dumpAs('CSV', 'None')
    const error = await failureOf(intoCopied({ copyOptions: { newline: 'LF' } }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(error.message).toContain('newline')
  })

  it.each<[CopyOptions, RegExp]>([
    [{ logErrors: true, segmentRejectLimit: { count: 10 } }, /logErrors \(LOG ERRORS\) needs COPY FROM on Greenplum/],
    [{ onSegment: '/tmp/<SEGID>' }, /public\.orders lies in the store/],
  ])("refuses %j, which are Greenplum's, before a row moves", async (copyOptions, said) => {
    await dumpAs('CSV', 'None')
    const keys = await keysIn(store)
    for (const runMode of ['Run', 'DryRun'] as const) {
      expect(await failureOf(intoCopied({ copyOptions, runMode }))).toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(said),
      })
    }
    expect(await keysIn(store)).toEqual(keys)
  })

  it('refuses a choice of columns, which would need every value to be parsed', async () => {
    await dumpAs('CSV', 'None')
    const objects = [{ from: 'public.orders', to: { schema: 'public', name: 'copied' }, columns: ['id'] }]
    expect(await failureOf(intoCopied({ objects }))).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
  })

  const withOnError = testedMajor >= 17 ? it : it.failing
  withOnError('counts the rows that the server was told to leave out', async () => {
    await sql(`UPDATE orders SET note = 'x'; ALTER TABLE orders ALTER note TYPE text`)
    await dumpAs('CSV', 'None')
    await sql('CREATE TABLE strict (id smallint, note text, at timestamptz, price numeric(3,2))')
    const objects = [{ from: 'public.orders', to: { schema: 'public', name: 'strict' } }]
    const { totals } = await intoCopied({ objects, copyOptions: { onError: 'Ignore' } })
    const [row] = await sql('SELECT count(*)::int AS rows FROM strict')
    expect(row?.['rows']).toBeGreaterThan(0)
    expect(totals).toMatchObject({ rows: String(row?.['rows']), rejectedRows: String(ROWS - Number(row?.['rows'])) })
  })

  it('says that columns are missing in the table', async () => {
    await dumpAs('CSV', 'None')
    await sql('CREATE TABLE narrow (id int)')
    const objects = [{ from: 'public.orders', to: { schema: 'public', name: 'narrow' } }]
    expect(await failureOf(intoCopied({ objects }))).toMatchObject({ code: 'TARGET_MISMATCH' })
  })
})

describe('rows from a file', () => {
  async function load(name: string, text: string, changes: Partial<RowsRestoreRequest> = {}) {
    await writeFile(join(folder.path, name), text)
    const format = name.endsWith('csv') ? 'csv' : 'ndjson'
    const table = { schema: 'public', name: 'given' }
    const target = postgres.database.config
    return restoreRows({ store, key: name, format, table, target, mode: 'Append', ...changes }, testContext())
  }

  beforeEach(async () => {
    await sql(`CREATE TYPE mood AS ENUM ('sad', 'ok');
      CREATE TABLE given (id serial, note text, tags text[], mood mood${GENERATED})`)
  })
  const given = () => sql('SELECT id, note, tags, mood FROM given ORDER BY id')

  it('as NDJSON are typed by the table, and leave what they do not name to its defaults', async () => {
    const { totals } = await load('rows.ndjson', '{"note":"a","tags":["x",null],"mood":"ok"}\n\n{"note":null}\n')
    expect(totals).toMatchObject({ objects: 1, rows: '2' })
    expect(await given()).toEqual([
      { id: 1, note: 'a', tags: ['x', null], mood: 'ok' },
      { id: 2, note: null, tags: null, mood: null },
    ])
  })

  it('as NDJSON that name a serial column set its sequence', async () => {
    await load('rows.ndjson', '{"id":7}\n')
    await sql(`INSERT INTO given (note) VALUES ('next')`)
    expect((await given()).map(({ id }) => id)).toEqual([7, 8])
  })

  it.each([
    ['{"nothing":1}\n', 'TARGET_MISMATCH', 'column "nothing"'],
    ['{"id":1}\n{"id":"one"}\n', 'PGPACK_VALUE', 'row'],
    ['{"id":1}\n{"other":1}\n', 'PGPACK_VALUE', 'row 2'],
    ['{"id":1}\n{"id"\n', 'PGPACK_VALUE', 'row 2'],
  ])('as NDJSON %j are refused and keep nothing', async (text, code, message) => {
    const error = await failureOf(load('rows.ndjson', text))
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) })
    expect(await given()).toEqual([])
  })

  it('as many NDJSON rows come in pieces', async () => {
    const text = Array.from({ length: 20_000 }, (_, id) => JSON.stringify({ id, note: 'n'.repeat(50) })).join('\n')
    expect((await load('rows.ndjson', text)).totals.rows).toBe('20000')
    expect(await sql('SELECT count(DISTINCT id)::int AS ids FROM given')).toEqual([{ ids: 20_000 }])
  })

  it('as CSV go to the server as they are, by their header or in the order of the table', async () => {
    await load('rows.csv', 'mood,note\nok,"a, b"\n,""\n', { copyOptions: { header: 'Present' } })
    await load('rows.csv', '9,c,"{x}",sad\n')
    expect(await given()).toEqual([
      { id: 1, note: 'a, b', tags: null, mood: 'ok' },
      { id: 2, note: '', tags: null, mood: null },
      { id: 9, note: 'c', tags: ['x'], mood: 'sad' },
    ])
  })

  it('as an empty file are none', async () => {
    expect((await load('rows.ndjson', '')).totals.rows).toBe('0')
    expect((await load('rows.csv', '')).totals.rows).toBe('0')
  })

  it('are done once with a run id', async () => {
    for (let time = 0; time < 2; time += 1) await load('rows.ndjson', '{"id":1}\n', { runId: 'uid-1' })
    expect(await given()).toHaveLength(1)
  })
})

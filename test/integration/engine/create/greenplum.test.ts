import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../../src/engine/dump.ts'
import { restore } from '../../../../src/engine/restore.ts'
import { transfer } from '../../../../src/engine/transfer.ts'
import { FilesystemStore } from '../../../../src/storage/filesystem.ts'
import { fingerprint, testContext, useFolder } from '../../../support/engine.ts'
import { useGreenplum } from '../../../support/greenplum.ts'
import { usePostgres } from '../../../support/postgres.ts'

jest.setTimeout(240_000)

const THINGS = `
  CREATE SCHEMA shop;
  CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
  CREATE TYPE shop.pair AS (label text, moods shop.mood[]);
  CREATE TYPE shop.spans AS RANGE (subtype = float8, subtype_diff = float8mi);
  CREATE TABLE shop.things (id int PRIMARY KEY, pairs shop.pair[], spans shop.spans[]);
  INSERT INTO shop.things SELECT i, ARRAY[ROW('x', '{ok,NULL}')::shop.pair, NULL], ARRAY[shop.spans(i, i + 1)]
    FROM generate_series(1, 2000) i;`

const postgres = usePostgres({ setup: THINGS })
const greenplum = useGreenplum(`CREATE TYPE shift AS ENUM ('x'); CREATE TABLE shift_table (a shift[])`)
const folder = useFolder()
const object = { table: { schema: 'shop', name: 'things' } }

beforeEach(async () => {
  // None of the types has the OID that it has in the source.
  await greenplum.query(`CREATE TYPE public.more AS ENUM ('x')`)
})
afterEach(async () => {
  await greenplum.query('DROP SCHEMA IF EXISTS shop CASCADE; DROP TYPE public.more')
})

const same = async () =>
  expect(await fingerprint(greenplum, 'shop.things')).toEqual(await fingerprint(postgres.database, 'shop.things'))

describe.each([1, 3])('what Greenplum makes of a table of PostgreSQL, over %i connections', (connections) => {
  it('by a transfer holds the rows, with the OIDs that types have here', async () => {
    const request = { source: postgres.database.config, target: greenplum.config, objects: [object], connections }
    const { plan } = await transfer({ ...request, mode: 'CreateIfMissing', runMode: 'DryRun' }, testContext())
    expect(plan).toContain('makes schema shop')
    expect(await greenplum.query(`SELECT FROM pg_namespace WHERE nspname = 'shop'`)).toEqual([])
    await transfer({ ...request, mode: 'CreateIfMissing' }, testContext())
    await same()
  })

  it('by a restore holds the rows, with the OIDs that types have here', async () => {
    const store = new FilesystemStore(folder.path)
    const source = postgres.database.config
    const compression = { method: 'Zstd' } as const
    await dump({ source, objects: [object], connections, compression, store, path: 'p' }, testContext())
    const request = { store, path: 'p', target: greenplum.config, objects: [], connections }
    await restore({ ...request, mode: 'CreateIfMissing' }, testContext())
    await same()
  })
})

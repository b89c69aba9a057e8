import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { transfer } from '../../../src/engine/transfer.ts'
import { failureOf, fingerprint, testContext } from '../../support/engine.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../support/postgres.ts'
import { POSTGRES_MAJORS, testedMajor } from '../../support/postgres-versions.ts'

jest.setTimeout(120_000)

/** Multiranges came with it, and servers have not insisted on the OIDs of users' types since. */
const WATERSHED = 14
const oldest = Math.min(...POSTGRES_MAJORS)
const newest = Math.max(...POSTGRES_MAJORS)
const [older, younger] = testedMajor >= WATERSHED ? [oldest, testedMajor] : [testedMajor, newest]

const servers = new Map<number, PostgresServer>()
const databases = new Map<number, TestDatabase>()

beforeAll(async () => {
  for (const major of [older, younger]) servers.set(major, await startPostgres({ major }))
}, 240_000)
afterAll(async () => {
  for (const server of servers.values()) await server.stop()
}, 60_000)
beforeEach(async () => {
  for (const [major, server] of servers) databases.set(major, await server.createDatabase())
}, 60_000)

function databaseOf(major: number): TestDatabase {
  const found = databases.get(major)
  if (found === undefined) throw new Error('only inside a test')
  return found
}

function move(from: number, to: number, connections: number) {
  const [source, target] = [databaseOf(from).config, databaseOf(to).config]
  const objects = [{ table: { schema: 'shop', name: 'things' } }]
  return transfer({ source, target, mode: 'CreateIfMissing', objects, connections }, testContext())
}

const THINGS = `
  CREATE SCHEMA shop;
  CREATE EXTENSION hstore SCHEMA shop;
  CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
  CREATE TYPE shop.pair AS (label text, moods shop.mood[]);
  CREATE DOMAIN shop.moods AS shop.mood[] CHECK (cardinality(VALUE) < 3);
  CREATE TYPE shop.spans AS RANGE (subtype = float8, subtype_diff = float8mi);
  CREATE TABLE shop.things (id int PRIMARY KEY, mood shop.mood NOT NULL, moods shop.moods, pairs shop.pair[], spans shop.spans[],
    tags shop.hstore, price numeric(8,2), at timestamptz, note varchar(10));
  INSERT INTO shop.things SELECT i, 'ok', ARRAY['sad', NULL]::shop.mood[], ARRAY[ROW('x', '{ok}')::shop.pair, NULL],
    ARRAY[shop.spans(i, i + 1)], shop.hstore('k', i::text), i / 3.0, timestamptz '2024-01-01' + i * interval '1 s', 'n' || i
    FROM generate_series(1, 20000) i;`

describe.each([
  [older, younger],
  [younger, older],
])('a transfer from PostgreSQL %i to %i', (from, to) => {
  it.each([1, 3])('makes the table with all that it stands on, over %i connections', async (connections) => {
    await databaseOf(from).query(THINGS)
    const { totals } = await move(from, to, connections)
    expect(totals.rows).toBe('20000')
    expect(await fingerprint(databaseOf(to), 'shop.things')).toEqual(await fingerprint(databaseOf(from), 'shop.things'))
  })
})

describe('a transfer to a server before PostgreSQL 14', () => {
  it('is refused for multiranges, with what to do', async () => {
    await databaseOf(younger).query(`CREATE SCHEMA shop; CREATE TYPE shop.spans AS RANGE (subtype = float8);
      CREATE TABLE shop.things (many shop.spans_multirange, int4s int4multirange)`)
    const error = await failureOf(move(younger, older, 1))
    expect(error).toMatchObject({ code: 'OBJECT_UNSUPPORTED', retryable: false })
    expect(error.message).toMatch(
      /column "many" is shop\.\w+: shop\.\w+ is a multirange, which came with PostgreSQL 14, and this is [0-9.]+: leave the column out/,
    )
    expect(error.message).toMatch(
      /column "int4s" is int4multirange: PostgreSQL [0-9.]+ does not have the type: leave the column out/,
    )
  })
})

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { TargetRequest } from '../../../src/engine/target.ts'
import { transfer } from '../../../src/engine/transfer.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { Outcome } from '../../../src/run/result.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { type TestDatabase, usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'
import { describeSince, itSince } from '../../support/since.ts'
import { baseType } from '../../support/tables.ts'

jest.setTimeout(120_000)

const MULTIRANGES_SINCE = 14
/** Before it cube has no binary form, and nothing that stands on it can be read by binary COPY. */
const BINARY_CUBES_SINCE = 14
/** npm's package of an older one has a control file that the server cannot read, so that it lists no extension. */
const READABLE_CONTROL_FILES_SINCE = 11
/** Extensions that a role who may create in the database may create, too. */
const TRUSTED_EXTENSIONS_SINCE = 13

const postgres = usePostgres({
  setup: `
    CREATE SCHEMA shop;
    CREATE SCHEMA extensions;
    CREATE EXTENSION hstore SCHEMA extensions;
    CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
    CREATE TYPE shop.pair AS (label text, moods shop.mood[]);
    CREATE DOMAIN shop.tags AS extensions.hstore CHECK (NOT VALUE OPERATOR(extensions.?) 'forbidden');
    CREATE TYPE shop.textrange AS RANGE (subtype = text, subtype_opclass = text_pattern_ops, collation = "C");
    CREATE TYPE shop.floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
    CREATE TYPE shop.pairrange AS RANGE (subtype = shop.pair);

    CREATE TABLE shop.ranges (id int PRIMARY KEY, texts shop.textrange, floats shop.floatrange[], pairs shop.pairrange);
    INSERT INTO shop.ranges SELECT i, shop.textrange('a', 'b' || i), ARRAY[shop.floatrange(i, i + 1), 'empty'],
      shop.pairrange(ROW('a', '{sad}')::shop.pair, ROW('b', '{sad,ok}')::shop.pair) FROM generate_series(1, 100) i;
    CREATE TABLE shop.nested (id int, pairs shop.pair[], matrix shop.mood[][]);
    INSERT INTO shop.nested SELECT i, ARRAY[ROW('x', ARRAY['sad', NULL]::shop.mood[])::shop.pair, NULL],
      ARRAY[ARRAY['ok', 'sad'], ARRAY['sad', 'ok']]::shop.mood[] FROM generate_series(1, 20000) i;
    CREATE TABLE shop.extended (id int, tags shop.tags, more extensions.hstore[]);
    INSERT INTO shop.extended SELECT i, hstore.v, ARRAY[hstore.v, NULL]
      FROM generate_series(1, 50) i, LATERAL (SELECT extensions.hstore('k', i::text) AS v) hstore;
    CREATE TABLE shop.plain (id int);
    INSERT INTO shop.plain VALUES (1);`,
})
const folder = useFolder()
let other: TestDatabase

beforeEach(async () => {
  // None of the types has the OID that it has in the source.
  other = await postgres.server.createDatabase()
  await other.query(`CREATE TYPE shift AS ENUM ('x'); CREATE TABLE shift_table (a shift[])`)
})
afterEach(async () => other.drop())

type Changes = Partial<TargetRequest>
type Way = (table: string, changes?: Changes) => Promise<Outcome>

async function dumpOf(table: string): Promise<FilesystemStore> {
  const store = new FilesystemStore(folder.path)
  const objects = [{ table: { schema: 'shop', name: table } }]
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'p' }
  await dump({ ...request, compression: { method: 'Zstd' } }, testContext())
  return store
}

const restored: Way = async (table, changes = {}) => {
  const request = { store: await dumpOf(table), path: 'p', target: other.config, objects: [] }
  return restore({ ...request, mode: 'CreateIfMissing', ...changes }, testContext())
}

const transferred: Way = (table, changes = {}) => {
  const objects = [{ table: { schema: 'shop', name: table } }]
  const request = { source: postgres.database.config, target: other.config, objects }
  return transfer({ ...request, mode: 'CreateIfMissing', ...changes }, testContext())
}

const ways = [
  ['restore', restored],
  ['transfer', transferred],
] as const

async function expectSame(table: string): Promise<void> {
  expect(await fingerprint(other, `shop.${table}`)).toEqual(await fingerprint(postgres.database, `shop.${table}`))
}

/** What the target has that was not in it at the start. */
async function made(): Promise<readonly string[]> {
  const rows = await other.query<{ name: string }>(
    `SELECT nspname::text AS name FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
     UNION ALL SELECT extname::text FROM pg_extension WHERE oid >= 16384
     UNION ALL SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind = 'r' AND relname <> 'shift_table' AND relnamespace <> 'pg_toast'::regnamespace
     ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

/** A refusal leaves nothing, neither of a run nor of a rehearsal. */
async function refusal(way: Way, table: string, changes: Changes = {}): Promise<PgpackError> {
  const before = await made()
  const errors = []
  for (const runMode of ['DryRun', 'Run'] as const) errors.push(await failureOf(way(table, { runMode, ...changes })))
  expect(await made()).toEqual(before)
  const [rehearsed, run] = errors
  expect({ code: rehearsed?.code, message: rehearsed?.message }).toEqual({ code: run?.code, message: run?.message })
  if (run === undefined) throw new Error('unreachable')
  return run
}

async function plainUser(grants: string): Promise<Changes> {
  const [role] = await other.query(`SELECT FROM pg_roles WHERE rolname = 'plain'`)
  if (role === undefined) await postgres.server.query('CREATE ROLE plain LOGIN')
  if (grants !== '') await other.query(grants)
  return { target: { ...other.config, user: 'plain' } }
}

describe.each(ways)('CreateIfMissing by a %s', (_, way) => {
  it.each([1, 3])('makes the schema, and types that stand on one another, over %i connections', async (connections) => {
    const { totals } = await way('nested', { connections })
    expect(totals.rows).toBe('20000')
    await expectSame('nested')
    expect(await made()).toEqual(['shop', 'shop.nested'])
  })

  it('makes ranges with the subtype, the operator class, the collation and the difference of the source', async () => {
    await way('ranges')
    await expectSame('ranges')
    const ranges = `SELECT t.typname, r.rngsubtype::regtype::text AS subtype, o.opcname, c.collname, r.rngsubdiff::regproc::text AS diff
      FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid JOIN pg_opclass o ON o.oid = r.rngsubopc
      LEFT JOIN pg_collation c ON c.oid = r.rngcollation WHERE t.typnamespace = 'shop'::regnamespace ORDER BY 1`
    const found = await other.query(ranges)
    expect(found).toEqual(await postgres.database.query(ranges))
    expect(found).toContainEqual({
      typname: 'textrange',
      subtype: 'text',
      opcname: 'text_pattern_ops',
      collname: 'C',
      diff: '-',
    })
  })

  it('makes the extensions that columns, arrays and domains stand on, in their schemas', async () => {
    await way('extended')
    await expectSame('extended')
    expect(await made()).toEqual(['extensions', 'hstore', 'shop', 'shop.extended'])
    await way('extended')
    expect(await other.query('SELECT count(*)::int AS rows FROM shop.extended')).toEqual([{ rows: 100 }])
  })

  itSince(BINARY_CUBES_SINCE)('makes an extension with those that it stands on', async () => {
    await postgres.database.query(`CREATE EXTENSION earthdistance CASCADE; CREATE TABLE shop.spots (spot earth);
      INSERT INTO shop.spots VALUES (ll_to_earth(1, 2))`)
    await way('spots')
    await expectSame('spots')
    expect(await made()).toEqual(['cube', 'earthdistance', 'shop', 'shop.spots'])
  })

  it('shows in a dry run what it would make, and makes nothing', async () => {
    const { plan } = await way('extended', { runMode: 'DryRun' })
    expect(plan).toContain('shop.extended (new)')
    const lines = plan?.split('\n').filter((line) => line.startsWith('  makes '))
    expect(lines?.map((line) => line.slice('  makes '.length))).toEqual([
      'schema shop',
      'schema extensions',
      'extension hstore',
      'type shop.tags',
    ])
    expect(await made()).toEqual([])
  })

  it('refuses a schema that the user may not make', async () => {
    const error = await refusal(way, 'plain', await plainUser(''))
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false })
    expect(error.message).toMatch(/schema shop is not there, and this user lacks CREATE on the database .*: create it/)
  })

  it('refuses types in a schema in which the user may not create', async () => {
    await other.query('CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ()')
    const changes = await plainUser('GRANT USAGE ON SCHEMA shop TO plain')
    expect(await refusal(way, 'nested', changes)).toMatchObject({
      code: 'POSTGRES_PRIVILEGE',
      message: expect.stringContaining('this user lacks CREATE on schema shop'),
    })
  })

  it('refuses an extension that the server does not have, by its name', async () => {
    await postgres.database.query(`UPDATE pg_extension SET extname = 'nowhere' WHERE extname = 'hstore'`)
    const error = await refusal(way, 'extended')
    expect(error).toMatchObject({ code: 'OBJECT_UNSUPPORTED', retryable: false })
    if (testedMajor < READABLE_CONTROL_FILES_SINCE) {
      expect(error.message).toMatch(/it cannot be made: .*could not open extension control file .*nowhere\.control/)
      return
    }
    expect(error.message).toMatch(
      /column "tags" is shop\.tags: extensions\.hstore is of the extension nowhere \([0-9.]+ in the source\), and .* does not have it \(pg_available_extensions\): install it there/,
    )
    expect(error.message).toContain('column "more" is extensions.hstore[]: extensions.hstore is of')
  })

  it('refuses an extension that is there in another schema, and says how to move it', async () => {
    await other.query('CREATE EXTENSION hstore')
    const error = await refusal(way, 'extended')
    expect(error).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
    expect(error.message).toContain(
      'is here in schema public and has no such type: ALTER EXTENSION "hstore" SET SCHEMA "extensions"',
    )
  })

  it('refuses an extension that this role may not create, in the words of the server', async () => {
    const superuserOnly = testedMajor < TRUSTED_EXTENSIONS_SINCE
    const grant = superuserOnly
      ? `GRANT CREATE ON DATABASE "${other.name}" TO plain`
      : 'CREATE SCHEMA shop; CREATE SCHEMA extensions; GRANT ALL ON SCHEMA shop, extensions TO plain'
    const error = await refusal(way, 'extended', await plainUser(grant))
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false })
    expect(error.message).toMatch(
      /it cannot be made: .*CREATE EXTENSION.*permission denied to create extension "hstore"/,
    )
  })

  itSince(TRUSTED_EXTENSIONS_SINCE)('makes a trusted extension as a user who may create in the database', async () => {
    await way('extended', await plainUser(`GRANT CREATE ON DATABASE "${other.name}" TO plain`))
    await expectSame('extended')
  })

  it('refuses a range with a canonical function, and takes it where it is made', async () => {
    const range = `CREATE SCHEMA IF NOT EXISTS shop; CREATE TYPE shop.evens;
      CREATE FUNCTION shop.canon(shop.evens) RETURNS shop.evens LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
      CREATE TYPE shop.evens AS RANGE (subtype = int4, canonical = shop.canon)`
    await postgres.database.query(
      `${range}; CREATE TABLE shop.even (span shop.evens); INSERT INTO shop.even VALUES ('[1,3]')`,
    )
    const error = await refusal(way, 'even')
    expect(error).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
    expect(error.message).toMatch(
      /column "span" is shop\.evens: .* a range with a canonical function \(shop\.canon\): create both/,
    )
    await other.query(range)
    await way('even')
    await expectSame('even')
  })

  it('refuses a base type, which only functions in C can make, and takes it where it is made', async () => {
    await postgres.database.query(`${baseType('shop.blob')} CREATE TABLE shop.blobs (a shop.blob[]);
      INSERT INTO shop.blobs VALUES (ARRAY['\\x00ff', NULL]::shop.blob[])`)
    const error = await refusal(way, 'blobs')
    expect(error).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
    expect(error.message).toContain('column "a" is shop.blob[]: shop.blob is not there, and it is a base type')
    await other.query(`CREATE SCHEMA shop; ${baseType('shop.blob')}`)
    await way('blobs')
    await expectSame('blobs')
  })

  it('refuses a domain whose check calls a function that is not there', async () => {
    await postgres.database.query(`CREATE FUNCTION shop.fine(int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
      CREATE DOMAIN shop.checked AS int CHECK (shop.fine(VALUE)); CREATE TABLE shop.guarded (a shop.checked)`)
    const error = await refusal(way, 'guarded')
    expect(error).toMatchObject({ code: 'POSTGRES_STATEMENT', retryable: false })
    expect(error.message).toMatch(/it cannot be made: .*function shop\.fine\(integer\) does not exist/)
  })

  it.each([
    ['an enum without a label', `CREATE TYPE shop.mood AS ENUM ('sad')`, "shop.mood lacks 'ok' in the target"],
    [
      'another kind of type',
      'CREATE TYPE shop.mood AS (a int)',
      'is of kind enum in the source and composite in the target',
    ],
    [
      'fields in another order',
      `CREATE TYPE shop.mood AS ENUM ('sad', 'ok'); CREATE TYPE shop.pair AS (moods shop.mood[], label text)`,
      'shop.pair has the fields (label text, moods shop.mood[]) in the source and (moods shop.mood[], label text) in',
    ],
  ])('refuses %s that has the name of a type of the source', async (_what, types, message) => {
    await other.query(`CREATE SCHEMA shop; ${types}`)
    const error = await refusal(way, 'nested')
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false })
    expect(error.message).toContain(`column "pairs" is shop.pair[]: `)
    expect(error.message).toContain(message)
  })

  it('refuses domains and ranges over another type than in the source, in a table that is there', async () => {
    await postgres.database.query(`CREATE DOMAIN shop.price AS numeric(8,2);
      CREATE DOMAIN shop.name AS varchar(10); CREATE TABLE shop.others (span shop.floatrange, price shop.price, name shop.name)`)
    await other.query(`CREATE SCHEMA shop; CREATE DOMAIN shop.price AS numeric(6,1); CREATE DOMAIN shop.name AS text;
      CREATE TYPE shop.floatrange AS RANGE (subtype = int8); CREATE TABLE shop.others (span shop.floatrange, price shop.price, name shop.name)`)
    const error = await refusal(way, 'others', { mode: 'Append' })
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false })
    expect(error.message).toContain('shop.floatrange is of double precision in the source and of bigint in the target')
    expect(error.message).toContain('shop.price is over numeric(8,2) in the source and over numeric(6,1) in the target')
    expect(error.message).not.toContain('column "name"')
  })

  it('leaves to before what that makes', async () => {
    await postgres.database.query(`CREATE FUNCTION shop.fine(int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
      CREATE DOMAIN shop.checked AS int CHECK (shop.fine(VALUE)); CREATE TABLE shop.guarded (a shop.checked)`)
    const before = [
      'CREATE SCHEMA shop',
      `CREATE FUNCTION shop.fine(int) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
    ]
    await way('guarded', { before })
    expect(await made()).toEqual(['shop', 'shop.guarded'])
  })
})

describeSince(MULTIRANGES_SINCE)('a multirange', () => {
  it.each(ways)('is made with its range and has its name, by a %s', async (_, way) => {
    await postgres.database.query(`CREATE TYPE shop.spans AS RANGE (subtype = int8, multirange_type_name = shop.many);
      CREATE TABLE shop.multi (spans shop.many); INSERT INTO shop.multi VALUES ('{[1,2),[3,4)}')`)
    await way('multi')
    await expectSame('multi')
  })

  it.each(ways)('is refused where its range has another one, by a %s', async (_, way) => {
    await postgres.database.query(`CREATE TYPE shop.spans AS RANGE (subtype = int8, multirange_type_name = shop.many);
      CREATE TABLE shop.multi (spans shop.many)`)
    await other.query('CREATE SCHEMA shop; CREATE TYPE shop.spans AS RANGE (subtype = int8)')
    const error = await refusal(way, 'multi')
    expect(error).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
    expect(error.message).toContain('shop.many is not there, and its range is')
  })
})

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { parseTypeDefinitions } from '../../../src/pgpack/rows/definitions.ts'
import { TypeRegistry } from '../../../src/pgpack/rows/registry.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import type { Manifest } from '../../../src/storage/manifest.ts'
import { openArtifact } from '../../support/artifact.ts'
import { collect } from '../../support/bytes.ts'
import { pgpackFile } from '../../support/command.ts'
import { testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'
import { baseType } from '../../support/tables.ts'

jest.setTimeout(120_000)

const MULTIRANGES_SINCE = 14

const postgres = usePostgres({
  setup: `
    CREATE SCHEMA shop;
    CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'über ''quoted''');
    CREATE TYPE unused AS ENUM ('x');
    CREATE DOMAIN positive AS numeric(8,2) NOT NULL DEFAULT 1 CONSTRAINT more CHECK (VALUE > 0) CHECK (VALUE < 1000);
    CREATE DOMAIN tiny AS positive CHECK (VALUE < 10);
    CREATE TYPE pair AS (label varchar(10), feeling shop.mood, price tiny);
    CREATE TYPE nothing AS ();
    CREATE TYPE pricerange AS RANGE (subtype = numeric);
    CREATE TABLE things (id int PRIMARY KEY, pairs pair[], price positive, span pricerange, hollow nothing);
    INSERT INTO things VALUES (1, ARRAY[ROW('a', 'ok', 5)::pair, NULL], 2, '[1,2)', NULL);
    ${testedMajor >= MULTIRANGES_SINCE ? `ALTER TABLE things ADD spans pricemultirange DEFAULT '{[1,2),[3,4)}'` : ''};
    CREATE TABLE plain (id int, tags text[]);
    CREATE EXTENSION hstore SCHEMA shop;
    ${baseType('blob')}
    CREATE TYPE textrange AS RANGE (subtype = text, subtype_opclass = text_pattern_ops, collation = "C");
    CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
    CREATE TABLE extended (tags shop.hstore, blob blob, texts textrange, floats floatrange);
    INSERT INTO extended VALUES ('a=>1', '\\x00ff', '[a,b)', '[1,2)');`,
})
const folder = useFolder()

async function manifestOf(...names: string[]): Promise<Manifest> {
  const store = new FilesystemStore(folder.path)
  const objects = names.map((name) => ({ table: { schema: 'public', name } }))
  const source = postgres.database.config
  await dump({ source, objects, connections: 1, compression: { method: 'Zstd' }, store, path: 'run' }, testContext())
  return (await openArtifact(store, 'run')).manifest
}

describe("the manifest's types", () => {
  let types: NonNullable<Manifest['types']>
  beforeEach(async () => {
    types = (await manifestOf('things', 'plain')).types ?? []
  })
  const typed = (name: string) => types.find((type) => type.name === name)

  it('are those of the columns and all that they stand on, and no others', () => {
    const names = types.map(({ schema, name }) => `${schema}.${name}`)
    const expected = [
      'mood',
      'positive',
      'tiny',
      'pair',
      'nothing',
      'pricerange',
      ...(testedMajor >= MULTIRANGES_SINCE ? ['pricemultirange'] : []),
    ]
    expect(names.sort()).toEqual(expected.map((name) => `${name === 'mood' ? 'shop' : 'public'}.${name}`).sort())
  })

  it('have the labels of enums in their order', () => {
    expect(typed('mood')).toMatchObject({ kind: 'enum', labels: ['sad', 'ok', "über 'quoted'"] })
  })

  it('have the base, the default and the constraints of domains', () => {
    expect(typed('positive')).toMatchObject({
      kind: 'domain',
      base: 1700,
      baseType: 'numeric(8,2)',
      notNull: true,
      default: '1',
    })
    expect(typed('positive')?.constraints).toEqual([
      { name: 'more', definition: 'CHECK ((VALUE > (0)::numeric))' },
      { name: 'positive_check', definition: 'CHECK ((VALUE < (1000)::numeric))' },
    ])
    expect(typed('tiny')).toMatchObject({ kind: 'domain', base: typed('positive')?.oid, notNull: false })
  })

  it('have the attributes of composites', () => {
    expect(typed('pair')).toMatchObject({
      kind: 'composite',
      fields: [
        { name: 'label', oid: 1043, type: 'character varying(10)' },
        { name: 'feeling', oid: typed('mood')?.oid },
        { name: 'price', oid: typed('tiny')?.oid },
      ],
    })
    expect(typed('nothing')).toMatchObject({ kind: 'composite', fields: [] })
  })

  it('have the subtype of ranges, and what is not its default', async () => {
    const { types: more = [] } = await manifestOf('extended')
    const range = (name: string) => more.find((type) => type.name === name)
    expect(range('textrange')).toMatchObject({
      kind: 'range',
      subtype: 25,
      subtypeName: 'text',
      opclass: 'pg_catalog.text_pattern_ops',
      collation: 'pg_catalog."C"',
      canonical: null,
      subtypeDiff: null,
    })
    expect(range('floatrange')).toMatchObject({
      subtypeName: 'double precision',
      opclass: null,
      collation: null,
      subtypeDiff: 'pg_catalog.float8mi',
      ...(testedMajor >= MULTIRANGES_SINCE ? { multirange: 'public.floatmultirange' } : {}),
    })
  })

  it('have the extension that made them', async () => {
    const { types: more = [] } = await manifestOf('extended')
    const version = expect.stringMatching(/^[0-9.]+$/)
    expect(more).toContainEqual(
      expect.objectContaining({
        name: 'hstore',
        like: 'hstore',
        extension: { name: 'hstore', schema: 'shop', version },
      }),
    )
    expect(more.find(({ name }) => name === 'blob')).toMatchObject({ kind: 'base', like: null })
    expect(more.find(({ name }) => name === 'blob')).not.toHaveProperty('extension')
  })

  it('are what the typed rows are read by', async () => {
    const registry = new TypeRegistry(parseTypeDefinitions(JSON.stringify(types)))
    for (const type of types) expect(registry.codec(type.oid).name).toBe(type.name)
  })
})

describe('a manifest of built-in types only', () => {
  it('defines none', async () => {
    expect(await manifestOf('plain')).not.toHaveProperty('types')
  })
})

describe('the commands that read rows', () => {
  it('take the types from the manifest beside the file', async () => {
    await manifestOf('things')
    const { stdout } = await command('head', '--json', `${folder.path}/run/public.things.pgpack`)
    expect(JSON.parse(stdout)).toEqual({
      id: 1,
      pairs: ['(a,ok,5.00)', null],
      price: '2.00',
      span: expect.anything(),
      ...(testedMajor >= MULTIRANGES_SINCE ? { spans: expect.anything() } : {}),
      hollow: null,
    })
  })

  it('convert to text and back by them, and pass as bytes what they do not know', async () => {
    await manifestOf('extended')
    const dumped = `${folder.path}/run/public.extended.pgpack`
    const { stdout } = await command('head', '--json', dumped)
    expect(JSON.parse(stdout)).toMatchObject({ tags: '"a"=>"1"', blob: '\\x00ff' })
    await command('convert', '--in', dumped, '--out', `${folder.path}/rows.csv`, '--to', 'csv')
    const again = `${folder.path}/again.pgpack`
    await command(
      'convert',
      '--from',
      'csv',
      '--in',
      `${folder.path}/rows.csv`,
      '--like',
      dumped,
      '--to',
      'pgpack',
      '--out',
      again,
    )
    const [rows, rowsAgain] = await Promise.all([dumped, again].map(bodyOf))
    expect(rowsAgain).toEqual(rows)
  })
})

async function bodyOf(path: string): Promise<Buffer> {
  const reader = await PGPackReader.open(bufferSource(await readFile(path)))
  return collect(reader.body())
}

async function command(...args: string[]): Promise<{ stdout: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ stdout: string }>()
  execFile(process.execPath, [pgpackFile(), ...args], (error, stdout, stderr) => {
    if (error) reject(new Error(stderr))
    else resolve({ stdout })
  })
  return promise
}

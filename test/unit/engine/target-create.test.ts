import { describe, expect, it } from '@jest/globals'
import { createTable, type TableDefinition } from '../../../src/engine/target-create.ts'
import { createType, typesInOrder } from '../../../src/engine/target-types.ts'
import type { UserType } from '../../../src/postgres/catalog-types.ts'

const definition: TableDefinition = {
  columns: [
    { name: 'id', type: 'bigint', typeOid: 20, notNull: true },
    { name: 'the "Name"', type: 'character varying(5)', typeOid: 1043, notNull: false },
  ],
  primaryKey: ['id'],
  types: [],
}
const table = { schema: 'public', name: 'made' }

describe('CREATE TABLE', () => {
  it('has the columns with their types and NOT NULL, and the key', () => {
    expect(createTable(table, definition, 'PostgreSQL')).toBe(
      'CREATE TABLE "public"."made" (\n  "id" bigint NOT NULL,\n  "the ""Name""" character varying(5),\n  PRIMARY KEY ("id")\n)',
    )
  })

  it('has no key of which a column is not loaded', () => {
    const made = createTable(table, { ...definition, primaryKey: ['id', 'year'] }, 'PostgreSQL')
    expect(made).not.toContain('PRIMARY KEY')
  })

  it.each([
    [{ policy: 'Hash', columns: ['id'] }, ' DISTRIBUTED BY ("id")'],
    [{ policy: 'Random', columns: [] }, ' DISTRIBUTED RANDOMLY'],
    [{ policy: 'Replicated', columns: [] }, ' DISTRIBUTED REPLICATED'],
    [{ policy: 'Hash', columns: ['year'] }, ')'],
  ] as const)('on Greenplum ends by its distribution: %j', (distribution, end) => {
    expect(createTable(table, { ...definition, distribution }, 'Greenplum').endsWith(end)).toBe(true)
    expect(createTable(table, { ...definition, distribution }, 'PostgreSQL').endsWith('\n)')).toBe(true)
  })
})

const mood: UserType = {
  kind: 'enum',
  oid: 20_001,
  schema: 'public',
  name: 'mood',
  arrayOid: 20_002,
  labels: ['sad', "it's ok"],
}
const positive: UserType = {
  kind: 'domain',
  oid: 20_003,
  schema: 'public',
  name: 'positive',
  arrayOid: 20_004,
  base: 23,
  baseType: 'integer',
  notNull: true,
  default: '1',
  constraints: [{ name: 'positive_check', definition: 'CHECK ((VALUE > 0))' }],
}
const pair: UserType = {
  kind: 'composite',
  oid: 19_000,
  schema: 'public',
  name: 'pair',
  arrayOid: 19_001,
  fields: [
    { name: 'moods', oid: 20_002, type: 'public.mood[]' },
    { name: 'amount', oid: 20_003, type: 'public.positive' },
  ],
}
const range: UserType = {
  kind: 'range',
  oid: 20_005,
  schema: 'public',
  name: 'moods',
  arrayOid: 20_006,
  subtype: 20_001,
  subtypeName: 'public.mood',
  opclass: null,
  collation: null,
  canonical: null,
  subtypeDiff: null,
}
const multirange: UserType = {
  kind: 'multirange',
  oid: 19_500,
  schema: 'public',
  name: 'all_moods',
  arrayOid: 19_501,
  range: 20_005,
}

describe('the types of a table that is made', () => {
  it('come after those that they stand on, each once', () => {
    expect(typesInOrder([pair, mood, positive, range], [19_000, 20_002, 23])).toEqual([mood, positive, pair])
    expect(typesInOrder([multirange, pair, mood, positive, range], [19_501, 20_005])).toEqual([mood, range, multirange])
    expect(typesInOrder([pair, mood, positive], [20])).toEqual([])
  })

  it('are made as the source has them', () => {
    expect(createType(mood, 180_000)).toBe(`CREATE TYPE "public"."mood" AS ENUM ('sad', 'it''s ok')`)
    expect(createType(positive, 180_000)).toBe(
      'CREATE DOMAIN "public"."positive" AS integer DEFAULT 1 NOT NULL CONSTRAINT "positive_check" CHECK ((VALUE > 0))',
    )
    expect(createType(pair, 180_000)).toBe(
      'CREATE TYPE "public"."pair" AS ("moods" public.mood[], "amount" public.positive)',
    )
    expect(createType(range, 180_000)).toBe('CREATE TYPE "public"."moods" AS RANGE (SUBTYPE = public.mood)')
  })

  it('are ranges with all that the source chose for them, and what the server is too old for left out', () => {
    const chosen: UserType = {
      ...range,
      subtypeName: 'text',
      opclass: 'pg_catalog.text_pattern_ops',
      collation: 'pg_catalog."C"',
      subtypeDiff: 'pg_catalog.int4range_subdiff',
      multirange: 'public.all_moods',
    }
    const options =
      'SUBTYPE = text, SUBTYPE_OPCLASS = pg_catalog.text_pattern_ops, COLLATION = pg_catalog."C", SUBTYPE_DIFF = pg_catalog.int4range_subdiff'
    expect(createType(chosen, 139_999)).toBe(`CREATE TYPE "public"."moods" AS RANGE (${options})`)
    expect(createType(chosen, 140_000)).toBe(
      `CREATE TYPE "public"."moods" AS RANGE (${options}, MULTIRANGE_TYPE_NAME = public.all_moods)`,
    )
    expect(createType({ ...range, subtypeDiff: 'public.distance' }, 180_000)).not.toContain('SUBTYPE_DIFF')
  })
})

import { describe, expect, it, jest } from '@jest/globals'
import fc from 'fast-check'
import type { PGPackColumn } from '../../../src/pgpack/columns.ts'
import { fromText, toText } from '../../../src/pgpack/convert/convert.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { RowReader } from '../../../src/pgpack/rows/row-reader.ts'
import { fromRows } from '../../../src/pgpack/rows/row-writer.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { describeTable, pgpackColumn } from '../../../src/postgres/catalog.ts'
import { connect } from '../../../src/postgres/connection.ts'
import { inPieces, join, pieceSizes } from '../../support/chunks.ts'
import { copyIn, copyOut } from '../../support/copy.ts'
import { MemorySink, tuplesOf, writeFile } from '../../support/pgpack.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(240_000)

/** SQL of a random value of each type; `h` is a random bigint of the row and column, `u` a random number in 0..1. */
const EXPRESSIONS: Readonly<Record<string, string>> = {
  bool: 'h % 2 = 0',
  int2: '(h % 32768)::int2',
  int4: '(h % 2147483648)::int4',
  int8: 'h',
  oid: '(abs(h % 4294967296))::oid',
  float4: '(u * 7 * power(10::float8, (h % 30)::float8))::float4',
  float8: 'h::float8 * power(2::float8, (h % 900)::float8)',
  money: '(h / 100)::numeric::money',
  numeric: 'trunc(h::numeric * power(10::numeric, (h % 40)::numeric), abs(h % 30)::int)',
  'numeric(20,5)': '(h / 1000000)::numeric / 7',
  text: "translate(substr(md5(h::text), 1, abs(h % 32)::int), '0123', E',\"\\n\\\\')",
  'varchar(40)': "repeat('漢🐘é', abs(h % 12)::int)",
  'char(9)': 'left(md5(h::text), 8)',
  bytea: "decode(repeat(md5(h::text), abs(h % 4)::int), 'hex')",
  uuid: 'md5(h::text)::uuid',
  json: "json_build_object(h::text, u, 'list', json_build_array(h, null, md5(h::text)))",
  jsonb: "jsonb_build_object(h::text, u, 'list', jsonb_build_array(h, null, md5(h::text)))",
  date: "date '2000-01-01' + (h % 2400000)::int",
  time: "(abs(h) % 86400000000) * interval '1 microsecond' + time '00:00'",
  timetz:
    "((abs(h) % 86400000000) * interval '1 microsecond' + time '00:00') AT TIME ZONE make_interval(mins => (h % 900)::int)",
  timestamp: "timestamp '2000-01-01' + (h % 200000000000000000) * interval '1 microsecond'",
  timestamptz: "timestamptz '2000-01-01' + (h % 9000000000000000) * interval '1 microsecond'",
  interval:
    "make_interval(months => (h % 5000)::int, days => (h % 777)::int) + (h % 99999999999) * interval '1 microsecond'",
  inet: "set_masklen('10.0.0.0'::inet + abs(h % 16777216), abs(h % 33)::int)",
  macaddr: 'substr(md5(h::text), 1, 12)::macaddr',
  varbit: 'substr(h::bit(64)::text, 1, abs(h % 65)::int)::varbit',
  point: 'point(u * h, h)',
  circle: 'circle(point(u, h), abs(h))',
  polygon: 'polygon(abs(h % 5)::int + 2, circle(point(u, u), 1))',
  pg_lsn: "('0/0'::pg_lsn + abs(h)::numeric)",
  tsvector: "to_tsvector('simple', md5(h::text) || ' ' || h || ' cat')",
  int8range: 'int8range(h / 2, h / 2 + abs(h % 9))',
  tstzmultirange: "tstzmultirange(tstzrange(timestamptz '2000-01-01' + (h % 100000) * interval '1 s', NULL))",
}
const SCALARS = Object.keys(EXPRESSIONS)

const postgres = usePostgres({ settings: { TimeZone: 'UTC' } })

interface RandomTable {
  readonly columns: readonly { readonly type: string; readonly array: boolean }[]
  readonly rows: number
  readonly seed: number
}

const tables: fc.Arbitrary<RandomTable> = fc.record({
  columns: fc.array(fc.record({ type: fc.constantFrom(...SCALARS), array: fc.boolean() }), {
    minLength: 1,
    maxLength: 12,
  }),
  rows: fc.integer({ min: 1, max: 60 }),
  seed: fc.integer({ min: 1, max: 1_000_000_000 }),
})

/** Each sixth value is NULL; arrays have up to three elements, one of them perhaps NULL, and bounds by chance. */
function createTable({ columns, rows, seed }: RandomTable): string {
  const definitions = columns.map(({ type, array }, index) => `c${index} ${type}${array ? '[]' : ''}`)
  const values = columns.map(({ type, array }, index) => {
    const value = `(SELECT CAST(${EXPRESSIONS[type]} AS ${type}) FROM (SELECT hashint8extended(i, ${seed + index}) / 2 + 1) AS a(h), LATERAL (SELECT (h % 1000003) / 1000003.0::float8) AS b(u))`
    const item = array
      ? `CASE i % 4 WHEN 0 THEN ARRAY[]::${type}[] WHEN 1 THEN ARRAY[[${value}, NULL]] WHEN 2 THEN array_fill(${value}, ARRAY[2], ARRAY[0]) ELSE ARRAY[${value}] END`
      : value
    return `CASE WHEN (i + ${index}) % 6 = 0 THEN NULL ELSE ${item} END`
  })
  return `DROP TABLE IF EXISTS random, copied; CREATE TABLE random (${definitions.join(', ')});
    INSERT INTO random SELECT ${values.join(', ')} FROM generate_series(1, ${rows}) AS i; CREATE TABLE copied (LIKE random)`
}

async function columnsOf(table: string): Promise<readonly PGPackColumn[]> {
  const connection = await connect(postgres.database.config)
  try {
    return (await describeTable(connection, { schema: 'public', name: table })).columns.map(pgpackColumn)
  } finally {
    await connection.close()
  }
}

const bodyOf = async (file: Buffer | undefined) =>
  join((await PGPackReader.open(bufferSource(file ?? Buffer.alloc(0)))).body())

describe('random tables of random types, made by PostgreSQL', () => {
  it('come back binary-equal: dumped, decoded, encoded, restored', async () => {
    await fc.assert(
      fc.asyncProperty(tables, pieceSizes, async (table, sizes) => {
        await postgres.database.query(createTable(table))
        const body = await copyOut(postgres.database, 'COPY random TO STDOUT (FORMAT binary)')
        const tuples = [...tuplesOf(body)]
        const columns = await columnsOf('random')
        const { file } = await writeFile({ columns }, [[Buffer.concat(tuples), tuples.length]])
        const sink = new MemorySink()
        const rows = await RowReader.open(
          inPieces(
            file,
            sizes.map((size) => size + 7),
          ),
        )
        await fromRows(sink, { columns, compression: { method: 'Zstd' }, frameBytes: 500 }, rows)
        const encoded = await bodyOf(sink.file)
        expect(encoded.equals(body)).toBe(true)
        await copyIn(postgres.database, 'COPY copied FROM STDIN (FORMAT binary)', encoded)
        expect((await copyOut(postgres.database, 'COPY copied TO STDOUT (FORMAT binary)')).equals(body)).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  it('are the CSV that COPY writes, and are read back from it and from NDJSON to the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(tables, pieceSizes, async (table, sizes) => {
        await postgres.database.query(createTable(table))
        const body = await copyOut(postgres.database, 'COPY random TO STDOUT (FORMAT binary)')
        const tuples = [...tuplesOf(body)]
        const columns = await columnsOf('random')
        const { file } = await writeFile({ columns }, [[Buffer.concat(tuples), tuples.length]])
        const csv = await join(toText(bufferSource(file), { format: 'csv' }))
        expect(csv.toString()).toBe((await copyOut(postgres.database, 'COPY random TO STDOUT (FORMAT csv)')).toString())
        for (const format of ['csv', 'ndjson'] as const) {
          const text = await join(toText(bufferSource(file), { format }))
          const sink = new MemorySink()
          const pieces = inPieces(
            text,
            sizes.map((size) => size * 5),
          )
          await fromText(pieces, sink, { format, columns, compression: { method: 'None' } })
          expect((await bodyOf(sink.file)).equals(body)).toBe(true)
        }
      }),
      { numRuns: 40 },
    )
  })
})

describe('floats', () => {
  const differences = async (type: string, expression: string) => {
    await postgres.database.query(`DROP TABLE IF EXISTS floats; CREATE TABLE floats (value ${type});
      INSERT INTO floats SELECT ${expression} FROM generate_series(1, 20000) AS i`)
    const tuples = [...tuplesOf(await copyOut(postgres.database, 'COPY floats TO STDOUT (FORMAT binary)'))]
    const { file } = await writeFile({ columns: await columnsOf('floats') }, [[Buffer.concat(tuples), tuples.length]])
    const ours = (await join(toText(bufferSource(file), { format: 'csv' }))).toString().split('\n')
    const theirs = (await copyOut(postgres.database, 'COPY floats TO STDOUT (FORMAT csv)')).toString().split('\n')
    expect(ours).toHaveLength(20_001)
    return ours.flatMap((text, index) => (text === theirs[index] ? [] : [{ text, expected: theirs[index] }]))
  }
  /** A random mantissa, a sign, and an exponent up to `reach` in both directions. */
  const random = (reach: number) =>
    `(hashint8extended(i, 42) % 4503599627370496)::float8 * power(2::float8, (hashint8extended(i, 43) % ${reach})::float8)`

  it.each([
    ['float8', random(960)],
    ['float8', random(20)],
    ['float8', 'power(2::float8, i % 2040 - 1020) * (CASE WHEN i % 3 = 0 THEN 3 ELSE 1 END)'],
    ['float8', '(i * 1000000007::int8 * 104857)::float8'],
    ['float8', 'i * power(10::float8, i % 300 - 5)'],
    ['float4', `(${random(70)})::float4`],
    ['float4', `(${random(20)})::float4`],
    ['float4', '(power(2::float8, i % 250 - 125) * (CASE WHEN i % 3 = 0 THEN 3 ELSE 1 END))::float4'],
    ['float4', '(i * 7919.0 / 1024)::float4'],
    ['float4', '(i * power(10::float8, i % 33 - 2))::float4'],
  ])('of type %s are printed as PostgreSQL prints them: %s', async (type, expression) => {
    expect(await differences(type, expression)).toEqual([])
  })
})

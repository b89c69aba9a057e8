import { describe, expect, it } from '@jest/globals'
import type { PGPackColumn } from '../../../src/pgpack/columns.ts'
import { toText } from '../../../src/pgpack/convert/convert.ts'
import { CSVParser, type CSVRecord } from '../../../src/pgpack/convert/csv.ts'
import { BUILTIN_TYPES } from '../../../src/pgpack/rows/builtin.ts'
import { parseColumnType } from '../../../src/pgpack/rows/column-spec.ts'
import { TYPE_DEFINITIONS_SQL, type TypeDefinition } from '../../../src/pgpack/rows/definitions.ts'
import { TypeRegistry } from '../../../src/pgpack/rows/registry.ts'
import { type Row, RowDecoder } from '../../../src/pgpack/rows/row-decoder.ts'
import { RowEncoder } from '../../../src/pgpack/rows/row-writer.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { describeTable, pgpackColumn } from '../../../src/postgres/catalog.ts'
import { connect } from '../../../src/postgres/connection.ts'
import { join } from '../../support/chunks.ts'
import { copyOut } from '../../support/copy.ts'
import { pgcopy, tuplesOf, writeFile } from '../../support/pgpack.ts'
import { usePostgres } from '../../support/postgres.ts'
import { tableOf, USER_TYPES, USER_VALUES, VALUES } from './values.ts'

const postgres = usePostgres({
  settings: { TimeZone: 'UTC' },
  setup: [tableOf('builtin', VALUES), USER_TYPES, tableOf('users', USER_VALUES)].join('\n'),
})
const TABLES = ['builtin', 'users'] as const

interface Dump {
  readonly columns: readonly PGPackColumn[]
  readonly body: Buffer
  readonly registry: TypeRegistry
  /** The text of each field, as COPY writes it. */
  readonly texts: readonly CSVRecord[]
  readonly csv: Buffer
}

async function dump(table: string): Promise<Dump> {
  const connection = await connect(postgres.database.config)
  try {
    const columns = (await describeTable(connection, { schema: 'public', name: table })).columns.map(pgpackColumn)
    const body = await copyOut(postgres.database, `COPY ${table} TO STDOUT (FORMAT binary)`)
    const csv = await copyOut(postgres.database, `COPY ${table} TO STDOUT (FORMAT csv)`)
    return { columns, body, csv, registry: await registry(), texts: [...new CSVParser(Infinity).push(csv.toString())] }
  } finally {
    await connection.close()
  }
}

async function registry(): Promise<TypeRegistry> {
  const [found] = await postgres.database.query<{ definitions: TypeDefinition[] }>(TYPE_DEFINITIONS_SQL)
  return new TypeRegistry(found?.definitions)
}

function decode({ columns, registry, body }: Dump): Row[] {
  const decoder = new RowDecoder(columns, registry)
  const rows: Row[] = []
  decoder.push(body)
  decoder.next(rows, 1_000_000)
  decoder.end()
  return rows
}

function encode({ columns, registry }: Dump, rows: readonly Row[]): Buffer {
  const encoder = new RowEncoder(columns, registry)
  for (const row of rows) encoder.add(row)
  return pgcopy(encoder.take())
}

/** Fields that differ, with what there is to see of them; a wrong value says more than unequal buffers. */
function differences(dump: Dump, found: Buffer): unknown[] {
  const split = (body: Buffer) => [...tuplesOf(body)].map(fieldsOf)
  const expected = split(dump.body)
  return split(found).flatMap((row, index) =>
    row.flatMap((field, at) => {
      const other = expected[index]?.[at]
      const name = dump.columns[at]?.name ?? ''
      return field === other ? [] : [{ name, text: dump.texts[index]?.[at], found: field, expected: other }]
    }),
  )
}

function fieldsOf(tuple: Buffer): string[] {
  const fields: string[] = []
  for (let at = 2; at < tuple.length; ) {
    const length = tuple.readInt32BE(at)
    fields.push(length < 0 ? 'NULL' : tuple.toString('hex', at + 4, at + 4 + length))
    at += 4 + Math.max(0, length)
  }
  return fields
}

describe.each(TABLES)('every value of table %s', (table) => {
  it('has the text that PostgreSQL prints', async () => {
    const source = await dump(table)
    const wrong = decode(source).flatMap((row, index) =>
      source.columns.flatMap((column, at) => {
        const text = row[at] === null ? null : source.registry.codec(column.oid).format(row[at])
        const expected = source.texts[index]?.[at]
        return text === expected ? [] : [{ column: column.name, text, expected }]
      }),
    )
    expect(wrong).toEqual([])
  })

  it('is encoded to the bytes that PostgreSQL sent', async () => {
    const source = await dump(table)
    const encoded = encode(source, decode(source))
    expect(differences(source, encoded)).toEqual([])
    expect(encoded.equals(source.body)).toBe(true)
  })

  it('is read from its text to the same bytes', async () => {
    const source = await dump(table)
    const texts = decode(source).map((row) =>
      row.map((value, at) =>
        value === null ? null : source.registry.codec(source.columns[at]?.oid ?? 0).format(value),
      ),
    )
    expect(differences(source, encode(source, texts))).toEqual([])
  })

  it('stands in CSV exactly as COPY writes it', async () => {
    const source = await dump(table)
    const tuples = [...tuplesOf(source.body)]
    const { file } = await writeFile({ columns: source.columns }, [[Buffer.concat(tuples), tuples.length]])
    const ours = await join(toText(bufferSource(file), { format: 'csv', registry: source.registry }))
    expect(ours.toString()).toBe(source.csv.toString())
  })
})

describe('the built-in types', () => {
  it('are all those of the server that have a binary output, with their arrays, lengths and delimiters', async () => {
    const types = await postgres.database.query<{
      name: string
      oid: string
      array: string
      length: number
      delimiter: string
    }>(
      `SELECT typname AS name, oid::text, typarray::text AS array, typlen::int AS length, typdelim AS delimiter FROM pg_type
       WHERE oid < 16384 AND typtype IN ('b', 'r', 'm') AND typelem = 0 AND typsend <> 0 AND typnamespace = 'pg_catalog'::regnamespace
       UNION ALL SELECT typname, oid::text, typarray::text, typlen, typdelim FROM pg_type WHERE typname IN ('point', 'lseg', 'box', 'line', 'name', 'int2vector', 'oidvector')
       ORDER BY 1`,
    )
    const opaque = [
      'pg_brin_bloom_summary',
      'pg_brin_minmax_multi_summary',
      'pg_ddl_command',
      'pg_dependencies',
      'pg_mcv_list',
      'pg_ndistinct',
    ]
    const ours = BUILTIN_TYPES.map(({ codec, oid, arrayOid, length, delimiter = ',' }) => ({
      name: codec.name,
      oid: String(oid),
      array: String(arrayOid),
      length,
      delimiter,
    }))
    const theirs = types.filter(({ name }) => !opaque.includes(name))
    const byName = (left: { name: string }, right: { name: string }) => (left.name < right.name ? -1 : 1)
    expect(ours.filter(({ name }) => name !== 'unknown').sort(byName)).toEqual(theirs.sort(byName))
  })

  it('are described by their names as the catalog describes columns of them', async () => {
    const types = Object.keys(VALUES).flatMap((type) => [type, `${type}[]`])
    const more = [
      'character(3)',
      'char',
      'character varying(5)',
      'double precision',
      'timestamp(2) with time zone',
      'time without time zone',
      'numeric(10,2)[]',
      'bit varying(7)',
      'interval(2)',
      'integer[][]',
      'numeric',
    ]
    const all = [...types, ...more].filter((type) => !type.startsWith('interval year'))
    await postgres.database.query(
      `CREATE TABLE described (${all.map((type, index) => `c${index} ${type}`).join(', ')})`,
    )
    const { columns } = await dump('described')
    expect(all.map((type) => [type, parseColumnType(type)])).toEqual(
      all.map((type, index) => {
        const { name: _, ...column } = columns[index] ?? { name: '' }
        return [type, column]
      }),
    )
  })
})

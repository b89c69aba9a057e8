import type { TestDatabase } from '../support/postgres-server.ts'

/** A table as people have them, by the width of its rows as binary COPY. */
export interface Shape {
  readonly name: 'narrow' | 'text' | 'wide'
  readonly about: string
  /** Of one row as binary COPY, about. */
  readonly rowBytes: number
  readonly columns: string
  /** The columns' expressions over `i`. */
  readonly select: string
}

const MIB = 1024 ** 2

export const SHAPES: readonly Shape[] = [
  {
    name: 'narrow',
    about: 'bigint, timestamp and float columns, 58 bytes a row',
    rowBytes: 58,
    columns: 'id int8, amount int8, at timestamptz, price float8, kind int4',
    select: "i, i * 7919 % 1000003, timestamptz '2026-01-01' + i * interval '1.000001 s', i * 0.37, i % 5000",
  },
  {
    name: 'text',
    about: 'an id and three texts, 105 bytes a row',
    rowBytes: 105,
    columns: 'id int8, hash text, mail text, note text',
    select: `i, md5(i::text), 'user' || i % 100000 || '@example.com',
      repeat(chr(97 + (i % 26)::int), (i % 40)::int) || i`,
  },
  {
    name: 'wide',
    about: 'an id, a jsonb document and a long text, 1.9 KB a row',
    rowBytes: 1900,
    columns: 'id int8, doc jsonb, body text',
    select: `i, jsonb_build_object('id', i, 'name', 'user ' || i, 'hash', md5(i::text), 'tags',
      jsonb_build_array('a', 'b', i % 100), 'nested', jsonb_build_object('x', i * 2, 'y', md5((i * 3)::text),
      'text', repeat(md5((i % 1000)::text), 16))),
      repeat('lorem ipsum dolor sit amet, ', 16) || repeat(md5((i * 5)::text) || ' ', 10) || md5(i::text)
        || md5((i + 1)::text) || md5((i + 2)::text) || md5((i + 3)::text)`,
  },
]

/** Makes a table of the shape's name that is about so many MiB as binary COPY; resolves with the exact bytes. */
export async function makeTable(database: TestDatabase, shape: Shape, mebibytes: number): Promise<number> {
  const { name, columns, select, rowBytes } = shape
  const rows = Math.ceil((mebibytes * MIB) / rowBytes)
  // Not unlogged, which pgcopydb passes over.
  await database.query(`CREATE TABLE ${name} (${columns})`)
  await database.query(`INSERT INTO ${name} SELECT ${select} FROM generate_series(1, ${rows}::int8) AS i`)
  // Else the first reader of each page would write hint bits.
  await database.query(`VACUUM (FREEZE, ANALYZE) ${name}`)
  return rows * rowBytes
}

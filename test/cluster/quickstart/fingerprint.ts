import type { Database } from './databases.ts'

/** What two tables with the same rows have in common, in whatever order the rows lie. */
export interface Fingerprint {
  readonly rows: bigint
  /** Sum over all rows of a 64-bit hash of the whole row. */
  readonly hash: string
}

/**
 * Hashes every row by its text, in which each column stands as its type's output function writes it, and NULL differs
 * from an empty string. A sum does not depend on the order, and unlike XOR it sees a row that is there twice.
 */
const SQL = (table: string): string => `
  select count(*) as rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as hash from ${table} as t`

/**
 * The same text in any session: what a role or a database sets must not make equal rows look different, or different
 * rows equal (extra_float_digits).
 */
const SETTINGS = [
  `set local timezone = 'UTC'`,
  `set local datestyle = 'ISO, YMD'`,
  `set local intervalstyle = 'postgres'`,
  `set local bytea_output = 'hex'`,
  'set local extra_float_digits = 1',
]

/** Reads the whole table. @param table as SQL names it: `public.orders` */
export async function fingerprint(database: Database, table: string): Promise<Fingerprint> {
  const statements = ['begin read only', ...SETTINGS]
  const session = await database.session()
  try {
    await session.query(statements.join(';'))
    const { rows } = await session.query<{ rows: string; hash: string }>(SQL(table))
    const [found] = rows
    return { rows: BigInt(found?.rows ?? 0), hash: found?.hash ?? '' }
  } finally {
    await session.end()
  }
}

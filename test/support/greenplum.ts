import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll } from '@jest/globals'
import pg from 'pg'
import { parseDsn } from '../../src/postgres/dsn.ts'
import type { TestDatabase } from './postgres.ts'

/** A superuser's connection string to any database of a Greenplum: jest.config.ts leaves out tests that need it where there is none. */
const dsn = process.env['GREENPLUM_DSN'] ?? ''

/** A database of the test file's own on the Greenplum that GREENPLUM_DSN names. */
export function useGreenplum(setup = ''): TestDatabase {
  const name = `pgpack_${randomBytes(6).toString('hex')}`
  const drop = async () => {
    await run(dsn, `drop database ${name}`)
  }
  beforeAll(async () => {
    await run(dsn, `create database ${name} template template0 encoding 'UTF8'`)
    await run(dsnOf(name), setup)
  }, 120_000)
  afterAll(drop, 60_000)
  return {
    name,
    dsn: dsnOf(name),
    config: { ...parseDsn(dsn), database: name },
    query: (sql, params) => run(dsnOf(name), sql, params),
    // Each query has a connection of its own.
    close: async () => undefined,
    drop,
  }
}

/** pg lets the database of a connection string go before one that is given beside it. */
function dsnOf(database: string): string {
  return Object.assign(new URL(dsn), { pathname: `/${database}` }).href
}

async function run<R extends pg.QueryResultRow>(
  connectionString: string,
  sql: string,
  params?: unknown[],
): Promise<R[]> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const result: unknown = await client.query(sql, params)
    return ((Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<R>).rows
  } finally {
    await client.end()
  }
}

/** Removes the files below the segments' own folders whose names begin so. @param table any table */
export async function removeSegmentFiles({ query }: TestDatabase, table: string, start: string): Promise<void> {
  // The command must name <SEGID>.
  await query(`COPY ${table} TO PROGRAM 'cat > /dev/null; rm -f <SEG_DATA_DIR>/${start}*; : <SEGID>' ON SEGMENT`)
}

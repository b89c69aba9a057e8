import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { collect } from './bytes.ts'
import type { TestDatabase } from './postgres.ts'

/** What `COPY … TO STDOUT` gives. */
export async function copyOut(database: TestDatabase, sql: string): Promise<Buffer> {
  return withClient(database, (client) => collect(client.query(to(sql))))
}

/** Feeds `COPY … FROM STDIN`. */
export async function copyIn(database: TestDatabase, sql: string, bytes: Buffer): Promise<void> {
  await withClient(database, (client) => pipeline([bytes], client.query(from(sql))))
}

async function withClient<T>(database: TestDatabase, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: database.dsn })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

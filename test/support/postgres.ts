import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals'
import { memoryFolder } from './memory-folder.ts'
import {
  HOME_PREFIX,
  type PostgresOptions,
  type PostgresServer,
  startPostgres as startServer,
  type TestDatabase,
} from './postgres-server.ts'

// The server itself is a module of its own, for scripts that run without Jest.
export * from './postgres-server.ts'

export interface PostgresFixture {
  readonly server: PostgresServer
  /** The running test's own database, empty or as `setup` left the template. */
  readonly database: TestDatabase
}

/** Starts a PostgreSQL that has its files in memory where there is room: a database is made there in a fifth of the time. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const parent = await memoryFolder(HOME_PREFIX)
  return startServer({ ...(parent !== undefined && { parent }), ...options })
}

/**
 * Registers a server for a test file and a fresh database for each of its tests.
 * @param setup SQL that fills the template every test's database is copied from.
 */
export function usePostgres(options: PostgresOptions & { readonly setup?: string } = {}): PostgresFixture {
  let server: PostgresServer | undefined
  let template: TestDatabase | undefined
  let database: TestDatabase | undefined
  beforeAll(async () => {
    server = await startPostgres(options)
    if (options.setup === undefined) return
    template = await server.createDatabase()
    await template.query(options.setup)
    await template.close()
  }, 120_000)
  afterAll(async () => server?.stop(), 60_000)
  beforeEach(async () => {
    database = await server?.createDatabase(template && { template: template.name })
  }, 60_000)
  afterEach(async () => database?.drop(), 60_000)
  return {
    get server() {
      return present(server)
    },
    get database() {
      return present(database)
    },
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('only inside a test')
  return value
}

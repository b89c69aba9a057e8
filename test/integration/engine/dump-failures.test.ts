import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type ArtifactDumpRequest, dump, dumpFile } from '../../../src/engine/dump.ts'
import type { PgpackError } from '../../../src/errors.ts'
import type { ConnectionConfig } from '../../../src/postgres/types.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import type { S3Options } from '../../../src/storage/location.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import type { ObjectStore } from '../../../src/storage/store.ts'
import { waitFor } from '../../cluster/processes.ts'
import {
  type Backend,
  backendsGone,
  backendsOf,
  copyingBackend,
  failureOf,
  keysIn,
  type TestContext,
  testContext,
  useFolder,
} from '../../support/engine.ts'
import { startTCPProxy } from '../../support/faultproxy.ts'
import { useMinio } from '../../support/minio.ts'
import { type TestDatabase, usePostgres } from '../../support/postgres.ts'

jest.setTimeout(60_000)

/** Sends 24 MB that no method can shrink, more than one part of a multipart upload, and then nothing for ten minutes. */
const STALLING = `
  SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 32) j) AS filler FROM generate_series(1, 24000) i
  UNION ALL SELECT 0, (SELECT pg_sleep(600))::text`

const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TABLE orders (id int, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 1000) i;
    CREATE TABLE "Orders" (id int);
    CREATE ROLE reader LOGIN PASSWORD 'r3ader';
    CREATE VIEW stalling AS ${STALLING};
    CREATE VIEW failing AS SELECT i, 1000 / (20000 - i) AS b, repeat(md5(i::text), 50) FROM generate_series(1, 30000) i;`,
})
const minio = useMinio()
const folder = useFolder()

const stores: [name: string, open: () => ObjectStore][] = [
  ['a folder', () => new FilesystemStore(folder.path)],
  ['a bucket', () => bucketStore()],
]

const opened: ObjectStore[] = []
afterEach(() => {
  for (const store of opened.splice(0)) store.close()
})

/** A store on the test's bucket, or with options that differ; closed after the test. */
function bucketStore(changes: Partial<S3Options> = {}): ObjectStore {
  const store = new S3Store(minio.server.options(changes.bucket ?? minio.bucket, changes))
  opened.push(store)
  return store
}

const table = (name: string, columns?: string[]): DumpObject => ({
  table: { schema: 'public', name, ...(columns && { columns }) },
})

function request(changes: Partial<ArtifactDumpRequest> & Pick<ArtifactDumpRequest, 'objects'>): ArtifactDumpRequest {
  return {
    source: postgres.database.config,
    connections: 1,
    compression: { method: 'Zstd' },
    store: new FilesystemStore(folder.path),
    path: 'run/pod-1',
    ...changes,
  }
}

const failedDump = (changes: Partial<ArtifactDumpRequest> & Pick<ArtifactDumpRequest, 'objects'>) =>
  failureOf(dump(request(changes), testContext()))

/** Neither a file nor a part of one, on any store; no session on the server. */
async function expectNothingLeft(store: ObjectStore): Promise<void> {
  expect(await keysIn(store)).toEqual([])
  expect(await minio.server.unfinishedUploads()).toEqual([])
  await backendsGone(postgres.server)
}

describe('a dump is refused before a row moves', () => {
  it('for a table that is not there, with the names that come near', async () => {
    const error = await failedDump({ objects: [table('orderz')] })
    expect(error).toMatchObject({ code: 'POSTGRES_NO_RELATION', retryable: false, reason: 'RelationNotFound' })
    expect(error.message).toContain('"public"."orderz"')
    expect(error.message).toMatch(/did you mean .*"public"."orders"/)
  })

  it('for a table in another case, with the one that was meant', async () => {
    expect((await failedDump({ objects: [table('ORDERS')] })).message).toMatch(
      /did you mean "public"."(orders|Orders)"/,
    )
  })

  it('for a column that is not there, with those that are', async () => {
    const error = await failedDump({ objects: [table('orders', ['id', 'notes'])] })
    expect(error).toMatchObject({ code: 'POSTGRES_NO_COLUMN', retryable: false })
    expect(error.message).toContain('public.orders has no column "notes"')
    expect(error.message).toContain('id, note')
  })

  it('for a second object that is not there, without a byte of the first', async () => {
    const context = testContext()
    const store = new FilesystemStore(folder.path)
    const error = await failureOf(dump(request({ store, objects: [table('orders'), table('gone')] }), context))
    expect(error.code).toBe('POSTGRES_NO_RELATION')
    expect(context.reports).toEqual([])
    await expectNothingLeft(store)
  })

  it('for an object that is asked for twice', async () => {
    const error = await failedDump({ objects: [table('orders'), table('orders')] })
    expect(error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('public.orders is asked for twice'),
    })
  })

  it.each<[what: string, sql: string, code: string]>([
    ['that is no SQL', 'SELEC 1', 'POSTGRES_STATEMENT'],
    ['of a table that is not there', 'SELECT * FROM gone', 'POSTGRES_NO_RELATION'],
    ['with a column without a name', 'SELECT 1', 'CONFIG_INVALID'],
    ['with two columns of one name', 'SELECT 1 AS a, 2 AS a', 'CONFIG_INVALID'],
    ['that changes data', 'DELETE FROM orders RETURNING id', 'POSTGRES_STATEMENT'],
  ])('for a query %s', async (_, sql, code) => {
    const error = await failedDump({ objects: [{ query: { name: 'q', sql } }] })
    expect(error).toMatchObject({ code, retryable: false })
    expect(await postgres.database.query('SELECT count(*)::int AS rows FROM orders')).toEqual([{ rows: 1000 }])
  })

  it('for a query of two statements, of which none is run', async () => {
    const error = await failedDump({ objects: [{ query: { name: 'q', sql: 'SELECT 1 AS a; DROP TABLE orders' } }] })
    expect(error.retryable).toBe(false)
    expect(await postgres.database.query('SELECT count(*)::int AS rows FROM orders')).toEqual([{ rows: 1000 }])
  })

  it('for a where that is no condition', async () => {
    const error = await failedDump({ objects: [{ table: { schema: 'public', name: 'orders', where: 'id =' } }] })
    expect(error).toMatchObject({ code: 'POSTGRES_STATEMENT', retryable: false })
  })

  it('for a table that the user may not read', async () => {
    const source: ConnectionConfig = { ...postgres.database.config, user: 'reader', password: 'r3ader' }
    const error = await failedDump({ source, objects: [table('orders')] })
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false, reason: 'PermissionDenied' })
    expect(error.message).toContain('orders')
  })
})

describe('a server that cannot be used', () => {
  const withSource = (changes: Partial<ConnectionConfig>) =>
    failedDump({ source: { ...postgres.database.config, ...changes }, objects: [table('orders')] })

  const expectNoSecret = (error: PgpackError, secret: string) => {
    expect(`${error.message} ${JSON.stringify(error.details)} ${String(error.cause)}`).not.toContain(secret)
  }

  it('for a wrong password is not tried again, and the password stays unsaid', async () => {
    const error = await withSource({ password: 'wr0ng-s3cret' })
    expect(error).toMatchObject({ code: 'POSTGRES_AUTHENTICATION', retryable: false, details: { status: '28P01' } })
    expect(error.message).toContain(`${postgres.server.port}`)
    expectNoSecret(error, 'wr0ng-s3cret')
  })

  it('for want of a password says so', async () => {
    const { password, ...source } = postgres.database.config
    const error = await failedDump({ source, objects: [table('orders')] })
    expect(error).toMatchObject({ code: 'POSTGRES_AUTHENTICATION', retryable: false })
    expectNoSecret(error, password ?? '')
  })

  it('for a database that is not there names it', async () => {
    const error = await withSource({ database: 'no_such_db' })
    expect(error).toMatchObject({ code: 'POSTGRES_NO_DATABASE', retryable: false })
    expect(error.message).toContain('no_such_db')
  })

  it('for a port where nobody listens is worth a retry', async () => {
    const error = await withSource({ port: await closedPort() })
    expect(error).toMatchObject({ code: 'POSTGRES_UNREACHABLE', retryable: true, reason: 'DatabaseUnreachable' })
  })

  it('for a server that says nothing ends by the timeout', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const address = silent.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    try {
      const error = await withSource({ port, connectTimeoutSeconds: 1 })
      expect(error).toMatchObject({ code: 'POSTGRES_UNREACHABLE', retryable: true })
    } finally {
      silent.close()
    }
  })
})

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

describe('a store that cannot be used', () => {
  it('for a missing bucket names it, before the database is asked', async () => {
    const store = bucketStore({ bucket: 'no-such-bucket' })
    const error = await failedDump({
      store,
      objects: [table('orders')],
      source: { ...postgres.database.config, port: 1 },
    })
    expect(error).toMatchObject({ code: 'STORE_NO_BUCKET', retryable: false, reason: 'BucketNotFound' })
    expect(error.message).toContain('no-such-bucket')
  })

  it('for a wrong secret key is not tried again, and the key stays unsaid', async () => {
    const store = bucketStore({ secretAccessKey: 'wr0ng-s3cret' })
    const error = await failedDump({ store, objects: [table('orders')] })
    expect(error).toMatchObject({ code: 'STORE_DENIED', retryable: false, reason: 'StoreAccessDenied' })
    expect(`${error.message} ${String(error.cause)}`).not.toContain('wr0ng-s3cret')
  })

  it('for an endpoint where nobody listens is worth a retry', async () => {
    const store = bucketStore({ endpoint: `http://127.0.0.1:${await closedPort()}` })
    const error = await failedDump({ store, objects: [table('orders')] })
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true, reason: 'StoreUnreachable' })
  })

  it('for a folder that is not there says what to do', async () => {
    const error = await failedDump({
      store: new FilesystemStore(join(folder.path, 'gone')),
      objects: [table('orders')],
    })
    expect(error).toMatchObject({ code: 'STORE_NO_BUCKET', retryable: false })
  })
})

describe.each(stores)('a dump into %s that breaks in the middle of a COPY', (_, open) => {
  let store: ObjectStore
  let context: TestContext
  beforeEach(() => {
    store = open()
    context = testContext()
  })

  /** Resolves with the backend when it has sent all that it will, and the store has it; fails with a dump that fails before. */
  async function stalled(failure: Promise<PgpackError>): Promise<Backend> {
    const early = failure.then((error) => {
      throw error
    })
    const backend = copyingBackend(postgres.server, ({ wait }) => wait === 'PgSleep')
    const uploading = waitFor('the upload is under way', 20_000, async () => {
      const bytes = BigInt(context.reports.at(-1)?.storedBytes ?? 0)
      const begun = store instanceof FilesystemStore || (await minio.server.unfinishedUploads()).length > 0
      return (bytes > 16n * 1024n * 1024n && begun) || undefined
    })
    await Promise.race([early, uploading])
    return Promise.race([early, backend])
  }

  const stallingDump = (objects: DumpObject[], connections = 1) =>
    failureOf(dump(request({ store, objects, connections, compression: { method: 'None' } }), context))

  it.each([
    [1, 'alone'],
    [3, 'with others'],
  ])(
    'because its backend was terminated is worth a retry and leaves nothing, by %s connections',
    async (connections) => {
      const failure = stallingDump([table('orders'), table('stalling')], connections)
      const backend = await stalled(failure)
      await postgres.server.query('SELECT pg_terminate_backend($1)', [backend.pid])
      const error = await failure
      expect(error).toMatchObject({
        code: 'POSTGRES_CONNECTION_LOST',
        retryable: true,
        reason: 'DatabaseConnectionLost',
      })
      await expectNothingLeft(store)
    },
  )

  it('because the network was cut is worth a retry, and leaves nothing', async () => {
    const proxy = await startTCPProxy({ host: postgres.server.host, port: postgres.server.port })
    const source = { ...postgres.database.config, port: proxy.port }
    const objects = [table('orders'), table('stalling')]
    const failure = failureOf(dump(request({ store, objects, source, compression: { method: 'None' } }), context))
    const backend = await stalled(failure)
    proxy.cutAll()
    expect(await failure).toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: true })
    await proxy.stop()
    // The server notices only when it next writes to a client that is gone: this one sleeps, and we cannot reach it.
    await postgres.server.query('SELECT pg_terminate_backend($1)', [backend.pid])
    await expectNothingLeft(store)
  })

  it('because its query was cancelled by somebody leaves nothing', async () => {
    const failure = stallingDump([table('stalling')])
    const backend = await stalled(failure)
    await postgres.server.query('SELECT pg_cancel_backend($1)', [backend.pid])
    expect(await failure).toMatchObject({ code: 'POSTGRES_STATEMENT', retryable: true })
    await expectNothingLeft(store)
  })

  it('because of an error after good rows leaves nothing, of the objects before it neither', async () => {
    const error = await failureOf(dump(request({ store, objects: [table('orders'), table('failing')] }), context))
    expect(error).toMatchObject({ code: 'POSTGRES_DATA', retryable: false, details: { status: '22012' } })
    await expectNothingLeft(store)
  })

  it('because it was aborted ends its backend within seconds and leaves nothing', async () => {
    const failure = stallingDump([table('orders'), table('stalling')], 2)
    await stalled(failure)
    const start = performance.now()
    context.abort(new Error('received SIGTERM'))
    expect(await failure).toMatchObject({ code: 'CANCELLED', retryable: true, reason: 'Cancelled' })
    expect(performance.now() - start).toBeLessThan(5000)
    await backendsGone(postgres.server, 2000)
    await expectNothingLeft(store)
  })

  it('into one file leaves nothing of it, and the file that was there before', async () => {
    const before = { source: postgres.database.config, connections: 1, compression: { method: 'None' }, store } as const
    await dumpFile({ ...before, object: table('orders'), key: 'orders.pgpack' }, testContext())
    const { size } = await store.stat('orders.pgpack', testContext().signal)
    const failure = failureOf(dumpFile({ ...before, object: table('stalling'), key: 'orders.pgpack' }, context))
    await stalled(failure)
    context.abort()
    expect((await failure).code).toBe('CANCELLED')
    expect(await keysIn(store)).toEqual(['orders.pgpack'])
    expect((await store.stat('orders.pgpack', testContext().signal)).size).toBe(size)
    expect(await minio.server.unfinishedUploads()).toEqual([])
    await backendsGone(postgres.server)
  })
})

describe('a dump that is aborted early', () => {
  it('before it began asks nobody', async () => {
    const context = testContext()
    context.abort(new Error('received SIGTERM'))
    expect(await failureOf(dump(request({ objects: [table('orders')] }), context))).toMatchObject({ code: 'CANCELLED' })
    expect(await backendsOf(postgres.server)).toEqual([])
  })

  it('while it waits for a lock ends at once', async () => {
    const locker = await lockedTable(postgres.database)
    const context = testContext()
    const failure = failureOf(dump(request({ objects: [table('orders')] }), context))
    await waitFor('a backend that waits for the lock', 20_000, async () =>
      (await backendsOf(postgres.server)).find(({ wait }) => wait === 'relation'),
    )
    context.abort()
    expect((await failure).code).toBe('CANCELLED')
    await backendsGone(postgres.server, 2000)
    await locker.release()
  })
})

/** Holds ACCESS EXCLUSIVE on `orders` from a session of its own until it is released. */
async function lockedTable(database: TestDatabase): Promise<{ release: () => Promise<void> }> {
  const holding = database.query('BEGIN; LOCK TABLE orders; SELECT pg_sleep(600)')
  const ended = holding.catch((error: unknown) => error)
  const [locker] = await waitFor('the lock is held', 10_000, async () => {
    const rows = await database.query<{ pid: number }>(
      `SELECT l.pid FROM pg_locks l WHERE l.relation = 'orders'::regclass AND l.mode = 'AccessExclusiveLock' AND l.granted`,
    )
    return rows.length > 0 ? rows : undefined
  })
  return {
    release: async () => {
      await database.query('SELECT pg_terminate_backend($1)', [locker?.pid])
      await ended
    },
  }
}

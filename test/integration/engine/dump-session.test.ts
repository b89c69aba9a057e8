import { describe, expect, it, jest } from '@jest/globals'
import { type ArtifactDumpRequest, dump, planDump } from '../../../src/engine/dump.ts'
import type { LogFields, Logger } from '../../../src/log.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { openArtifact } from '../../support/artifact.ts'
import { failureOf, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 100);
    CREATE TABLE log (at serial, what text);`,
})
const folder = useFolder()
const table = (name: string, schema = 'public'): DumpObject => ({ table: { schema, name } })
const query = (sql: string): DumpObject => ({ query: { name: 'q', sql } })

type Changes = Partial<ArtifactDumpRequest>

const dumpTo = (changes: Changes, context = testContext()) =>
  dump(
    {
      source: postgres.database.config,
      connections: 1,
      compression: { method: 'None' },
      store: new FilesystemStore(folder.path),
      path: 'run',
      objects: [table('orders')],
      ...changes,
    },
    context,
  )

const nothingLeft = async () => expect(await keysIn(new FilesystemStore(folder.path))).toEqual([])

describe('statements before', () => {
  it('run before the snapshot, each committed: the dump sees what they wrote', async () => {
    const before = ['INSERT INTO orders VALUES (101)', "INSERT INTO log (what) VALUES ('before')"]
    const { totals } = await dumpTo({ before, connections: 3 })
    expect(totals.rows).toBe('101')
    expect(await postgres.database.query('SELECT what FROM log')).toEqual([{ what: 'before' }])
  })

  it('can make temporary tables that a query then reads', async () => {
    const before = ['CREATE TEMP TABLE wanted AS SELECT 7 AS id UNION SELECT 9', 'ANALYZE wanted']
    const { totals } = await dumpTo({ before, objects: [query('SELECT o.* FROM orders o JOIN wanted USING (id)')] })
    expect(totals.rows).toBe('2')
  })

  it('that make temporary tables go with one connection, and are named', async () => {
    const error = await failureOf(dumpTo({ before: ['CREATE TEMP TABLE wanted (id int)'], connections: 2 }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    expect(error.message).toMatch(/temporary "wanted".*one connection/)
  })

  it('that fail end the dump before anything is written', async () => {
    const error = await failureOf(dumpTo({ before: ['SELECT 1', 'DROP TABLE gone'] }))
    expect(error).toMatchObject({ code: 'POSTGRES_NO_RELATION', retryable: false })
    expect(error.message).toContain('DROP TABLE gone')
    await nothingLeft()
  })
})

describe('statements after', () => {
  it('may write, once the rows are read', async () => {
    const { totals } = await dumpTo({ after: ["INSERT INTO log (what) SELECT 'after ' || count(*) FROM orders"] })
    expect(totals.rows).toBe('100')
    expect(await postgres.database.query('SELECT what FROM log')).toEqual([{ what: 'after 100' }])
  })

  it('that fail leave no dump', async () => {
    const error = await failureOf(dumpTo({ after: ['SELECT 1/0'] }))
    expect(error).toMatchObject({ code: 'POSTGRES_DATA' })
    await nothingLeft()
  })
})

describe('the isolation', () => {
  it.each(['RepeatableRead', 'Serializable'] as const)('%s goes with several connections', async (isolation) => {
    const { artifact } = await dumpTo({ session: { isolation }, connections: 3 })
    const { manifest } = await openArtifact(new FilesystemStore(folder.path), artifact.path)
    expect(manifest).toMatchObject({ isolation, totals: { rows: '100' } })
  })

  it('ReadCommitted goes with one object and one connection', async () => {
    expect((await dumpTo({ session: { isolation: 'ReadCommitted' } })).totals.rows).toBe('100')
  })

  it.each<[what: string, changes: Changes, message: RegExp]>([
    ['connections', { connections: 2 }, /ReadCommitted.*2 connections/],
    ['objects', { objects: [table('orders'), table('log')] }, /ReadCommitted goes with one object, found 2/],
  ])('ReadCommitted is refused with several %s', async (_, changes, message) => {
    const error = await failureOf(dumpTo({ session: { isolation: 'ReadCommitted' }, ...changes }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    expect(error.message).toMatch(message)
  })
})

describe('the session', () => {
  it('has the settings that are asked for, on every connection', async () => {
    const settings = [{ name: 'application_name', value: 'pgpack test 17' }]
    const sql = `SELECT application_name AS name FROM pg_stat_activity WHERE application_name = 'pgpack test 17'`
    const { totals } = await dumpTo({ session: { settings }, connections: 3, objects: [query(sql)] })
    expect(totals.rows).toBe('3')
  })

  it('ends a statement that takes too long, worth a retry', async () => {
    const slow = query('SELECT i, pg_sleep(0.01)::text AS x FROM generate_series(1, 100000) i')
    const error = await failureOf(dumpTo({ session: { statementTimeoutSeconds: 1 }, objects: [slow] }))
    expect(error).toMatchObject({ code: 'POSTGRES_STATEMENT', retryable: true, details: { status: '57014' } })
    await nothingLeft()
  })

  it('ends the wait for a lock', async () => {
    const locker = postgres.database.query('BEGIN; LOCK TABLE orders; SELECT pg_sleep(4)')
    await locked('orders')
    const error = await failureOf(dumpTo({ session: { lockTimeoutSeconds: 1 } }))
    expect(error).toMatchObject({ code: 'POSTGRES_BUSY', retryable: true, details: { status: '55P03' } })
    await locker
    await nothingLeft()
  })
})

async function locked(name: string): Promise<void> {
  const sql = `SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND mode = 'AccessExclusiveLock' AND granted`
  const deadline = performance.now() + 10_000
  while ((await postgres.database.query(sql, [name])).length === 0) {
    if (performance.now() > deadline) throw new Error('the lock is not held')
  }
}

/** A log that keeps what it is told. */
function listening(): { log: Logger; lines: (LogFields & { message: string })[] } {
  const lines: (LogFields & { message: string })[] = []
  const note = (fields: LogFields, message: string) => {
    lines.push({ ...fields, message })
  }
  const log: Logger = { debug: note, info: note, warn: note, error: note, child: () => log }
  return { log, lines }
}

describe('what the log is told', () => {
  it('is the plan of every object, when asked for', async () => {
    const { log, lines } = listening()
    const objects = [table('orders'), query('SELECT id FROM orders WHERE id < 5')]
    await dumpTo({ objects, explain: 'Plan' }, { ...testContext(), log })
    const plans = lines.filter(({ plan }) => plan !== undefined)
    expect(plans.map(({ object }) => object)).toEqual(['public.orders', 'q'])
    for (const { plan } of plans) expect(plan).toMatch(/^Seq Scan on orders .*rows=/)
  })

  it('is no plan otherwise', async () => {
    const { log, lines } = listening()
    await dumpTo({}, { ...testContext(), log })
    expect(lines).toEqual([])
  })
})

describe('a dry run', () => {
  const dryRun = (changes: Changes = {}) =>
    planDump(
      {
        source: postgres.database.config,
        connections: 2,
        compression: { method: 'Zstd' },
        store: new FilesystemStore(folder.path),
        path: 'run',
        objects: [table('orders'), query('SELECT 1 AS one')],
        ...changes,
      },
      testContext(),
    )

  it('shows what would go where and writes nothing', async () => {
    await postgres.database.query('ANALYZE orders')
    const outcome = await dryRun()
    expect(outcome).toMatchObject({ totals: { objects: 0, rows: '0' } })
    expect(outcome).not.toHaveProperty('artifact')
    expect(outcome.plan).toContain('public.orders')
    expect(outcome.plan).toContain('run/public.orders.pgpack')
    expect(outcome.plan).toContain('1 column, about 100 rows')
    expect(outcome.plan).not.toContain(postgres.server.password)
    await nothingLeft()
  })

  it('leaves nothing of what the statements before it do, though its queries see it', async () => {
    const before = ['INSERT INTO orders VALUES (101)', 'CREATE TABLE made AS TABLE orders', 'ANALYZE made']
    const after = ["INSERT INTO log (what) VALUES ('after')"]
    const { plan } = await dryRun({ before, after, objects: [table('made')] })
    expect(plan).toContain('public.made')
    const [left] = await postgres.database.query(
      `SELECT to_regclass('made') AS made, (SELECT count(*)::int FROM orders) AS orders, (SELECT count(*)::int FROM log) AS log`,
    )
    expect(left).toEqual({ made: null, orders: 100, log: 0 })
  })

  it('fails where the run would', async () => {
    expect(await failureOf(dryRun({ objects: [table('gone')] }))).toMatchObject({ code: 'POSTGRES_NO_RELATION' })
    const file = new FilesystemStore('/dev/null/no/folder')
    expect((await failureOf(dryRun({ store: file }))).code).toMatch(/^STORE_/)
  })
})

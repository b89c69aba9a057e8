import { afterAll, beforeAll, describe, expect } from '@jest/globals'
import { deployPostgres } from '../cluster/index.ts'
import { type Database, openDatabase } from '../cluster/quickstart/databases.ts'
import { fingerprint } from '../cluster/quickstart/fingerprint.ts'
import { useEnvironment } from '../support/e2e.ts'
import { checkAtTheEnd } from '../support/e2e-checks.ts'
import { scenario } from '../support/e2e-scenario.ts'

const ROWS = 1_000_000
const CREATE = (name: string) =>
  `create table ${name} (id bigint primary key, at timestamptz not null, price numeric(12,2), tags text[], note jsonb)`
const FILL = (name: string, rows: number) => `
  insert into ${name}
  select n, '2026-01-01'::timestamptz + n * interval '1 second', n % 1000 / 7.0, array['a' || n % 3, null],
    jsonb_build_object('n', n, 'text', 'zażółć 🐘 ' || n)
  from generate_series(1, ${rows}) as n`

const NEWER = 'shop-database'
const OLDER = 'older-app'
const table = (name: string) => ({ table: { schema: 'public', name } })

async function majorOf(database: Database): Promise<number> {
  const [found] = await database.query<{ version: number }>(
    `select current_setting('server_version_num')::int / 10000 as version`,
  )
  return found?.version ?? Number.NaN
}

describe('a transfer between PostgreSQL servers of two majors', () => {
  const environment = useEnvironment()
  let current: Database & { close(): Promise<void> }
  const older = () => current

  beforeAll(async () => {
    const { cluster, namespace } = environment
    const server = await deployPostgres(cluster, namespace, 'older', cluster.images.olderPostgres)
    current = await openDatabase(cluster, namespace, server)
  }, 300_000)
  afterAll(() => current?.close())

  scenario(environment, 'moves a million rows to the newer one over two connections', async (play) => {
    const { shop } = environment.databases
    expect(await majorOf(older())).toBeLessThan(await majorOf(shop))
    await older().query(`${CREATE('moved')}; ${FILL('moved', ROWS)}; analyze moved`)
    await shop.query(CREATE('moved'))

    const parallelism = { connections: 2 }
    const run = await play.succeeds(await play.transfer('up', OLDER, NEWER, [table('moved')], { parallelism }))

    expect(run.status).toMatchObject({ phase: 'Succeeded', artifact: { rows: ROWS, objects: 1 } })
    const source = await fingerprint(older(), 'moved')
    expect(source.rows).toBe(BigInt(ROWS))
    expect(await fingerprint(shop, 'moved')).toEqual(source)
    expect(await environment.kubectl('get', 'pgx')).toMatch(/^up +Succeeded +100% +1000000 /m)
  })

  scenario(environment, 'moves a query to the older one, between SQL of the user, once', async (play) => {
    const { shop } = environment.databases
    await shop.query(`${CREATE('orders')}; ${FILL('orders', 5000)}`)
    await older().query('create table even (id bigint, note jsonb); create table log (entry text)')

    const query = { name: 'even', sql: 'select id, note from picked' }
    const objects = [{ query, to: { schema: 'public', name: 'even' } }]
    const run = await play.succeeds(
      await play.transfer('down', NEWER, OLDER, objects, {
        sourceBefore: ['create temporary table picked as select * from orders where id % 2 = 0'],
        before: [`insert into log values ('before')`],
        after: [`insert into log select 'after ' || count(*) from even`],
      }),
    )

    expect(run.status?.artifact).toMatchObject({ rows: 2500, objects: 1 })
    expect(await older().query('select entry from log order by entry')).toEqual([
      { entry: 'after 2500' },
      { entry: 'before' },
    ])
  })

  scenario(environment, 'says what it would do, and does nothing, in a dry run', async (play) => {
    const { shop } = environment.databases
    await shop.query(`${CREATE('planned')}; ${FILL('planned', 10)}`)
    await older().query(CREATE('planned'))

    const run = await play.succeeds(await play.transfer('dry', NEWER, OLDER, [table('planned')], { runMode: 'DryRun' }))

    expect(run.status?.plan).toMatch(/planned[\s\S]*numeric\(12,2\)/)
    expect(await fingerprint(older(), 'planned')).toEqual({ rows: 0n, hash: '0' })
  })

  scenario(environment, 'names every column that does not fit, before a row moves', async (play) => {
    const { shop } = environment.databases
    await shop.query(`${CREATE('unfit')}; ${FILL('unfit', 10)}`)
    await older().query('create table unfit (id integer, at timestamptz, price numeric(4,2), tags text[])')

    const ref = await play.transfer('unfit', NEWER, OLDER, [table('unfit')])
    const { message } = await play.fails(ref, 'ColumnMismatch')

    for (const column of ['id', 'price', 'note']) expect(message).toContain(`"${column}"`)
    expect(message).not.toContain('"tags"')
    expect(await fingerprint(older(), 'unfit')).toEqual({ rows: 0n, hash: '0' })
  })

  checkAtTheEnd(environment)
})

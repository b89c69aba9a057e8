import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from '@jest/globals'
import { parseAllDocuments } from 'yaml'
import { fingerprint } from '../cluster/quickstart/fingerprint.ts'
import { apply } from '../cluster/quickstart/objects.ts'
import { condition, type Run, type RunKind } from '../cluster/quickstart/runs.ts'
import { repositoryDirectory } from '../cluster/settings.ts'
import { useEnvironment } from '../support/e2e.ts'
import { checkAtTheEnd } from '../support/e2e-checks.ts'
import { scenario } from '../support/e2e-scenario.ts'
import {
  CREATE_EVERY_TYPE,
  CREATE_MANY,
  EVERY_TYPE_ROWS,
  FILL_EVERY_TYPE,
  FILL_MANY,
  MANY_ROWS,
} from '../support/e2e-tables.ts'

const table = (name: string) => ({ table: { schema: 'public', name } })

/** `Succeeded` through all versions of a run that were seen, each value once. */
const succeededOverTime = (history: readonly Run[]): (string | undefined)[] => {
  const values = history.filter(({ status }) => status !== undefined).map((run) => condition(run, 'Succeeded')?.status)
  return values.filter((value, index) => value !== values[index - 1])
}

describe('a dump and its restore', () => {
  const environment = useEnvironment()

  scenario(environment, 'move 5 million rows, and kubectl shows how far they are', async (play) => {
    const { databases, runs, kubectl } = environment
    const { shop, copy } = databases
    await Promise.all([shop.query(`${CREATE_MANY}; ${FILL_MANY}`), copy.query(CREATE_MANY)])

    const dump = await play.dump('many', [table('many')], { parallelism: { connections: 2 } })
    const restore = await play.restore('many', { dumpRef: { name: 'many' } })
    const dumped = await play.succeeds(dump)
    const restored = await play.succeeds(restore)

    expect(dumped.status).toMatchObject({ phase: 'Succeeded', attempts: 1, artifact: { rows: MANY_ROWS, objects: 1 } })
    expect(restored.status?.artifact?.manifestSHA256).toBe(dumped.status?.artifact?.manifestSHA256)
    const source = await fingerprint(shop, 'many')
    expect(source.rows).toBe(BigInt(MANY_ROWS))
    expect(await fingerprint(copy, 'many')).toEqual(source)
    for (const ref of [dump, restore]) expect(succeededOverTime(runs.history(ref))).toEqual(['Unknown', 'True'])

    const lines = (await kubectl('get', 'pgd,pgr')).split('\n')
    const heads = lines.filter((line) => line.startsWith('NAME'))
    expect(heads).toHaveLength(2)
    for (const head of heads) expect(head).toMatch(/^NAME +PHASE +PROGRESS +ROWS +SIZE +AGE *$/)
    for (const name of ['pgpackdump.pgpack.io/many', 'pgpackrestore.pgpack.io/many']) {
      const line = lines.find((candidate) => candidate.startsWith(`${name} `))
      expect(line).toMatch(/^\S+ +Succeeded +100% +5000000 +[\d.]+ MiB +\d+[sm]/)
    }
  })

  scenario(
    environment,
    'keep every type, extreme values, unicode and NULLs, and a table without rows',
    async (play) => {
      const { shop, copy } = environment.databases
      const empty = 'create table nothing (id bigint, note text)'
      await Promise.all([
        shop.query(`${CREATE_EVERY_TYPE}; ${FILL_EVERY_TYPE}; ${empty}`),
        copy.query(`${CREATE_EVERY_TYPE}; ${empty}`),
      ])

      const dumped = await play.succeeds(await play.dump('types', [table('every_type'), table('nothing')]))
      await play.succeeds(await play.restore('types', { dumpRef: { name: 'types' } }))

      expect(dumped.status?.artifact).toMatchObject({ objects: 2, rows: EVERY_TYPE_ROWS })
      const source = await fingerprint(shop, 'every_type')
      expect(source.rows).toBe(BigInt(EVERY_TYPE_ROWS))
      expect(await fingerprint(copy, 'every_type')).toEqual(source)
      expect(await fingerprint(copy, 'nothing')).toEqual({ rows: 0n, hash: '0' })
    },
  )

  scenario(
    environment,
    'put a query into a table of another name, by path, twice without doubling it',
    async (play) => {
      const { shop, copy } = environment.databases
      await shop.query(
        `create table "Odd ""Names""" as select n as id, 'zażółć ' || n as "Größe" from generate_series(1, 1000) as n`,
      )
      await copy.query('create table odd (id integer, "Größe" text)')

      const query = { name: 'even numbers', sql: 'select * from "Odd ""Names""" where id % 2 = 0' }
      const compression = { method: 'LZ4' as const }
      const dumped = await play.succeeds(await play.dump('query', [{ query }], { compression }))
      const source = { ...play.store(), path: dumped.status?.artifact?.path ?? '' }
      const objects = [{ from: 'even numbers', to: { schema: 'public', name: 'odd' } }]
      for (const name of ['query-once', 'query-twice']) {
        await play.succeeds(await play.restore(name, source, { objects, mode: 'Truncate' }))
      }

      const rows = await copy.query('select count(*)::int as rows, min(id) as first, max("Größe") as last from odd')
      expect(rows).toEqual([{ rows: 500, first: 2, last: 'zażółć 998' }])
    },
  )

  scenario(environment, 'are what examples/ says', async (play) => {
    const { cluster, namespace, databases } = environment
    const orders = 'create table orders (id integer primary key, note text)'
    await databases.shop.query(
      `${orders}; insert into orders select n, 'order ' || n from generate_series(1, 1000) as n`,
    )
    await databases.copy.query(orders)

    const folder = join(repositoryDirectory, 'examples')
    const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml'))
    expect(files).toEqual(expect.arrayContaining(['dump.yaml', 'restore.yaml', 'transfer.yaml']))
    const refs = []
    for (const file of files) {
      const text = await readFile(join(folder, file), 'utf8')
      await apply(cluster, namespace, text)
      for (const document of parseAllDocuments(text)) {
        const { kind, metadata } = document.toJS() as { kind: RunKind; metadata: { name: string } }
        refs.push(play.takesPart({ kind, name: metadata.name }))
      }
    }
    for (const ref of refs) await play.succeeds(ref)

    expect(await fingerprint(databases.copy, 'orders')).toEqual(await fingerprint(databases.shop, 'orders'))
    const [even] = await databases.copy.query(
      'select count(*)::int as rows, bool_and(id % 2 = 0) as even from orders_2026',
    )
    expect(even).toEqual({ rows: 500, even: true })
  })

  scenario(environment, 'cannot be changed into another run, nor ask for two things at once', async (play) => {
    const { kubectl } = environment
    await play.dump('fixed', [table('pg_am')], { suspend: true })
    const change = JSON.stringify({ spec: { objects: [table('pg_class')] } })
    await expect(kubectl('patch', 'pgd/fixed', '--type', 'merge', '--patch', change)).rejects.toThrow(
      'spec is immutable except for suspend, deletionPolicy: create a new resource for a new run',
    )
    const both = { ...table('pg_am'), query: { name: 'one', sql: 'select 1' } }
    await expect(play.dump('both', [both])).rejects.toThrow('exactly one of table, tables, query must be set')
  })

  describe('afterwards', () => checkAtTheEnd(environment))
})

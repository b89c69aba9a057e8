import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import type { TransferRunConfig } from '../../../src/run/config.ts'
import { decodeResult } from '../../../src/run/result.ts'
import { fingerprint, useFolder } from '../../support/engine.ts'
import { type TestDatabase, usePostgres } from '../../support/postgres.ts'
import { fakeTerminal } from '../../support/terminal.ts'

jest.setTimeout(60_000)

const ROWS = 3000
const postgres = usePostgres({
  authentication: 'scram-sha-256',
  tls: true,
  setup: `
    CREATE TABLE orders (id int, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, ${ROWS}) i; ANALYZE orders;`,
})
const folder = useFolder()
let target: TestDatabase

beforeEach(async () => {
  target = await postgres.server.createDatabase()
})
afterEach(async () => target.drop())

async function pgpack(...args: string[]) {
  const terminal = fakeTerminal()
  const code = await runCommandLine(args, terminal)
  expect(terminal.stdout.text + terminal.stderr.text).not.toContain(postgres.server.password)
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text }
}

const transfer = (...more: string[]) =>
  pgpack('transfer', '--source', postgres.database.dsn, '--target', target.dsn, ...more)
const sameRows = async (table: string) =>
  expect(await fingerprint(target, table)).toEqual(await fingerprint(postgres.database, 'orders'))

describe('pgpack transfer', () => {
  it('moves a table into one that it makes, and says so', async () => {
    const { code, stdout } = await transfer('--table', 'orders', '--to', 'copied', '--mode', 'createifmissing')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^transferred 127\.0\.0\.1:\d+\/\w+ -> 127\.0\.0\.1:\d+\/\w+: 3,000 rows, /)
    await sameRows('copied')
  })

  it('moves the rows of a query over several connections, and gives a script its JSON', async () => {
    await target.query('CREATE TABLE late (id int)')
    const query = `SELECT id FROM orders WHERE id > ${ROWS - 5}`
    const { stdout } = await transfer('--query', query, '--to', 'late', '--connections', '2', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ objects: 1, rows: '5' })
  })

  it('appends once for a run id', async () => {
    await target.query('CREATE TABLE orders (id int, note text)')
    for (let time = 0; time < 2; time += 1) expect((await transfer('--table', 'orders', '--run-id', 'x')).code).toBe(0)
    await sameRows('orders')
  })

  it('shows what it would do and does nothing in a dry run', async () => {
    const { code, stdout } = await transfer('--table', 'orders', '--mode', 'createifmissing', '--dry-run')
    expect(code).toBe(0)
    expect(stdout).toContain('public.orders (new)')
    expect(await target.query(`SELECT to_regclass('orders') AS table`)).toEqual([{ table: null }])
  })

  it.each([
    ['disable', ['keepHeapSmall', 'leaveUnoptimized']],
    ['require', ['keepHeapSmall']],
  ])('makes its process as small as the bytes allow, sslmode=%s', async (mode, expected) => {
    await target.query('CREATE TABLE orders (id int, note text)')
    const told: string[] = []
    const footprint = {
      keepHeapSmall: () => told.push('keepHeapSmall'),
      leaveUnoptimized: () => told.push('leaveUnoptimized'),
    }
    const source = postgres.database.dsn.replace(/sslmode=.*/, `sslmode=${mode}`)
    const args = ['transfer', '--source', source, '--target', target.dsn, '--table', 'orders']
    expect(await runCommandLine(args, { ...fakeTerminal(), footprint })).toBe(0)
    expect(told).toEqual(expected)
    await sameRows('orders')
  })

  it.each([
    [[], 'either --table schema.name or --query SQL'],
    [['--query', 'SELECT 1 AS a'], 'give --to'],
    [['--query', 'SELECT 1 AS a', '--to', 't', '--where', 'true'], '--where goes with --table'],
    [['--table', 'orders', '--connections', '2', '--transaction', 'all'], 'one connection'],
    [['--table', 'orders'], 'has no relation "public"."orders"'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await transfer(...args)
    expect(code).toBe(42)
    expect(stderr).toContain(message)
  })
})

describe('pgpack restore', () => {
  const dumpAll = () =>
    pgpack('dump', '--dsn', postgres.database.dsn, '--table', 'orders', '--out', `${folder.path}/d/`)
  const restore = (...more: string[]) => pgpack('restore', '--dsn', target.dsn, ...more)

  it('takes a whole dump by its manifest, over several connections', async () => {
    expect((await dumpAll()).code).toBe(0)
    const place = join(folder.path, 'd', 'manifest.json')
    const args = ['--in', place, '--mode', 'createifmissing', '--connections', '2', '--run-id', 'x']
    for (let time = 0; time < 2; time += 1) expect(await restore(...args)).toMatchObject({ code: 0 })
    await sameRows('orders')
    const { code, stderr } = await restore('--in', place, '--table', 'orders')
    expect(code).toBe(42)
    expect(stderr).toContain('--table goes with a file')
  })

  it('takes rows out of NDJSON and CSV', async () => {
    await target.query('CREATE TABLE given (id int, note text)')
    await writeFile(join(folder.path, 'rows.ndjson'), '{"id":1,"note":"one"}\n')
    await writeFile(join(folder.path, 'rows.csv'), 'note;id\n"t;wo";2\n')
    const into = ['--table', 'given']
    expect((await restore('--from', join(folder.path, 'rows.ndjson'), ...into)).code).toBe(0)
    const csv = ['--copy-option', 'delimiter=;', '--copy-option', 'header', '--copy-option', 'quote="']
    expect((await restore('--from', join(folder.path, 'rows.csv'), ...into, ...csv)).stderr).toContain(
      'another delimiter',
    )
    await writeFile(join(folder.path, 'rows.csv'), 'note,id\n"t,wo",2\n')
    expect((await restore('--from', join(folder.path, 'rows.csv'), ...into, '--copy-option', 'header')).code).toBe(0)
    expect(await target.query('SELECT * FROM given ORDER BY id')).toEqual([
      { id: 1, note: 'one' },
      { id: 2, note: 't,wo' },
    ])
  })

  it.each([
    [['--table', 't'], 'either --in'],
    [['--from', 'x.xml', '--table', 't'], '.ndjson or .csv'],
    [['--from', 'x.csv'], 'give --table'],
    [['--from', 'x.csv', '--table', 't', '--rejects', 'y'], 'give --copy-option log_errors too'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await restore(...args)
    expect(code).toBe(42)
    expect(stderr).toContain(message)
  })
})

describe('the job pod of a transfer', () => {
  it('moves what its configuration names, once for the uid of the resource', async () => {
    const database = async (name: string, uri: string) => {
      await mkdir(join(folder.path, name))
      await writeFile(join(folder.path, name, 'uri'), uri)
      return { secretDir: join(folder.path, name), tls: { mode: 'Disable' as const } }
    }
    const config: TransferRunConfig = {
      version: 1,
      kind: 'Transfer',
      namespace: 'default',
      name: 'copy',
      uid: 'uid-1',
      source: await database('source', postgres.database.dsn),
      target: await database('target', target.dsn),
      objects: [{ tables: { schema: 'public', include: ['*'], exclude: [] } }],
      mode: 'CreateIfMissing',
      connections: 2,
    }
    const [configFile, message] = [join(folder.path, 'config.json'), join(folder.path, 'message')]
    await writeFile(configFile, JSON.stringify(config))
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect((await pgpack('run', '--config', configFile, '--termination-message', message)).code).toBe(0)
      const result = decodeResult(await readFile(message, 'utf8'))
      expect(result).toMatchObject({ outcome: 'Succeeded', totals: { objects: 1, rows: String(ROWS) } })
    }
    await sameRows('orders')
  })
})

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { openArtifact } from '../../support/artifact.ts'
import { useFolder } from '../../support/engine.ts'
import { useMinio } from '../../support/minio.ts'
import { usePostgres } from '../../support/postgres.ts'
import { fakeTerminal } from '../../support/terminal.ts'

jest.setTimeout(120_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 3000) i; ANALYZE orders;
    CREATE TABLE orders_old AS SELECT * FROM orders WHERE id < 10;
    CREATE TABLE "Mixed.Case" (id int); CREATE SCHEMA shop; CREATE TABLE shop.items (id int);`,
})
const minio = useMinio()
const folder = useFolder()

async function pgpack(...args: string[]) {
  const { endpoint, accessKeyId, secretAccessKey } = minio.server
  const aws = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const terminal = fakeTerminal({ env: aws })
  const code = await runCommandLine(['dump', '--dsn', postgres.database.dsn, ...args], terminal)
  return { code, out: terminal.stdout.text, err: terminal.stderr.text }
}

const inFolder = (name: string) => join(folder.path, name)
const artifact = () => openArtifact(new FilesystemStore(folder.path), 'all')

describe('several objects', () => {
  it('go into a folder, with a manifest', async () => {
    const args = ['--table', '"Mixed.Case"', '--tables', 'orders*', '--tables', 'shop.*', '--exclude', '*_old']
    const { code, out } = await pgpack(
      ...args,
      '--out',
      `${inFolder('all')}/`,
      '--connections',
      '3',
      '--verify',
      'decode',
    )
    expect(code).toBe(0)
    expect(out).toMatch(/^dumped .*: 3,000 rows/)
    const names = (await artifact()).manifest.objects.map(({ name }) => name)
    expect(names).toEqual(['public."Mixed.Case"', 'public.orders', 'shop.items'])
    expect((await readdir(inFolder('all'))).sort()).toEqual(
      ['manifest.json', 'public.Mixed%2ECase.pgpack', 'public.orders.pgpack', 'shop.items.pgpack'].sort(),
    )
  })

  it('go below a prefix of a bucket', async () => {
    const { code } = await pgpack('--tables', 'orders*', '--out', `s3://${minio.bucket}/a/b/`)
    expect(code).toBe(0)
    const again = await pgpack('--tables', 'orders*', '--out', `s3://${minio.bucket}/a/b/`)
    expect(again).toMatchObject({ code: 42, err: expect.stringContaining('holds a dump already') })
  })

  it('do not go into one file', async () => {
    const named = await pgpack('--table', 'orders', '--table', 'orders_old', '--out', inFolder('file.pgpack'))
    expect(named).toMatchObject({
      code: 42,
      err: expect.stringContaining('2 objects need a folder: end --out with a /'),
    })
    const found = await pgpack('--tables', 'orders*', '--out', inFolder('file.pgpack'))
    expect(found).toMatchObject({ code: 42, err: expect.stringContaining('the pattern fits 2 tables') })
    expect(await readdir(folder.path)).toEqual([])
  })
})

describe('a file', () => {
  it('can be CSV with options of COPY', async () => {
    const options = [
      '--format',
      'csv',
      '--copy-option',
      'delimiter=;',
      '--copy-option',
      'HEADER',
      '--compression',
      'none',
    ]
    const { code } = await pgpack('--table', 'orders_old', ...options, '--out', inFolder('old.csv'))
    expect(code).toBe(0)
    expect((await readFile(inFolder('old.csv'), 'utf8')).split('\n').slice(0, 2)).toEqual(['id;note', '1;note 1'])
  })

  it('can be of what statements before have made, with settings of the session', async () => {
    const query = `SELECT id, current_setting('my.name') AS name FROM wanted`
    const before = [
      '--before',
      'CREATE TEMP TABLE wanted AS SELECT 1 AS id',
      '--before',
      'INSERT INTO wanted VALUES (2)',
    ]
    const after = ['--after', 'CREATE TABLE done ()']
    const args = ['--set', 'my.name=x = y', '--isolation', 'serializable', '--format', 'text', '--compression', 'none']
    const { code } = await pgpack('--query', query, ...before, ...after, ...args, '--out', inFolder('q.txt'))
    expect(code).toBe(0)
    expect(await readFile(inFolder('q.txt'), 'utf8')).toBe('1\tx = y\n2\tx = y\n')
    expect(await postgres.database.query(`SELECT to_regclass('done')::text AS name`)).toEqual([{ name: 'done' }])
  })
})

describe('a dry run', () => {
  it('draws what would go where, and writes nothing', async () => {
    const { code, out } = await pgpack('--table', 'orders', '--out', inFolder('orders.pgpack'), '--dry-run')
    expect(code).toBe(0)
    expect(out).toContain('│ public.orders')
    expect(out).toContain('about 3,000 rows')
    const json = await pgpack('--table', 'orders', '--out', `${inFolder('all')}/`, '--dry-run', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ plan: expect.stringContaining('all/public.orders.pgpack') })
    expect(await readdir(folder.path)).toEqual([])
  })
})

describe('what cannot go together is refused', () => {
  it.each<[string[], RegExp]>([
    [[], /give either --table/],
    [['--table', 'orders', '--query', 'SELECT 1 AS a'], /give either --table/],
    [['--tables', 'orders*', '--where', 'true'], /--where goes with one --table/],
    [['--table', 'orders', '--exclude', 'x'], /--exclude goes with --tables/],
    [['--table', 'orders', '--verify', 'checksum'], /--verify goes with a folder/],
    [['--table', 'orders', '--set', 'work_mem'], /--set "work_mem" is not NAME=VALUE/],
    [['--table', 'orders', '--format', 'xml'], /--format "xml" is none of pgpack, binary, text, csv/],
    [['--table', 'orders', '--copy-option', 'delimiter=;'], /copyOptions go with format/],
  ])('%j', async (args, message) => {
    const { code, err } = await pgpack(...args, '--out', inFolder('file'))
    expect(code).toBe(42)
    expect(err).toMatch(message)
  })
})

describe('the run of a job pod', () => {
  async function run(more: object): Promise<{ code: number; result: Record<string, unknown> }> {
    const inPod = (name: string) => join(folder.path, name)
    await mkdir(inPod('secret'), { recursive: true })
    await writeFile(inPod('secret/uri'), postgres.database.dsn)
    const config = {
      ...{ version: 1, namespace: 'default', name: 'nightly', uid: 'uid-1', kind: 'Dump' },
      source: { secretDir: inPod('secret'), tls: { mode: 'Disable' } },
      objects: [{ tables: { schema: 'public', include: ['orders*'], exclude: [] } }],
      compression: { method: 'Zstd', level: 'Auto' },
      connections: 1,
      destination: { type: 'Filesystem', path: inPod('store') },
      path: 'default/nightly',
      ...more,
    }
    await mkdir(inPod('store'), { recursive: true })
    await writeFile(inPod('run.json'), JSON.stringify(config))
    const terminal = fakeTerminal({ env: { PGPACK_ATTEMPT: 'pod-1' } })
    const args = ['run', '--config', inPod('run.json'), '--termination-message', inPod('result')]
    const code = await runCommandLine(args, terminal)
    return { code, result: JSON.parse(await readFile(inPod('result'), 'utf8')) }
  }

  it('does all that its configuration says', async () => {
    const { code, result } = await run({
      before: ['CREATE TEMP TABLE note AS SELECT 1', 'INSERT INTO orders_old VALUES (0)'],
      after: ['DELETE FROM orders_old WHERE id = 0'],
      session: { isolation: 'Serializable', lockTimeoutSeconds: 5, settings: [{ name: 'work_mem', value: '8MB' }] },
      format: 'CSV',
      copyOptions: { header: 'Present' },
      explain: 'Plan',
      verify: 'Decode',
    })
    expect(result).toMatchObject({ outcome: 'Succeeded', totals: { objects: 2, rows: '3010' } })
    expect(code).toBe(0)
    const { manifest } = await openArtifact(new FilesystemStore(inFolder('store')), 'default/nightly/pod-1')
    expect(manifest).toMatchObject({ isolation: 'Serializable', run: { name: 'nightly', attempt: 'pod-1' } })
    expect(manifest.objects).toMatchObject([
      { file: 'public.orders.csv.zst', format: 'CSV', rows: '3000', copyOptions: { header: 'Present' } },
      { file: 'public.orders_old.csv.zst', format: 'CSV', rows: '10' },
    ])
    expect(await postgres.database.query('SELECT count(*)::int AS rows FROM orders_old')).toEqual([{ rows: 9 }])
  })

  it('of a dry run gives the plan and writes nothing', async () => {
    const { code, result } = await run({ runMode: 'DryRun' })
    expect(result).toMatchObject({ outcome: 'Succeeded', plan: expect.stringContaining('public.orders_old') })
    expect(result).not.toHaveProperty('artifact')
    expect(code).toBe(0)
    expect(await readdir(inFolder('store'))).toEqual([])
  })
})

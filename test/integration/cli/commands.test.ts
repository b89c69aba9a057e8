import { once } from 'node:events'
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import { VERSION } from '../../../src/version.ts'
import { fingerprint, useFolder } from '../../support/engine.ts'
import { useMinio } from '../../support/minio.ts'
import { usePostgres } from '../../support/postgres.ts'
import { type FakeTerminal, fakeTerminal } from '../../support/terminal.ts'

jest.setTimeout(60_000)

const ROWS = 3000
const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TABLE orders (id int, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, ${ROWS}) i; ANALYZE orders;
    CREATE TABLE copied (LIKE orders);
    CREATE TABLE "Mixed Case" (LIKE orders); INSERT INTO "Mixed Case" SELECT * FROM orders WHERE id < 100;`,
})
const minio = useMinio()
const folder = useFolder()

interface Run {
  readonly code: number
  readonly terminal: FakeTerminal
}

/** Runs a command with the S3 settings of the test's MinIO; expects that no secret is shown. */
async function pgpack(
  args: readonly string[],
  options: { tty?: boolean; env?: Record<string, string> } = {},
): Promise<Run> {
  const env = {
    AWS_ENDPOINT_URL: minio.server.endpoint,
    AWS_ACCESS_KEY_ID: minio.server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: minio.server.secretAccessKey,
    ...options.env,
  }
  const terminal = fakeTerminal({ tty: options.tty ?? false, env })
  const code = await runCommandLine(args, terminal)
  const shown = terminal.stdout.text + terminal.stderr.text
  const secrets = [postgres.server.password, encodeURIComponent(postgres.server.password), minio.server.secretAccessKey]
  for (const secret of secrets) expect(shown).not.toContain(secret)
  return { code, terminal }
}

const file = (name = 'orders.pgpack') => join(folder.path, name)
const dsn = () => ['--dsn', postgres.database.dsn]
const dumpOrders = (out = file(), ...more: string[]) =>
  pgpack(['dump', ...dsn(), '--table', 'public.orders', '--out', out, ...more])
const restoreCopied = (from = file(), ...more: string[]) =>
  pgpack(['restore', ...dsn(), '--table', 'public.copied', '--in', from, ...more])

async function expectCopied(): Promise<void> {
  expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
}

describe('dump and restore', () => {
  it('move a table through a file, and say so in one sentence', async () => {
    const dumped = await dumpOrders()
    expect(dumped.code).toBe(0)
    const place = `127.0.0.1:${postgres.server.port}/${postgres.database.name}`
    expect(dumped.terminal.stdout.text).toMatch(/^dumped .* -> .*orders\.pgpack: 3,000 rows, .* stored, .*\n$/)
    expect(dumped.terminal.stdout.text).toContain(place)
    const restored = await restoreCopied()
    expect(restored.code).toBe(0)
    expect(restored.terminal.stdout.text).toMatch(/^restored .*orders\.pgpack -> .*: 3,000 rows, .*\n$/)
    expect(restored.terminal.stdout.text).toContain(place)
    await expectCopied()
    expect(await readdir(folder.path)).toEqual(['orders.pgpack'])
  })

  it('move a table through a bucket', async () => {
    const place = `s3://${minio.bucket}/some/key/orders.pgpack`
    expect((await dumpOrders(place, '--connections', '2')).code).toBe(0)
    expect((await restoreCopied(place)).code).toBe(0)
    await expectCopied()
  })

  it('take the S3 service from a flag rather than from the environment', async () => {
    const place = `s3://${minio.bucket}/orders.pgpack`
    const env = { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }
    const args = ['dump', ...dsn(), '--table', 'orders', '--out', place, '--s3-endpoint', minio.server.endpoint]
    expect((await pgpack(args, { env })).code).toBe(0)
  })

  it.each(['zstd:1', 'zstd', 'lz4', 'none'])('move a table as %s', async (compression) => {
    expect((await dumpOrders(file(), '--compression', compression)).code).toBe(0)
    expect((await restoreCopied()).code).toBe(0)
    await expectCopied()
  })

  it('print one JSON object and nothing else with --json', async () => {
    for (const { terminal } of [await dumpOrders(file(), '--json'), await restoreCopied(file(), '--json')]) {
      const { size } = await stat(file())
      expect(terminal.stderr.text).toBe('')
      expect(terminal.stdout.lines).toHaveLength(1)
      expect(JSON.parse(terminal.stdout.text)).toEqual({
        from: expect.any(String),
        to: expect.any(String),
        objects: 1,
        rows: String(ROWS),
        bytes: expect.stringMatching(/^\d+$/),
        storedBytes: String(size),
        seconds: expect.any(Number),
      })
    }
  })

  it('move the rows of a query', async () => {
    const sql = 'SELECT id, upper(note) AS note FROM orders WHERE id <= 10'
    const { code } = await pgpack(['dump', ...dsn(), '--query', sql, '--out', file()])
    expect(code).toBe(0)
    await restoreCopied()
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, `(${sql})`))
  })

  it('take names as SQL writes them', async () => {
    const { code } = await pgpack(['dump', ...dsn(), '--table', 'PUBLIC."Mixed Case"', '--out', file()])
    expect(code).toBe(0)
    expect((await pgpack(['restore', ...dsn(), '--table', 'Copied', '--in', file()])).code).toBe(0)
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe('99')
  })

  it('append by default, and empty the table first with --mode truncate', async () => {
    await dumpOrders()
    await restoreCopied()
    await restoreCopied()
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe(String(2 * ROWS))
    await restoreCopied(file(), '--mode', 'truncate')
    await expectCopied()
  })

  it('append once with the same --run-id', async () => {
    await dumpOrders()
    const first = await restoreCopied(file(), '--run-id', 'nightly', '--json')
    const second = await restoreCopied(file(), '--run-id', 'nightly', '--json')
    expect(second.code).toBe(0)
    const { seconds: _, ...moved } = JSON.parse(first.terminal.stdout.text) as Record<string, unknown>
    expect(JSON.parse(second.terminal.stdout.text)).toMatchObject(moved)
    await expectCopied()
  })

  it('take the password from PGPASSWORD', async () => {
    const bare = new URL(postgres.database.dsn)
    bare.password = ''
    const args = ['dump', '--dsn', bare.href, '--table', 'orders', '--out', file()]
    expect((await pgpack(args, { env: { PGPASSWORD: postgres.server.password } })).code).toBe(0)
    expect((await pgpack(args)).code).toBe(42)
  })
})

describe('progress', () => {
  it('is plain lines on stderr where there is no terminal, the last with all rows', async () => {
    const { terminal } = await dumpOrders()
    expect(terminal.stderr.text).not.toContain('\u001b')
    expect(terminal.stderr.lines.at(-1)).toMatch(/^100% 3,000 rows, /)
  })

  it('is a bar on a terminal, which ends at 100 % and leaves stdout to the summary', async () => {
    const { terminal } = await pgpack(['dump', ...dsn(), '--table', 'orders', '--out', file()], { tty: true })
    expect(terminal.stderr.plain).toContain('100% | 3,000 rows')
    expect(terminal.stdout.lines).toHaveLength(1)
    expect(terminal.stdout.text).not.toContain('\u001b')
  })
})

describe('inspect', () => {
  it("shows a file's head, of a path or of a bucket", async () => {
    for (const place of [file(), `s3://${minio.bucket}/orders.pgpack`]) {
      await dumpOrders(place, '--compression', 'lz4')
      const { code, terminal } = await pgpack(['inspect', place])
      expect(code).toBe(0)
      expect(terminal.stdout.text).toMatch(/compression +LZ4/)
      expect(terminal.stdout.text).toContain('"id" int4 (OID 23)')
      expect(terminal.stdout.text).toContain('"note" text (OID 25)')
      expect(terminal.stdout.text).toMatch(/rows +3,000\n +frames +1\n/)
    }
  })

  it('leaves the body alone with --header', async () => {
    await dumpOrders()
    const { code, terminal } = await pgpack(['inspect', '--header', file()])
    expect(code).toBe(0)
    expect(terminal.stdout.text).toContain('"id" int4 (OID 23)')
    expect(terminal.stdout.text).not.toMatch(/rows|frames/)
  })

  it('shows what stands before a fault, and ends with 42', async () => {
    await dumpOrders(file(), '--compression', 'none')
    const bytes = await readFile(file())
    bytes.writeInt16BE(7, bytes.length - 2)
    await writeFile(file(), bytes)
    const { code, terminal } = await pgpack(['inspect', file()])
    expect(code).toBe(42)
    expect(terminal.stdout.text).toMatch(/rows +[\d,]+ before the fault/)
    expect(terminal.stdout.text).toMatch(/DAMAGED +.*\[PGPACK_\w+\]/)
  })

  it('prints it as JSON, counts as decimal strings', async () => {
    await dumpOrders()
    const { code, terminal } = await pgpack(['inspect', '--json', file()])
    expect(code).toBe(0)
    expect(JSON.parse(terminal.stdout.text)).toMatchObject({
      method: 'Zstd',
      storedBytes: expect.stringMatching(/^\d+$/),
      rows: '3000',
      frames: 1,
      columns: [
        { name: 'id', oid: 23 },
        { name: 'note', oid: 25 },
      ],
    })
  })

  it('ends with 42 for what is no PGPack file, and for none', async () => {
    await writeFile(file(), 'something else')
    const other = await pgpack(['inspect', file()])
    expect(other.code).toBe(42)
    expect(other.terminal.stderr.text).toMatch(/^pgpack: .*\[PGPACK_SIGNATURE\]\n$/)
    expect((await pgpack(['inspect', file('gone')])).code).toBe(42)
  })
})

describe('verify', () => {
  it('finds a whole file whole', async () => {
    await dumpOrders()
    const { code, terminal } = await pgpack(['verify', file()])
    expect(code).toBe(0)
    expect(terminal.stdout.text).toMatch(/: whole; 3,000 rows, /)
    const { terminal: json } = await pgpack(['verify', file(), '--json'])
    expect(JSON.parse(json.stdout.text)).toMatchObject({ rows: expect.anything() })
  })

  it('ends with 42 for a damaged one, and says where and what', async () => {
    await dumpOrders(file(), '--compression', 'none')
    const bytes = await readFile(file())
    bytes.fill(0xff, bytes.length - 200)
    await writeFile(file(), bytes)
    const { code, terminal } = await pgpack(['verify', file()])
    expect(code).toBe(42)
    expect(terminal.stdout.text).toMatch(/: DAMAGED at byte \d+: .*\[PGPACK_[A-Z_]+\]/)
  })

  it('ends with 42 for one that was cut', async () => {
    await dumpOrders()
    await truncate(file(), (await stat(file())).size - 1)
    expect((await pgpack(['verify', file()])).code).toBe(42)
  })
})

describe('a misused command line', () => {
  it.each<[what: string, args: string[]]>([
    ['no command', []],
    ['an unknown command', ['move']],
    ['the name of something that every object has', ['toString']],
    ['an unknown option', ['dump', '--no-such-option']],
    ['no --dsn', ['dump', '--table', 't', '--out', 'x']],
    ['no --out', ['dump', '--dsn', 'postgres://u:p@127.0.0.1/db', '--table', 't']],
    ['neither table nor query', ['dump', '--dsn', 'postgres://u:p@127.0.0.1/db', '--out', 'x']],
    [
      'both table and query',
      ['dump', '--dsn', 'postgres://u:p@127.0.0.1/db', '--table', 't', '--query', 'q', '--out', 'x'],
    ],
    [
      'a compression that there is not',
      ['dump', '--dsn', 'postgres://u:p@127.0.0.1/db', '--table', 't', '--out', 'x', '--compression', 'gzip'],
    ],
    [
      'no number of connections',
      ['dump', '--dsn', 'postgres://u:p@127.0.0.1/db', '--table', 't', '--out', 'x', '--connections', '0'],
    ],
    [
      'a mode that there is not',
      ['restore', '--dsn', 'postgres://u:p@127.0.0.1/db', '--table', 't', '--in', 'x', '--mode', 'overwrite'],
    ],
    ['a bucket without a key', ['inspect', 's3://bucket']],
    ['a name with three parts', ['dump', '--dsn', 'postgres://u:p@127.0.0.1/db', '--table', 'a.b.c', '--out', 'x']],
    ['a DSN that is none', ['dump', '--dsn', 'localhost', '--table', 't', '--out', 'x']],
  ])('ends with 42 and a word on stderr: %s', async (_, args) => {
    const { code, terminal } = await pgpack(args)
    expect(code).toBe(42)
    expect(terminal.stdout.text).toBe('')
    expect(terminal.stderr.text).not.toBe('')
    expect(terminal.stderr.text).not.toMatch(/^ {4}at /m)
  })

  it.each([['--version'], ['--help'], ['dump', '--help']])('is not one: %s %s', async (...args) => {
    const { code, terminal } = await pgpack(args.filter((arg) => typeof arg === 'string'))
    expect(code).toBe(0)
    expect(terminal.stderr.text).toBe('')
    if (args[0] === '--version') expect(terminal.stdout.text).toBe(`${VERSION}\n`)
    else expect(terminal.stdout.text).toContain('Usage: pgpack')
  })

  it('shows all commands in the help', async () => {
    const { terminal } = await pgpack(['--help'])
    for (const command of ['dump', 'restore', 'inspect', 'verify', 'run', 'operator']) {
      expect(terminal.stdout.text).toMatch(new RegExp(`^ {2}${command} `, 'm'))
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

describe('a run that fails', () => {
  const oneLine = /^pgpack: [^\n]+ \[([A-Z_]+)\]\n$/
  /** The command's last word: what comes after the progress. */
  const lastWord = ({ terminal }: Run) => `${terminal.stderr.lines.at(-1)}\n`

  it('for a table that is not there ends with 42 and one line with the name that was meant', async () => {
    const run = await pgpack(['dump', ...dsn(), '--table', 'order', '--out', file()])
    expect(run.code).toBe(42)
    expect(run.terminal.stderr.text).toMatch(oneLine)
    expect(run.terminal.stderr.text).toContain('did you mean "public"."orders"')
    expect(await readdir(folder.path)).toEqual([])
  })

  it('for a server out of reach ends with 1', async () => {
    const url = new URL(postgres.database.dsn)
    url.port = String(await closedPort())
    const run = await pgpack(['dump', '--dsn', url.href, '--table', 'orders', '--out', file()])
    expect(run.code).toBe(1)
    expect(lastWord(run)).toMatch(/\[POSTGRES_UNREACHABLE\]/)
  })

  it('for a wrong password ends with 42 and does not show it', async () => {
    const url = new URL(postgres.database.dsn)
    url.password = 'wr0ng-s3cret'
    const run = await pgpack(['dump', '--dsn', url.href, '--table', 'orders', '--out', file()])
    expect(run.code).toBe(42)
    expect(lastWord(run)).toMatch(/\[POSTGRES_AUTHENTICATION\]/)
    expect(run.terminal.stderr.text).not.toContain('wr0ng-s3cret')
  })

  it.each([
    'postgres://u:wr0ng-s3cret@[bad',
    'postgres://u:wr0ng-s3cret@h:99999/db',
    'postgres://u:wr0ng-s3cret@h/db?nosuch=1',
    'u:wr0ng-s3cret@h',
  ])('for a DSN that cannot be read ends with 42 and does not show it: %s', async (bad) => {
    const run = await pgpack(['dump', '--dsn', bad, '--table', 'orders', '--out', file()])
    expect(run.code).toBe(42)
    expect(run.terminal.stderr.text).toMatch(oneLine)
    expect(run.terminal.stderr.text).not.toContain('wr0ng-s3cret')
  })

  it('for a database URL where a place is expected does not show it', async () => {
    const run = await pgpack(['inspect', 'postgres://u:wr0ng-s3cret@h/db'])
    expect(run.code).toBe(42)
    expect(run.terminal.stderr.text).not.toContain('wr0ng-s3cret')
  })

  it('for a missing bucket ends with 42', async () => {
    const run = await dumpOrders('s3://no-such-bucket/orders.pgpack')
    expect(run.code).toBe(42)
    expect(lastWord(run)).toMatch(/no-such-bucket.*\[STORE_NO_BUCKET\]/)
  })

  it('for want of S3 settings ends with 42 and says which', async () => {
    const terminal = fakeTerminal()
    expect(await runCommandLine(['inspect', 's3://bucket/key'], terminal)).toBe(42)
    expect(terminal.stderr.text).toContain('AWS_ENDPOINT_URL')
    const keyless = fakeTerminal({ env: { AWS_ENDPOINT_URL: minio.server.endpoint } })
    expect(await runCommandLine(['inspect', 's3://bucket/key'], keyless)).toBe(42)
    expect(keyless.stderr.text).toContain('AWS_ACCESS_KEY_ID')
  })

  it('for a folder that is not there ends with 42', async () => {
    const run = await dumpOrders(join(folder.path, 'gone', 'orders.pgpack'))
    expect(run.code).toBe(42)
    expect(lastWord(run)).toMatch(oneLine)
  })

  it('for a table of other types ends with 42 and names the column', async () => {
    await dumpOrders()
    await postgres.database.query('ALTER TABLE copied ALTER COLUMN note TYPE int USING 0')
    const run = await restoreCopied()
    expect(run.code).toBe(42)
    expect(run.terminal.stderr.text).toMatch(/column "note".*\[TARGET_MISMATCH\]/)
  })

  it('because it was stopped ends with 143', async () => {
    const terminal = fakeTerminal()
    terminal.abort(new Error('received SIGINT'))
    const args = ['dump', ...dsn(), '--table', 'orders', '--out', file()]
    expect(await runCommandLine(args, terminal)).toBe(143)
    expect(terminal.stderr.text).toContain('[CANCELLED]')
  })
})

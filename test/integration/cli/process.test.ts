import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { DumpRunConfig, RestoreRunConfig, RunConfig } from '../../../src/run/config.ts'
import { decodeProgress } from '../../../src/run/progress.ts'
import { decodeResult, type RunResult, TERMINATION_MESSAGE_LIMIT } from '../../../src/run/result.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import { hasEnded, waitFor } from '../../cluster/processes.ts'
import { repositoryDirectory } from '../../cluster/settings.ts'
import { pgpackFile } from '../../support/command.ts'
import { backendsGone, copyingBackend, fingerprint, keysIn, useFolder } from '../../support/engine.ts'
import { useMinio } from '../../support/minio.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(60_000)

const ROWS = 3000
const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TABLE orders (id int, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE copied (LIKE orders);
    CREATE VIEW stalling AS
      SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 32) j) AS filler FROM generate_series(1, 24000) i
      UNION ALL SELECT 0, (SELECT pg_sleep(600))::text;`,
})
const minio = useMinio()
const folder = useFolder()
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) if (!hasEnded(child)) child.kill('SIGKILL')
})

interface Process {
  readonly child: ChildProcess
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** `pgpack …`, with nothing of ours in its environment but what is given. Expects that no secret is written. */
function start(args: readonly string[], env: Record<string, string> = {}): Process {
  const child = spawn(process.execPath, [pgpackFile(), ...args], {
    cwd: repositoryDirectory,
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  const ended = async () => {
    const [stdout, stderr] = await Promise.all([collect(child.stdout), collect(child.stderr)])
    if (!hasEnded(child)) await once(child, 'exit')
    expectNoSecret(stdout + stderr)
    return { code: child.exitCode, stdout, stderr }
  }
  return { child, ended: ended() }
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) text += String(chunk)
  return text
}

function expectNoSecret(text: string): void {
  const { password } = postgres.server
  for (const secret of [password, encodeURIComponent(password), minio.server.secretAccessKey]) {
    expect(text).not.toContain(secret)
  }
}

const aws = () => ({
  AWS_ENDPOINT_URL: minio.server.endpoint,
  AWS_ACCESS_KEY_ID: minio.server.accessKeyId,
  AWS_SECRET_ACCESS_KEY: minio.server.secretAccessKey,
})

describe('the pgpack process', () => {
  it('dumps, inspects, verifies and restores', async () => {
    const file = join(folder.path, 'orders.pgpack')
    const dsn = ['--dsn', postgres.database.dsn]
    const steps = [
      ['dump', ...dsn, '--table', 'public.orders', '--out', file],
      ['inspect', file],
      ['verify', file],
      ['restore', ...dsn, '--table', 'public.copied', '--in', file],
    ]
    for (const args of steps) {
      const { code, stdout, stderr } = await start(args).ended
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).not.toBe('')
    }
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
  })

  it('ends with 42 where a retry cannot help, and with one line on stderr', async () => {
    const { code, stdout, stderr } = await start(['inspect', join(folder.path, 'gone')]).ended
    expect(code).toBe(42)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^pgpack: [^\n]+\[STORE_NO_OBJECT\]\n$/)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'ends by %s in the middle of a dump, within seconds and with nothing left',
    async (signal) => {
      const args = ['dump', '--dsn', postgres.database.dsn, '--table', 'stalling', '--compression', 'none']
      const { child, ended } = start([...args, '--out', `s3://${minio.bucket}/stalling.pgpack`], aws())
      await copyingBackend(postgres.server, ({ wait }) => wait === 'PgSleep')
      await waitFor(
        'parts are uploaded',
        20_000,
        async () => (await minio.server.unfinishedUploads()).length > 0 || undefined,
      )
      child.kill(signal)
      const since = performance.now()
      const { code, stderr } = await ended
      expect(performance.now() - since).toBeLessThan(8000)
      expect(code).toBe(143)
      expect(stderr).toMatch(/\[CANCELLED\]/)
      await backendsGone(postgres.server, 2000)
      expect(await minio.server.unfinishedUploads()).toEqual([])
      const store = new S3Store(minio.server.options(minio.bucket))
      expect(await keysIn(store)).toEqual([])
      store.close()
    },
  )
})

/** A Secret as the kubelet mounts it: files behind links, with folders of its own whose names start with `..`. */
async function mountSecret(name: string, files: Record<string, string>): Promise<string> {
  const mount = join(folder.path, name)
  const data = join(mount, '..2026_01_01')
  await mkdir(data, { recursive: true })
  await symlink('..2026_01_01', join(mount, '..data'))
  for (const [key, value] of Object.entries(files)) {
    await writeFile(join(data, key), value)
    await symlink(join('..data', key), join(mount, key))
  }
  return mount
}

describe('the process of a job pod', () => {
  const message = () => join(folder.path, 'termination-log')
  let database: { secretDir: string; tls: { mode: 'Disable' } }
  let store: DumpRunConfig['destination']
  const run = { version: 1, namespace: 'app', name: 'nightly', uid: 'uid-1' } as const

  beforeEach(async () => {
    const { host, port, user, password } = postgres.server
    const files = { host, port: String(port), dbname: postgres.database.name, username: user, password }
    database = { secretDir: await mountSecret('database', files), tls: { mode: 'Disable' } }
    const { accessKeyId, secretAccessKey, endpoint } = minio.server
    const credentialsDir = await mountSecret('store', { accessKeyId, secretAccessKey })
    store = { type: 'S3', endpoint, bucket: minio.bucket, prefix: 'dumps', forcePathStyle: true, credentialsDir }
    await writeFile(message(), '')
  })

  const dumpConfig = (changes: Partial<DumpRunConfig> = {}): DumpRunConfig => ({
    ...run,
    kind: 'Dump',
    source: database,
    objects: [{ table: { schema: 'public', name: 'orders' } }],
    compression: { method: 'Zstd', level: 3 },
    connections: 2,
    destination: store,
    path: 'app/nightly-uid1',
    ...changes,
  })

  const restoreConfig = (changes: Partial<RestoreRunConfig> = {}): RestoreRunConfig => ({
    ...run,
    uid: 'uid-2',
    kind: 'Restore',
    source: store,
    path: 'app/nightly-uid1/pod-1',
    target: database,
    objects: [{ from: 'public.orders', to: { schema: 'public', name: 'copied' } }],
    mode: 'Append',
    ...changes,
  })

  async function startRun(config: RunConfig | string, attempt = 'pod-1'): Promise<Process> {
    const file = join(folder.path, 'run.json')
    await writeFile(file, typeof config === 'string' ? config : JSON.stringify(config))
    return start(['run', '--config', file, '--termination-message', message()], { PGPACK_ATTEMPT: attempt })
  }

  async function result(): Promise<RunResult> {
    const text = await readFile(message(), 'utf8')
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(TERMINATION_MESSAGE_LIMIT)
    expectNoSecret(text)
    const decoded = decodeResult(text)
    if (decoded === undefined) throw new Error(`not a result: ${text}`)
    return decoded
  }

  it('dumps, then restores what its result names; each tells progress on stdout and the result in the termination message', async () => {
    const dumped = await (await startRun(dumpConfig())).ended
    expect(dumped.code).toBe(0)
    const done = await result()
    expect(done).toMatchObject({
      outcome: 'Succeeded',
      attempt: 'pod-1',
      totals: { objects: 1, rows: String(ROWS) },
      artifact: { path: 'app/nightly-uid1/pod-1', manifestSHA256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    })
    const bucket = new S3Store(minio.server.options(minio.bucket))
    expect(await keysIn(bucket)).toEqual([
      'dumps/app/nightly-uid1/pod-1/manifest.json',
      'dumps/app/nightly-uid1/pod-1/public.orders.pgpack',
    ])
    bucket.close()
    const manifestSHA256 = done.outcome === 'Succeeded' ? (done.artifact?.manifestSHA256 ?? '') : ''
    const restored = await (await startRun(restoreConfig({ manifestSHA256 }), 'pod-7')).ended
    expect(restored.code).toBe(0)
    expect(await result()).toMatchObject({ outcome: 'Succeeded', attempt: 'pod-7', totals: { rows: String(ROWS) } })
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
    for (const { stdout } of [dumped, restored]) {
      const reports = stdout.trimEnd().split('\n').map(decodeProgress)
      expect(reports).not.toContain(undefined)
      expect(reports.at(-1)).toMatchObject({ objects: 1, objectsDone: 1, rows: String(ROWS), percent: 100 })
    }
  })

  it('that runs again after its restore has committed appends nothing', async () => {
    await (await startRun(dumpConfig())).ended
    for (const pod of ['pod-a', 'pod-b']) {
      expect((await (await startRun(restoreConfig(), pod)).ended).code).toBe(0)
      expect(await result()).toMatchObject({ outcome: 'Succeeded', attempt: pod, totals: { rows: String(ROWS) } })
    }
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe(String(ROWS))
  })

  it('writes JSON logs on stderr that say which run it is', async () => {
    const { stderr } = await (await startRun(dumpConfig())).ended
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.map(({ msg }) => msg)).toEqual(['run started', 'run succeeded'])
    for (const line of lines) {
      expect(line).toMatchObject({ attempt: 'pod-1', kind: 'Dump', namespace: 'app', name: 'nightly', uid: 'uid-1' })
    }
  })

  it.each<[what: string, changes: () => Partial<DumpRunConfig> | Promise<Partial<DumpRunConfig>>, code: string]>([
    [
      'a table that is not there',
      () => ({ objects: [{ table: { schema: 'public', name: 'gone' } }] }),
      'POSTGRES_NO_RELATION',
    ],
    [
      'a bucket that is not there',
      () => ({ destination: { ...store, bucket: 'no-such-bucket' } as typeof store }),
      'STORE_NO_BUCKET',
    ],
    [
      'a secret that is not mounted',
      () => ({ source: { ...database, secretDir: '/no/such/folder' } }),
      'CONFIG_INVALID',
    ],
    [
      'a secret without password',
      async () => ({ source: { ...database, secretDir: await mountSecret('partial', { host: 'db', user: 'u' }) } }),
      'CONFIG_INVALID',
    ],
    [
      'a wrong password',
      async () => {
        const { host, port, user } = postgres.server
        const files = { uri: `postgresql://${user}:wr0ng-s3cret@${host}:${port}/${postgres.database.name}` }
        return { source: { ...database, secretDir: await mountSecret('wrong', files) } }
      },
      'POSTGRES_AUTHENTICATION',
    ],
  ])('ends with 42 and a result that says why: %s', async (_, changes, code) => {
    const { code: exitCode, stdout, stderr } = await (await startRun(dumpConfig(await changes()))).ended
    expect(exitCode).toBe(42)
    expect(await result()).toMatchObject({ outcome: 'Failed', attempt: 'pod-1', code, retryable: false })
    const { message: text } = (await result()) as RunResult & { message: string }
    expect(stdout + stderr + text).not.toContain('wr0ng-s3cret')
  })

  it('ends with 1 where a retry may help', async () => {
    const source = { ...database, host: '127.0.0.1', port: 1 }
    expect((await (await startRun(dumpConfig({ source }))).ended).code).toBe(1)
    expect(await result()).toMatchObject({ outcome: 'Failed', code: 'POSTGRES_UNREACHABLE', retryable: true })
  })

  it.each([
    ['not JSON', '{'],
    ['not a run', '{"version":1}'],
  ])('ends with 42 for a configuration that is %s', async (_, text) => {
    expect((await (await startRun(text)).ended).code).toBe(42)
    expect(await result()).toMatchObject({ outcome: 'Failed', code: 'CONFIG_INVALID', retryable: false })
  })

  it('takes the parts that the configuration names over those of the secret', async () => {
    const { port, user, password } = postgres.server
    const secretDir = await mountSecret('zalando', { username: user, password })
    const source = {
      secretDir,
      host: '127.0.0.1',
      port,
      database: postgres.database.name,
      tls: { mode: 'Disable' },
    } as const
    expect((await (await startRun(dumpConfig({ source }))).ended).code).toBe(0)
  })

  it('writes to a mounted volume as well', async () => {
    const volume = join(folder.path, 'volume')
    await mkdir(volume)
    const destination = { type: 'Filesystem', path: volume } as const
    expect((await (await startRun(dumpConfig({ destination }))).ended).code).toBe(0)
    expect(await readdir(join(volume, 'app/nightly-uid1/pod-1'))).toEqual(['manifest.json', 'public.orders.pgpack'])
    expect((await (await startRun(restoreConfig({ source: destination }))).ended).code).toBe(0)
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
  })

  it('ends by SIGTERM with 143, a result, and nothing left anywhere', async () => {
    const objects = ['orders', 'stalling'].map((name) => ({ table: { schema: 'public', name } }))
    const { child, ended } = await startRun(dumpConfig({ objects, compression: { method: 'None' } }))
    await copyingBackend(postgres.server, ({ wait }) => wait === 'PgSleep')
    await waitFor(
      'parts are uploaded',
      20_000,
      async () => (await minio.server.unfinishedUploads()).length > 0 || undefined,
    )
    child.kill('SIGTERM')
    expect((await ended).code).toBe(143)
    expect(await result()).toMatchObject({ outcome: 'Failed', code: 'CANCELLED', retryable: true })
    await backendsGone(postgres.server, 2000)
    expect(await minio.server.unfinishedUploads()).toEqual([])
    const bucket = new S3Store(minio.server.options(minio.bucket))
    expect(await keysIn(bucket)).toEqual([])
    bucket.close()
  })
})

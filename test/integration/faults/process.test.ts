import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { hasEnded } from '../../cluster/processes.ts'
import { repositoryDirectory } from '../../cluster/settings.ts'
import { pgpackFile } from '../../support/command.ts'
import { backendsGone, fingerprint, useFolder } from '../../support/engine.ts'
import { someMoment, useFaults } from './harness.ts'

jest.setTimeout(120_000)

const faults = useFaults()
const folder = useFolder()
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) if (!hasEnded(child)) child.kill('SIGKILL')
})

/** Starts a command beside us, with the bucket's address and keys and nothing else in its environment. */
function start(command: string, args: readonly string[]) {
  const { endpoint, accessKeyId, secretAccessKey } = faults.minio.server
  const env = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const child = spawn(command, args, { cwd: repositoryDirectory, env, stdio: ['ignore', 'ignore', 'pipe'] })
  children.push(child)
  const end = async () => {
    const stderr = await text(child.stderr)
    if (!hasEnded(child)) await once(child, 'exit')
    return { code: child.exitCode, stderr }
  }
  return { child, ended: end() }
}

const engine = (...args: string[]) => start(process.execPath, [pgpackFile(), ...args])

/** The database by way of the proxy. */
const dsn = () => {
  const { database, server } = faults.postgres
  return database.dsn.replace(`:${server.port}/`, `:${faults.wire.port}/`)
}
const bucketFile = () => `s3://${faults.minio.bucket}/load.pgpack`
const dumpArguments = (out: string) => [
  'dump',
  '--dsn',
  dsn(),
  '--table',
  'load',
  '--compression',
  'none',
  '--out',
  out,
]

/** SIGTERM once so many bytes have passed the database's proxy, where they then stop. */
async function terminatedAt(direction: 'up' | 'down', args: readonly string[]): Promise<void> {
  const moment = someMoment()
  faults.wire.use(() => ({ [direction]: { stallAfter: moment } }))
  const { child, ended } = engine(...args)
  await faults.passed(direction, moment, ended)
  child.kill('SIGTERM')
  const since = performance.now()
  const { code, stderr } = await ended
  expect({ code, stderr }).toEqual({ code: 143, stderr: expect.stringMatching(/\[CANCELLED\]/) })
  expect(performance.now() - since).toBeLessThan(8000)
  await backendsGone(faults.postgres.server, 5000)
}

describe('SIGTERM in the middle of the COPY', () => {
  it('ends a dump into a bucket within seconds, and leaves nothing', async () => {
    await terminatedAt('down', dumpArguments(bucketFile()))
    await faults.expectNothingLeft()
  })

  it('ends a dump into a folder within seconds, and leaves nothing', async () => {
    await terminatedAt('down', dumpArguments(join(folder.path, 'load.pgpack')))
    expect(await readdir(folder.path)).toEqual([])
  })

  it('ends a restore within seconds, and the table is as it was', async () => {
    const file = bucketFile()
    expect(await engine(...dumpArguments(file)).ended).toMatchObject({ code: 0 })
    const before = await fingerprint(faults.postgres.database, 'target')
    await terminatedAt('up', ['restore', '--dsn', dsn(), '--table', 'target', '--mode', 'truncate', '--in', file])
    expect(await fingerprint(faults.postgres.database, 'target')).toEqual(before)
  })
})

describe('a volume that becomes full in the middle of the COPY', () => {
  it('ends the dump as STORE_FULL, with no file and no backend left', async () => {
    const volume = join(folder.path, 'volume')
    await mkdir(volume)
    const command = [process.execPath, pgpackFile(), ...dumpArguments(join(volume, 'load.pgpack'))]
    const size = Math.max(4096, someMoment())
    // The file system is seen by nobody else (mount namespace), so what is left on it is listed before it goes.
    const script = 'mount -t tmpfs -o size="$1" none "$0" && shift && { "$@"; code=$?; ls -A "$0" >&2; exit $code; }'
    const { code, stderr } = await start('unshare', [
      ...['--user', '--map-root-user', '--mount', 'sh', '-c', script, volume],
      ...[String(size), ...command],
    ]).ended
    expect(code).toBe(42)
    // Nothing behind the message: the volume is empty.
    expect(stderr).toMatch(/\npgpack: [^\n]*load\.pgpack[^\n]*free space[^\n]*\[STORE_FULL\]\n$/)
    await backendsGone(faults.postgres.server)
  })
})

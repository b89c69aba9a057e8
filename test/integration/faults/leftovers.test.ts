import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { executeDump } from '../../../src/cli/execute-dump.ts'
import { executeRemove } from '../../../src/cli/execute-remove.ts'
import type { DumpRunConfig } from '../../../src/run/config.ts'
import { S3Client } from '../../../src/storage/s3client.ts'
import { hasEnded, waitFor } from '../../cluster/processes.ts'
import { repositoryDirectory } from '../../cluster/settings.ts'
import { pgpackFile } from '../../support/command.ts'
import { backendsGone, testContext, useFolder } from '../../support/engine.ts'
import { LOAD_BYTES, useFaults } from './harness.ts'

jest.setTimeout(120_000)

const faults = useFaults()
const folder = useFolder()
const PATH = 'shop/orders-1a2b3c4d'
const IDENTITY = {
  version: 1,
  namespace: 'shop',
  name: 'orders',
  uid: '1a2b3c4d-0000-4000-8000-000000000000',
  path: PATH,
} as const
/** Late enough for the first part of the upload to be full. */
const MOMENT = Math.floor(0.85 * LOAD_BYTES)
const children: ChildProcess[] = []

const secretDir = () => join(folder.path, 'database')
const credentialsDir = () => join(folder.path, 'credentials')
const volume = () => join(folder.path, 'volume')

beforeEach(async () => {
  const { host, port, user, password } = faults.postgres.server
  await writeAll(secretDir(), { host, port: String(port), user, password, dbname: faults.postgres.database.name })
  const { accessKeyId, secretAccessKey } = faults.minio.server
  await writeAll(credentialsDir(), { accessKeyId, secretAccessKey })
  await mkdir(volume())
})
afterEach(() => {
  for (const child of children.splice(0)) if (!hasEnded(child)) child.kill('SIGKILL')
})

async function writeAll(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(directory)
  for (const [name, value] of Object.entries(files)) await writeFile(join(directory, name), value)
}

const bucket = () => ({
  type: 'S3' as const,
  endpoint: faults.minio.server.endpoint,
  bucket: faults.minio.bucket,
  prefix: '',
  forcePathStyle: true,
  credentialsDir: credentialsDir(),
})

function config(destination: DumpRunConfig['destination']): DumpRunConfig {
  return {
    ...IDENTITY,
    kind: 'Dump',
    source: { secretDir: secretDir(), tls: { mode: 'Disable' } },
    objects: [{ table: { schema: 'public', name: 'load' } }],
    compression: { method: 'None' },
    connections: 1,
    destination,
  }
}

/** An engine that is killed in the middle of the COPY of `load`, which it wrote to `out`. */
async function killedWriting(out: string): Promise<void> {
  const { server, database } = faults.postgres
  const { endpoint, accessKeyId, secretAccessKey } = faults.minio.server
  faults.wire.use(() => ({ down: { stallAfter: MOMENT } }))
  const dsn = database.dsn.replace(`:${server.port}/`, `:${faults.wire.port}/`)
  const args = ['dump', '--dsn', dsn, '--table', 'load', '--compression', 'none', '--out', out]
  const env = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const child = spawn(process.execPath, [pgpackFile(), ...args], { cwd: repositoryDirectory, env, stdio: 'ignore' })
  children.push(child)
  const ended = once(child, 'exit')
  await faults.passed('down', MOMENT, ended)
  await waitFor('something was written', 30_000, async () => (await isBegun(out)) || undefined)
  child.kill('SIGKILL')
  await ended
  await backendsGone(server)
  faults.wire.use(() => ({}))
}

async function isBegun(out: string): Promise<boolean> {
  // MinIO lists no upload whose client went away before it was answered, though its folder is there by then.
  if (out.startsWith('s3:')) return (await listedUploads()).includes('<Key>')
  return (await readdir(volume(), { recursive: true })).some((name) => name.endsWith('.partial'))
}

async function listedUploads(): Promise<string> {
  const client = new S3Client(faults.minio.server.options(faults.minio.bucket))
  try {
    return await client.text({ method: 'GET', query: { uploads: '' }, signal: AbortSignal.timeout(30_000) })
  } finally {
    client.close()
  }
}

const killedInBucket = (attempt: string) =>
  killedWriting(`s3://${faults.minio.bucket}/${PATH}/${attempt}/public.load.pgpack`)

async function killedInVolume(attempt: string): Promise<void> {
  await mkdir(join(volume(), PATH, attempt), { recursive: true })
  await killedWriting(join(volume(), PATH, attempt, 'public.load.pgpack'))
}

describe('what a killed attempt had begun to write', () => {
  it('is given up by the next attempt in a bucket, and what others write there is not', async () => {
    await killedInBucket('pod-1')
    const client = new S3Client(faults.minio.server.options(faults.minio.bucket))
    const others = ['shop/orders-1a2b3c4d5/pod-1/a.pgpack', 'shop/orders-ffffffff/pod-1/a.pgpack', `x/${PATH}/pod-1/a`]
    const { signal } = new AbortController()
    for (const key of others) await client.text({ method: 'POST', key, query: { uploads: '' }, signal })
    expect(await faults.minio.server.unfinishedUploads()).toHaveLength(1 + others.length)

    await executeDump(config(bucket()), 'pod-2', testContext())
    expect(await faults.minio.server.unfinishedUploads()).toHaveLength(others.length)
    const listed = await listedUploads()
    for (const key of others) expect(listed).toContain(`<Key>${key}</Key>`)
    client.close()
    // The other tests of this server count all that is unfinished.
    expect(await faults.store().abortUploads('', signal)).toBe(others.length)
  })

  it('goes with the artefact when that is removed from a bucket', async () => {
    await killedInBucket('pod-1')
    await executeRemove({ ...IDENTITY, kind: 'Remove', destination: bucket() }, testContext())
    expect(await faults.minio.server.unfinishedUploads()).toEqual([])
  })

  it('is removed by the next attempt from a volume', async () => {
    await killedInVolume('pod-1')
    await executeDump(config({ type: 'Filesystem', path: volume() }), 'pod-2', testContext())
    const left = await readdir(join(volume(), PATH), { recursive: true })
    expect(left.sort()).toEqual(['pod-2', 'pod-2/manifest.json', 'pod-2/public.load.pgpack'])
  })

  it('goes with the artefact when that is removed from a volume', async () => {
    await killedInVolume('pod-1')
    await executeRemove(
      { ...IDENTITY, kind: 'Remove', destination: { type: 'Filesystem', path: volume() } },
      testContext(),
    )
    expect(await readdir(volume())).toEqual([])
  })
})

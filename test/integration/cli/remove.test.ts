import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { executeRemove } from '../../../src/cli/execute-remove.ts'
import type { RemoveRunConfig } from '../../../src/run/config.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import { failureOf, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { useMinio } from '../../support/minio.ts'

const minio = useMinio()
const folder = useFolder()
const PATH = 'shop/orders-1a2b3c4d'

let credentials: string

beforeEach(async () => {
  credentials = join(folder.path, 'credentials')
  await mkdir(credentials)
  await writeSecret(minio.server.secretAccessKey)
})

async function writeSecret(secretAccessKey: string): Promise<void> {
  await writeFile(join(credentials, 'accessKeyId'), minio.server.accessKeyId)
  await writeFile(join(credentials, 'secretAccessKey'), secretAccessKey)
}

function config(bucket = minio.bucket): RemoveRunConfig {
  return {
    version: 1,
    kind: 'Remove',
    namespace: 'shop',
    name: 'orders',
    uid: '1a2b3c4d-0000-4000-8000-000000000000',
    destination: {
      type: 'S3',
      endpoint: minio.server.endpoint,
      bucket,
      prefix: 'backups',
      forcePathStyle: true,
      credentialsDir: credentials,
    },
    path: PATH,
  }
}

async function put(...keys: readonly string[]): Promise<void> {
  for (const key of keys) await minio.server.client.putObject(minio.bucket, key, Buffer.from('ten bytes!'))
}

const left = () => keysIn(new S3Store(minio.server.options(minio.bucket)))

describe('the removal of an artefact', () => {
  it('takes everything of all attempts, and nothing of others', async () => {
    const others = [
      'backups/manifest.json',
      `backups/${PATH}5/pod-1/manifest.json`,
      'backups/shop/orders-ffffffff/pod-1/a.pgpack',
      `${PATH}/pod-1/manifest.json`,
    ]
    await put(
      ...others,
      `backups/${PATH}/pod-1/a.pgpack`,
      `backups/${PATH}/pod-2/a.pgpack`,
      `backups/${PATH}/pod-2/b.pgpack`,
      `backups/${PATH}/pod-2/manifest.json`,
    )
    await expect(executeRemove(config(), testContext())).resolves.toEqual({
      totals: { objects: 4, rows: '0', bytes: '0', storedBytes: '40' },
    })
    expect(await left()).toEqual([...others].sort())
  })

  it('has nothing to do the second time, or where nothing was ever written', async () => {
    await put(`backups/${PATH}/pod-1/manifest.json`)
    await executeRemove(config(), testContext())
    await expect(executeRemove(config(), testContext())).resolves.toMatchObject({ totals: { objects: 0 } })
  })

  it('is done where there is no bucket any more', async () => {
    await expect(executeRemove(config('gone'), testContext())).resolves.toMatchObject({ totals: { objects: 0 } })
  })

  it('uses the credentials that are in the Secret now', async () => {
    await put(`backups/${PATH}/pod-1/manifest.json`)
    await writeSecret('no longer valid')
    expect(await failureOf(executeRemove(config(), testContext()))).toMatchObject({ code: 'STORE_DENIED' })
    expect(await left()).toHaveLength(1)
    await writeSecret(minio.server.secretAccessKey)
    await executeRemove(config(), testContext())
    expect(await left()).toEqual([])
  })

  it('stops when it is told to', async () => {
    await put(`backups/${PATH}/pod-1/manifest.json`)
    const context = testContext()
    context.abort()
    expect(await failureOf(executeRemove(config(), context))).toMatchObject({ code: 'CANCELLED' })
    expect(await left()).toHaveLength(1)
  })

  it('empties a folder of a volume', async () => {
    const volume = join(folder.path, 'volume')
    await mkdir(join(volume, PATH, 'pod-1'), { recursive: true })
    await mkdir(join(volume, 'shop/other'), { recursive: true })
    for (const file of ['a.pgpack', 'manifest.json']) await writeFile(join(volume, PATH, 'pod-1', file), 'x')
    const removal = { ...config(), destination: { type: 'Filesystem', path: volume } } as const
    await expect(executeRemove(removal, testContext())).resolves.toMatchObject({ totals: { objects: 2 } })
    await expect(executeRemove(removal, testContext())).resolves.toMatchObject({ totals: { objects: 0 } })
  })
})

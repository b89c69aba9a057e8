import { expect, it, jest } from '@jest/globals'
import {
  checkManifest,
  type Manifest,
  manifestTotals,
  readManifest,
  writeManifest,
} from '../../../src/storage/manifest.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import { never, putBytes, sha256 } from '../../support/bytes.ts'
import { useMinio } from '../../support/minio.ts'

jest.setTimeout(60_000)

const minio = useMinio()

it('a dump is committed, found and checked in a bucket, and what was lost of it is told', async () => {
  const store = new S3Store(minio.server.options(minio.bucket, { prefix: 'dumps' }))
  const body = Buffer.from('not really a PGPack file')
  await putBytes(store, 'n/d/1/q.pgpack', body)
  const objects: Manifest['objects'] = [
    {
      name: 'q',
      kind: 'Query',
      file: 'q.pgpack',
      format: 'PGPack',
      compression: { method: 'None' },
      columns: [],
      primaryKey: [],
      rows: '0',
      rawBytes: '21',
      storedBytes: String(body.length),
      headSHA256: sha256(body.subarray(0, 4)),
      bodySHA256: sha256(body.subarray(4)),
      bodyOffset: 4,
    },
  ]
  const manifest: Manifest = {
    formatVersion: 1,
    createdAt: new Date().toISOString(),
    generator: { name: 'pgpack-operator', version: '0.1.0' },
    server: { version: '9.4.26', versionNumber: 90426, flavour: 'Greenplum', database: 'd', clientEncoding: 'UTF8' },
    objects,
    totals: manifestTotals(objects),
  }
  await expect(readManifest(store, 'n/d/1', never())).rejects.toMatchObject({ code: 'MANIFEST_MISSING' })
  const { sha256: written } = await writeManifest(store, 'n/d/1', manifest, never())
  const { manifest: found } = await readManifest(store, 'n/d/1', never(), written)
  expect(found).toEqual(manifest)
  await checkManifest(store, 'n/d/1', found, never())
  await store.remove(['n/d/1/q.pgpack'], never())
  await expect(checkManifest(store, 'n/d/1', found, never())).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' })
  store.close()
})

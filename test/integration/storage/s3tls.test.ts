import { describe, expect, it, jest } from '@jest/globals'
import { S3Store } from '../../../src/storage/s3.ts'
import { FIRST_PART_SIZE as PART } from '../../../src/storage/s3parts.ts'
import { collect, never, pseudoRandomBytes, putBytes } from '../../support/bytes.ts'
import { useMinio } from '../../support/minio.ts'

jest.setTimeout(120_000)

describe('over TLS, in a region', () => {
  const minio = useMinio({ tls: true, region: 'eu-test-7' })
  const bytes = pseudoRandomBytes(2 * PART + 5)

  it('a store works with the CA and the region that it is given', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket, { region: 'eu-test-7' }))
    await s3.check(never())
    await putBytes(s3, 'x', bytes, { head: Buffer.from('head') })
    const expected = Buffer.concat([Buffer.from('head'), bytes])
    expect((await collect(s3.read('x', never()))).equals(expected)).toBe(true)
    s3.close()
  })

  it('a region that is not given is learned', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket))
    await Promise.all([s3.check(never()), putBytes(s3, 'x', bytes), putBytes(s3, 'y', Buffer.from('y'))])
    expect((await collect(s3.read('x', never()))).equals(bytes)).toBe(true)
    s3.close()
  })

  it('a region that is wrong is told with the right one', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket, { region: 'us-west-1' }))
    await expect(s3.check(never())).rejects.toMatchObject({
      code: 'STORE_FAILED',
      retryable: false,
      message: expect.stringContaining("bucket's region is eu-test-7"),
    })
    s3.close()
  })

  it('a certificate that the CA did not sign is refused, and retrying is of no use', async () => {
    const { caPem: _, ...options } = minio.server.options(minio.bucket)
    const s3 = new S3Store(options)
    await expect(s3.check(never())).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      retryable: false,
      message: expect.stringMatching(/certificate.*give the CA/),
    })
    await expect(putBytes(s3, 'x', Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    s3.close()
  })

  it.each([
    ['http to a port that speaks TLS', (endpoint: string) => endpoint.replace('https', 'http')],
    ['a name that the certificate does not have', (endpoint: string) => endpoint.replace('127.0.0.1', 'localhost')],
  ])('%s is refused', async (_name, change) => {
    const { endpoint } = minio.server.options(minio.bucket)
    const s3 = new S3Store(minio.server.options(minio.bucket, { endpoint: change(endpoint) }))
    await expect(s3.check(never())).rejects.toMatchObject({
      code: expect.stringMatching(/^STORE_(UNREACHABLE|FAILED)$/),
      retryable: false,
    })
    s3.close()
  })
})

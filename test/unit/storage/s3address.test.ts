import { describe, expect, it } from '@jest/globals'
import { addressOf } from '../../../src/storage/s3address.ts'

interface Case {
  readonly endpoint: string
  readonly bucket?: string
  readonly forcePathStyle?: boolean
  readonly key?: string
}

function url({ endpoint, bucket = 'b', forcePathStyle = true, key }: Case): string {
  const { host, path } = addressOf({ endpoint: new URL(endpoint), bucket, forcePathStyle }, 'eu-west-3', key)
  return `${host}${path}`
}

describe('the address of a key', () => {
  it.each<[string, Case, string]>([
    ['below its bucket', { endpoint: 'http://minio:9000', key: 'a/b c' }, 'minio:9000/b/a/b%20c'],
    ['of the bucket itself', { endpoint: 'http://minio:9000' }, 'minio:9000/b'],
    ['in a bucket that is a host', { endpoint: 'https://s3.test', forcePathStyle: false, key: 'a' }, 'b.s3.test/a'],
    ['of such a bucket itself', { endpoint: 'https://s3.test', forcePathStyle: false }, 'b.s3.test/'],
    [
      'in a bucket whose name no wildcard certificate covers',
      { endpoint: 'https://s3.test', bucket: 'a.b', forcePathStyle: false, key: 'k' },
      's3.test/a.b/k',
    ],
    [
      'in such a bucket without TLS',
      { endpoint: 'http://s3.test', bucket: 'a.b', forcePathStyle: false, key: 'k' },
      'a.b.s3.test/k',
    ],
    [
      "at Amazon's general endpoint, of the region",
      { endpoint: 'https://s3.amazonaws.com', key: 'k' },
      'b.s3.eu-west-3.amazonaws.com/k',
    ],
    [
      "at Amazon's endpoint of a region, as asked for",
      { endpoint: 'https://s3.us-east-2.amazonaws.com', key: 'k' },
      's3.us-east-2.amazonaws.com/b/k',
    ],
    ["with the protocol's own port left out", { endpoint: 'https://s3.test:443', key: 'k' }, 's3.test/b/k'],
    ['at an IPv6 address', { endpoint: 'http://[::1]:9000', key: 'k' }, '[::1]:9000/b/k'],
  ])('%s', (_name, place, expected) => {
    expect(url(place)).toBe(expected)
  })

  it('is connected to without the brackets of IPv6', () => {
    const place = { endpoint: new URL('http://[::1]:9000'), bucket: 'b', forcePathStyle: true }
    expect(addressOf(place, 'us-east-1')).toMatchObject({ hostname: '::1', port: '9000' })
  })
})

import { escapeKey } from './s3sign.ts'

export interface BucketPlace {
  readonly endpoint: URL
  readonly bucket: string
  /** `endpoint/bucket/key` (true), or `bucket.endpoint/key`. */
  readonly forcePathStyle: boolean
}

export interface Address {
  /** With a port that is not the protocol's own: the Host header, which is signed. */
  readonly host: string
  /** To connect to; of an IPv6 address without its brackets. */
  readonly hostname: string
  /** '' for the protocol's own. */
  readonly port: string
  /** Escaped, from `/`. */
  readonly path: string
}

/** Stands for the endpoint of the bucket's region, where buckets are hosts (Amazon S3, "Virtual hosting of buckets"). */
const AMAZON = 's3.amazonaws.com'

/** Where a key, or the bucket itself when none is given, is. */
export function addressOf({ endpoint, bucket, forcePathStyle }: BucketPlace, region: string, key?: string): Address {
  const { protocol, port } = endpoint
  const isAmazon = endpoint.hostname === AMAZON
  const origin = isAmazon ? AMAZON.replace('.', `.${region}.`) : endpoint.hostname
  const object = key === undefined ? '' : `/${escapeKey(key)}`
  // The certificate of a wildcard name holds for one label.
  const inPath = (protocol === 'https:' && bucket.includes('.')) || (forcePathStyle && !isAmazon)
  const name = inPath ? origin : `${bucket}.${origin}`
  return {
    host: port === '' ? name : `${name}:${port}`,
    hostname: name.replace(/^\[|\]$/g, ''),
    port,
    path: inPath ? `/${bucket}${object}` : object || '/',
  }
}

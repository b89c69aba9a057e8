// The signer alone: the package's client, with all that it imports, is 400 KiB more and 10 MiB of every job pod's memory.
import { signV4 } from 'minio/dist/esm/signing.mjs'
import type { S3Credentials } from './location.ts'

/** A request as it is sent, but for what the signature adds. */
export interface Signable {
  readonly method: string
  /** Escaped, from `/`. */
  readonly path: string
  /** `name=value` or `name`, escaped, joined by `&`; '' for none. */
  readonly query: string
  /** Names in lower case, `host` among them. */
  readonly headers: Readonly<Record<string, string>>
  /** Of the body, hexadecimal. */
  readonly sha256: string
}

/**
 * The headers of the request and those of its signature ("Authenticating Requests: Using the Authorization Header (AWS
 * Signature Version 4)", S3 API), made by the minio client's signer.
 */
export function signedHeaders(
  { method, path, query, headers, sha256 }: Signable,
  { accessKeyId, secretAccessKey, sessionToken }: S3Credentials,
  region: string,
  now: Date,
): Record<string, string> {
  const all = {
    ...headers,
    'x-amz-date': now.toISOString().replace(/[-:]|\.\d+/g, ''),
    'x-amz-content-sha256': sha256,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  }
  const target = query === '' ? path : `${path}?${query}`
  // Which protocol it will be is no part of what is signed.
  const request = { protocol: 'https:', method, path: target, headers: all }
  return { ...all, authorization: signV4(request, accessKeyId, secretAccessKey, region, now, sha256) }
}

/** RFC 3986's unreserved characters stay, all others become `%XX` of their UTF-8 bytes, as the signature wants them. */
export function escapeQuery(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** As `escapeQuery`, for a key: its slashes stay. */
export function escapeKey(key: string): string {
  return escapeQuery(key).replaceAll('%2F', '/')
}

import { S3Failure } from './errors.ts'
import type { S3Client } from './s3client.ts'
import { element, elements, listedKey } from './s3xml.ts'

/** A multipart upload that was neither completed nor aborted; `key` is the whole key in the bucket. */
export interface UnfinishedUpload {
  readonly key: string
  readonly uploadId: string
}

/** S3 API, ListMultipartUploads: at most so many in one answer. */
const PAGE = 1000

/**
 * The unfinished uploads below a prefix of the bucket. MinIO lists by an exact key only, or, without a prefix, all that
 * were begun since it started: where a prefix finds nothing, the first page without one is looked through, if it may be.
 */
export async function* unfinishedUploads(
  client: S3Client,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<UnfinishedUpload, void, undefined> {
  let found = 0
  let markers: Readonly<Record<string, string>> | undefined = {}
  while (markers !== undefined) {
    const page = await readPage(client, { prefix, ...markers }, signal)
    for (const upload of page.uploads) {
      // A server that lists more than it was asked for must not make us abort it.
      if (!upload.key.startsWith(prefix)) continue
      found += 1
      yield upload
    }
    markers = page.next
  }
  if (found > 0) return
  for (const upload of await firstOfAll(client, signal)) if (upload.key.startsWith(prefix)) yield upload
}

/** The first page of the whole bucket's; none where a policy allows no more than a prefix, which was listed already. */
async function firstOfAll(client: S3Client, signal: AbortSignal): Promise<readonly UnfinishedUpload[]> {
  try {
    return (await readPage(client, {}, signal)).uploads
  } catch (error) {
    if (error instanceof S3Failure && error.status === 403) return []
    throw error
  }
}

async function readPage(client: S3Client, query: Readonly<Record<string, string>>, signal: AbortSignal) {
  const all = { uploads: '', 'encoding-type': 'url', 'max-uploads': String(PAGE), ...query }
  const xml = await client.text({ method: 'GET', query: all, signal })
  const listed = elements(xml, 'Upload').map((upload) => ({
    key: listedKey(xml, element(upload, 'Key') ?? ''),
    uploadId: element(upload, 'UploadId') ?? '',
  }))
  // Without an id, what aborts the upload could be taken for the removal of the object.
  const uploads = listed.filter(({ uploadId }) => uploadId !== '')
  const marker = listedKey(xml, element(xml, 'NextKeyMarker') ?? '')
  const isLast = element(xml, 'IsTruncated') !== 'true' || marker === ''
  const next = { 'key-marker': marker, 'upload-id-marker': element(xml, 'NextUploadIdMarker') ?? '' }
  return { uploads, next: isLast ? undefined : next }
}

/**
 * Twice: a part whose request was cut may still be written when the first abort comes (S3 API, AbortMultipartUpload:
 * "it might be necessary to abort a given multipart upload multiple times").
 * @param key below the store's prefix
 */
export async function abortUpload(client: S3Client, key: string, uploadId: string, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < 2; round++) {
    try {
      await client.text({ method: 'DELETE', key, query: { uploadId }, signal })
    } catch (error) {
      if (error instanceof S3Failure && (error.code === 'NoSuchUpload' || error.status === 404)) return
      throw error
    }
  }
}

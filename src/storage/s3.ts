import { Budget } from './budget.ts'
import { S3Failure, storeError } from './errors.ts'
import { checkKey } from './keys.ts'
import { bodyOf, contentMD5, S3Client, type S3Dependencies, type S3Options } from './s3client.ts'
import { BlockPool, BYTES_IN_FLIGHT, PARTS_IN_FLIGHT } from './s3parts.ts'
import { readObject } from './s3read.ts'
import { S3Upload } from './s3upload.ts'
import { abortUpload, unfinishedUploads } from './s3uploads.ts'
import { element, elements, encodeEntities, listedKey } from './s3xml.ts'
import type { ByteRange, ObjectInfo, ObjectStore, ObjectUpload, UploadOptions } from './store.ts'

/** S3 API, DeleteObjects: "up to 1000 keys". */
const REMOVE_BATCH = 1000

/** Before a run: long enough for a lost packet, short enough for a person who waits. */
const CHECK_ATTEMPTS = 3

/** A bucket, or the part of it below a prefix, of any server that speaks S3. */
export class S3Store implements ObjectStore {
  readonly location: string
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #budget = new Budget(PARTS_IN_FLIGHT, BYTES_IN_FLIGHT)
  readonly #pool = new BlockPool()

  /** @throws PgpackError CONFIG_INVALID when the endpoint or the prefix cannot be used. */
  constructor(options: S3Options, dependencies: S3Dependencies = {}) {
    const prefix = options.prefix.replace(/^\/+|\/+$/g, '')
    if (prefix !== '') checkKey(prefix)
    this.#client = new S3Client({ ...options, prefix }, dependencies)
    this.#bucket = options.bucket
    this.#prefix = prefix === '' ? '' : `${prefix}/`
    this.location = this.#client.location
  }

  upload(key: string, options: UploadOptions): ObjectUpload {
    return new S3Upload(this.#client, this.#budget, this.#pool, this.#checkKey(key), options)
  }

  read(key: string, signal: AbortSignal, range?: ByteRange): AsyncIterable<Buffer> {
    return readObject(this.#client, this.#checkKey(key), signal, range)
  }

  async stat(key: string, signal: AbortSignal): Promise<ObjectInfo> {
    const { size } = await this.#client.head(this.#checkKey(key), signal)
    return { key, size }
  }

  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    let token: string | undefined
    do {
      const query = { ...listQuery(this.#prefix + prefix, REMOVE_BATCH), ...(token && { 'continuation-token': token }) }
      const xml = await this.#text(`list ${prefix || 'objects'}`, { method: 'GET', query, signal })
      for (const entry of elements(xml, 'Contents')) {
        const key = listedKey(xml, element(entry, 'Key') ?? '').slice(this.#prefix.length)
        yield { key, size: Number(element(entry, 'Size')) }
      }
      token = element(xml, 'IsTruncated') === 'true' ? element(xml, 'NextContinuationToken') : undefined
    } while (token !== undefined)
  }

  async remove(keys: readonly string[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < keys.length; start += REMOVE_BATCH) {
      await this.#removeBatch(keys.slice(start, start + REMOVE_BATCH), signal)
    }
  }

  async abortUploads(prefix: string, signal: AbortSignal, wanted = (_: string) => true): Promise<number> {
    let aborted = 0
    try {
      for await (const upload of unfinishedUploads(this.#client, this.#prefix + prefix, signal)) {
        const key = upload.key.slice(this.#prefix.length)
        if (!wanted(key)) continue
        await abortUpload(this.#client, key, upload.uploadId, signal)
        aborted += 1
      }
    } catch (error) {
      throw storeError(error, this.#client.context(`abort unfinished uploads below ${prefix}`, signal))
    }
    return aborted
  }

  async check(signal: AbortSignal): Promise<void> {
    const retries = { ...this.#client.retries, attempts: CHECK_ATTEMPTS }
    try {
      // HeadBucket would do, but its answers have no body to tell why.
      await this.#client.text({ method: 'GET', query: listQuery(this.#prefix, 1), signal }, {}, retries)
    } catch (error) {
      const bare = error instanceof S3Failure && error.status === 404 && error.code === ''
      const cause = bare ? new S3Failure(404, 'NoSuchBucket', error.message) : error
      throw storeError(cause, this.#client.context(`use bucket ${this.#bucket}`, signal))
    }
  }

  close(): void {
    this.#client.close()
  }

  #checkKey(key: string): string {
    checkKey(this.#prefix + key)
    return key
  }

  async #removeBatch(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const objects = keys.map(
      (key) => `<Object><Key>${encodeEntities(this.#prefix + this.#checkKey(key))}</Key></Object>`,
    )
    const data = Buffer.from(`<Delete><Quiet>true</Quiet>${objects.join('')}</Delete>`)
    const xml = await this.#text(`remove ${keys.length} objects`, {
      method: 'POST',
      query: { delete: '' },
      // Asked for by AWS and others for this call alone.
      headers: { 'content-md5': contentMD5([data]), 'content-type': 'application/xml' },
      body: bodyOf(data),
      signal,
    })
    const refused = elements(xml, 'Error').filter((entry) => element(entry, 'Code') !== 'NoSuchKey')
    const [first] = refused
    if (first === undefined) return
    const failure = new S3Failure(200, element(first, 'Code') ?? '', element(first, 'Message') ?? '')
    throw storeError(failure, this.#client.context(`remove ${element(first, 'Key')} (${refused.length} refused)`))
  }

  async #text(action: string, request: Parameters<S3Client['text']>[0]): Promise<string> {
    try {
      return await this.#client.text(request)
    } catch (error) {
      throw storeError(error, this.#client.context(action, request.signal))
    }
  }
}

function listQuery(prefix: string, maxKeys: number): Record<string, string> {
  return { 'list-type': '2', 'encoding-type': 'url', 'max-keys': String(maxKeys), ...(prefix && { prefix }) }
}

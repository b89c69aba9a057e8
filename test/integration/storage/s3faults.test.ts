import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { PgpackError } from '../../../src/errors.ts'
import { DEFAULT_RETRIES } from '../../../src/storage/retry.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import { MAX_PARTS_IN_FLIGHT, MIB, FIRST_PART_SIZE as PART, PARTS_IN_FLIGHT } from '../../../src/storage/s3parts.ts'
import type { ObjectUpload } from '../../../src/storage/store.ts'
import { waitFor } from '../../cluster/processes.ts'
import { collect, never, pseudoRandomBytes, putBytes, toArray } from '../../support/bytes.ts'
import {
  firstRequests,
  type HTTPFault,
  type HTTPProxy,
  type SeenRequest,
  startHTTPProxy,
  startTCPProxy,
  type TCPProxy,
} from '../../support/faultproxy.ts'
import { useMinio } from '../../support/minio.ts'

jest.setTimeout(120_000)

const minio = useMinio()
const retries = { ...DEFAULT_RETRIES, baseMs: 5, capMs: 20 }

const isPart = ({ method, query }: SeenRequest) => method === 'PUT' && query.has('partNumber')
const isCreate = ({ method, query }: SeenRequest) => method === 'POST' && query.has('uploads')
const isComplete = ({ method, query }: SeenRequest) => method === 'POST' && query.has('uploadId')
const isAbort = ({ method, query }: SeenRequest) => method === 'DELETE' && query.has('uploadId')
const isPut = ({ method, query }: SeenRequest) => method === 'PUT' && query.size === 0
const isGet = ({ method, headers }: SeenRequest) => method === 'GET' && headers.range !== undefined

const slowDown: HTTPFault = {
  type: 'answer',
  status: 503,
  body: '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>',
}

/** Nothing is left of any upload, on the server and in this process. */
async function expectNothing(store: S3Store, key: string): Promise<void> {
  await waitFor('no unfinished upload', 5_000, async () =>
    (await minio.server.unfinishedUploads()).length === 0 ? true : undefined,
  )
  await expect(store.stat(key, never())).rejects.toMatchObject({ code: 'STORE_NO_OBJECT' })
}

describe('with faults between requests', () => {
  let proxy: HTTPProxy
  let s3: S3Store
  const bytes = pseudoRandomBytes(3 * PART + 99, 1)

  beforeEach(async () => {
    proxy = await startHTTPProxy(minio.server)
    s3 = new S3Store(minio.server.options(minio.bucket, { via: proxy }), { retries })
  })
  afterEach(async () => {
    s3.close()
    await proxy.stop()
  })

  const count = (matches: (request: SeenRequest) => boolean) => proxy.requests.filter(matches).length

  async function expectWhole(): Promise<void> {
    expect((await collect(s3.read('x', never()))).equals(bytes)).toBe(true)
    expect(await minio.server.unfinishedUploads()).toEqual([])
  }

  it.each([
    ['CreateMultipartUpload', isCreate],
    ['UploadPart', isPart],
    ['CompleteMultipartUpload', isComplete],
  ])('%s is sent again when the store says 503 SlowDown', async (_name, matches) => {
    proxy.use(firstRequests(3, matches, slowDown))
    await putBytes(s3, 'x', bytes)
    await expectWhole()
  })

  it('a small object is sent again when the store says 503 SlowDown', async () => {
    proxy.use(firstRequests(3, isPut, slowDown))
    await putBytes(s3, 'small', Buffer.from('abc'))
    expect((await collect(s3.read('small', never()))).toString()).toBe('abc')
    expect(count(isPut)).toBe(4)
  })

  it.each([
    [500, 'InternalError'],
    [429, 'TooManyRequests'],
    [400, 'RequestTimeout'],
    [408, ''],
    [502, ''],
  ])('a part is sent again after %i %s', async (status, code) => {
    proxy.use(firstRequests(2, isPart, { type: 'answer', status, body: code && `<Error><Code>${code}</Code></Error>` }))
    await putBytes(s3, 'x', bytes)
    await expectWhole()
    expect(count(isPart)).toBe(4 + 2)
  })

  it('a store that stays busy ends the upload, retryable, and nothing is left', async () => {
    proxy.use(firstRequests(1000, isPart, slowDown))
    await expect(putBytes(s3, 'x', bytes)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      retryable: true,
      details: { status: 'HTTP 503' },
      message: expect.stringContaining('SlowDown'),
    })
    await expectNothing(s3, 'x')
  })

  it('what cannot help is not sent again', async () => {
    const body = '<Error><Code>AccessDenied</Code><Message>no</Message></Error>'
    proxy.use(firstRequests(1000, isPart, { type: 'answer', status: 403, body }))
    const started = putBytes(s3, 'x', bytes)
    await expect(started).rejects.toMatchObject({ code: 'STORE_DENIED', retryable: false })
    expect(count(isPart)).toBeLessThanOrEqual(4)
    await expectNothing(s3, 'x')
  })

  it('a full store is told as such', async () => {
    const body = '<Error><Code>XMinioStorageFull</Code></Error>'
    proxy.use(firstRequests(1000, isPart, { type: 'answer', status: 507, body }))
    await expect(putBytes(s3, 'x', bytes)).rejects.toMatchObject({ code: 'STORE_FULL', retryable: false })
  })

  it('a part whose connection is cut in its middle is sent again', async () => {
    proxy.use(firstRequests(3, isPart, { type: 'cutRequest', after: 3 * MIB }))
    await putBytes(s3, 'x', bytes)
    await expectWhole()
  })

  it('a part whose answer is lost is sent again', async () => {
    proxy.use(firstRequests(3, isPart, { type: 'loseAnswer' }))
    await putBytes(s3, 'x', bytes)
    await expectWhole()
  })

  it('the lost answer to CompleteMultipartUpload is made good by the size of what is there', async () => {
    proxy.use(firstRequests(1, isComplete, { type: 'loseAnswer' }))
    expect(await putBytes(s3, 'x', bytes, { head: Buffer.from('head') })).toEqual({ key: 'x', size: bytes.length + 4 })
    expect(count(isComplete)).toBe(2)
    expect((await s3.stat('x', never())).size).toBe(bytes.length + 4)
  })

  it('an upload that vanished without our completing it is an error', async () => {
    proxy.use((request) => {
      if (!isComplete(request)) return undefined
      return { type: 'answer', status: 404, body: '<Error><Code>NoSuchUpload</Code></Error>' }
    })
    await expect(putBytes(s3, 'x', bytes)).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: true })
    await expectNothing(s3, 'x')
  })

  it('an error inside the 200 of CompleteMultipartUpload is not success', async () => {
    const body = '<?xml version="1.0"?>\n\n<Error><Code>InternalError</Code><Message>try again</Message></Error>'
    proxy.use(firstRequests(2, isComplete, { type: 'answer', status: 200, body }))
    await putBytes(s3, 'x', bytes)
    expect(count(isComplete)).toBe(3)
    await expectWhole()
  })

  it('a lost answer to CreateMultipartUpload leaves no second upload', async () => {
    proxy.use(firstRequests(2, isCreate, { type: 'loseAnswer' }))
    await putBytes(s3, 'x', bytes)
    expect(count(isCreate)).toBe(3)
    await expectWhole()
  })

  it('a store that never tells whether it completed keeps no object that might look whole', async () => {
    proxy.use(firstRequests(1000, isComplete, { type: 'loseAnswer' }))
    const upload = s3.upload('x', { signal: never() })
    await upload.write(bytes)
    // The retry is answered by NoSuchUpload only when it gets through; here no answer ever does.
    await expect(upload.complete()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    await upload.abort()
    await expectNothing(s3, 'x')
  })

  it('a small object whose answers are all lost is removed again', async () => {
    proxy.use(firstRequests(1000, isPut, { type: 'loseAnswer' }))
    await expect(putBytes(s3, 'small', Buffer.from('abc'))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    await expectNothing(s3, 'small')
  })

  it('a refused overwrite leaves the object that was there', async () => {
    await putBytes(s3, 'small', Buffer.from('abc'))
    proxy.use(firstRequests(1000, isPut, { type: 'answer', status: 403 }))
    await expect(putBytes(s3, 'small', Buffer.from('xyz'))).rejects.toMatchObject({ code: 'STORE_DENIED' })
    expect((await collect(s3.read('small', never()))).toString()).toBe('abc')
  })

  it('an abort that is refused says that something may remain', async () => {
    proxy.use(firstRequests(1000, isAbort, { type: 'answer', status: 403 }))
    const upload = s3.upload('x', { signal: never() })
    await upload.write(bytes)
    // The request that begins the upload is still in flight: its id is waited for, or nothing could be aborted.
    await expect(upload.abort()).rejects.toMatchObject({
      code: 'STORE_DENIED',
      message: expect.stringContaining('remove'),
    })
    expect(await minio.server.unfinishedUploads()).toHaveLength(1)
    const [{ uploadId } = { uploadId: '' }] = (
      await minio.server.client.listIncompleteUploadsQuery(minio.bucket, 'x', '', '', '')
    ).uploads
    await minio.server.client.abortMultipartUpload(minio.bucket, 'x', uploadId)
  })

  it('a server that asks for Content-MD5, as with object lock, gets it', async () => {
    proxy.use((request) => {
      if (!(isPart(request) || isPut(request)) || request.headers['content-md5'] !== undefined) return undefined
      const message = 'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock'
      return {
        type: 'answer',
        status: 400,
        body: `<Error><Code>InvalidRequest</Code><Message>${message}</Message></Error>`,
      }
    })
    await putBytes(s3, 'x', bytes)
    await expectWhole()
  })

  it('a download that is cut goes on at the byte', async () => {
    await putBytes(s3, 'x', bytes)
    proxy.use(firstRequests(6, isGet, { type: 'cutAnswer', after: 3 * MIB + 7 }))
    expect((await collect(s3.read('x', never()))).equals(bytes)).toBe(true)
    const starts = proxy.requests.filter(isGet).map(({ headers }) => Number(/\d+/.exec(headers.range ?? '')?.[0]))
    expect(starts.some((start) => start % PART !== 0)).toBe(true)
  })

  it('a download gains ground through any number of cuts', async () => {
    await putBytes(s3, 'x', bytes)
    proxy.use(firstRequests(60, isGet, { type: 'cutAnswer', after: 400_000 }))
    expect((await collect(s3.read('x', never()))).equals(bytes)).toBe(true)
  })

  it('a download that gains nothing ends', async () => {
    await putBytes(s3, 'x', bytes)
    proxy.use(firstRequests(1000, isGet, { type: 'cutAnswer', after: 0 }))
    await expect(collect(s3.read('x', never()))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true })
  })

  it('an object that is replaced while it is read is noticed', async () => {
    const long = pseudoRandomBytes(64 * MIB, 5)
    await putBytes(s3, 'x', long)
    const read = async () => {
      let replaced = false
      for await (const chunk of s3.read('x', never())) {
        if (!replaced) await putBytes(s3, 'x', pseudoRandomBytes(64 * MIB, 6))
        replaced = true
        expect(chunk.length).toBeGreaterThan(0)
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('replaced') })
  })

  it('an object that is replaced is noticed also where the server knows no If-Match', async () => {
    await putBytes(s3, 'x', Buffer.from('abc'))
    const other: HTTPFault = {
      type: 'answer',
      status: 206,
      body: 'xyz',
      headers: { etag: '"other"', 'content-length': 3 },
    }
    proxy.use(firstRequests(100, isGet, other))
    await expect(collect(s3.read('x', never()))).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('replaced'),
    })
  })

  it('a server that ignores ranges is not read as if it knew them', async () => {
    await putBytes(s3, 'x', bytes)
    const etag = (await minio.server.client.statObject(minio.bucket, 'x')).etag
    const whole: HTTPFault = {
      type: 'answer',
      status: 200,
      body: 'the whole',
      headers: { etag: `"${etag}"`, 'content-length': 9 },
    }
    proxy.use(firstRequests(100, isGet, whole))
    await expect(collect(s3.read('x', never()))).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })

  it.each([
    ['an answer', isGet],
    ['a part', isPart],
  ])('%s that stalls is given up and asked for again', async (_what, matches) => {
    const hasty = new S3Store(minio.server.options(minio.bucket, { via: proxy }), { retries, idleTimeoutMs: 300 })
    proxy.use(firstRequests(3, matches, { type: 'stall' }))
    await putBytes(hasty, 'x', bytes)
    expect((await collect(hasty.read('x', never()))).equals(bytes)).toBe(true)
    hasty.close()
  })

  it('a cancelled download ends with it', async () => {
    await putBytes(s3, 'x', bytes)
    proxy.use(firstRequests(1000, isGet, { type: 'stall' }))
    await expect(collect(s3.read('x', AbortSignal.timeout(200)))).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('giving up', () => {
  it('leaves neither object nor upload, at any moment', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket))
    for (const size of [0, 5, PART, PART + 1, 3 * PART, 6 * PART]) {
      const upload = s3.upload('x', { signal: never() })
      if (size > 0) await upload.write(pseudoRandomBytes(size))
      await upload.abort()
      await upload.abort()
      await expect(upload.write(Buffer.from('y'))).rejects.toMatchObject({ code: 'CANCELLED' })
      await expect(upload.complete()).rejects.toMatchObject({ code: 'CANCELLED' })
      await expectNothing(s3, 'x')
    }
    s3.close()
  })

  it('does nothing after success', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket))
    const upload = s3.upload('x', { signal: never() })
    await upload.write(Buffer.from('abc'))
    await upload.complete()
    await upload.abort()
    expect((await s3.stat('x', never())).size).toBe(3)
    await expect(upload.write(Buffer.from('y'))).rejects.toMatchObject({ code: 'INTERNAL' })
    s3.close()
  })

  it('by the signal is done before anybody calls abort', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket))
    const controller = new AbortController()
    const upload = s3.upload('x', { signal: controller.signal })
    await upload.write(pseudoRandomBytes(4 * PART))
    controller.abort(new PgpackError('CANCELLED', 'SIGTERM'))
    await expect(upload.write(Buffer.from('y'))).rejects.toMatchObject({ code: 'CANCELLED' })
    await expectNothing(s3, 'x')
    await upload.abort()
    s3.close()
  })

  it('before anything was written needs no request', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket))
    const upload = s3.upload('x', { signal: AbortSignal.abort() })
    await expect(upload.write(Buffer.from('y'))).rejects.toMatchObject({ code: 'CANCELLED' })
    await upload.abort()
    s3.close()
  })

  it('while parts wait for a slow store ends within seconds', async () => {
    const proxy = await startTCPProxy(minio.server, () => ({ up: { stallAfter: 2 * MIB } }))
    const s3 = new S3Store(minio.server.options(minio.bucket, { via: proxy }), { retries })
    const controller = new AbortController()
    const upload = s3.upload('x', { signal: controller.signal })
    const writing = writeForever(upload)
    await waitFor('a stall', 20_000, async () => (proxy.passed.up >= 8 * MIB ? true : undefined))
    proxy.use(() => ({}))
    const begun = performance.now()
    controller.abort()
    await expect(writing).rejects.toMatchObject({ code: 'CANCELLED' })
    await upload.abort()
    expect(performance.now() - begun).toBeLessThan(5_000)
    await expectNothing(s3, 'x')
    s3.close()
    await proxy.stop()
  })
})

async function writeForever(upload: ObjectUpload): Promise<void> {
  for (;;) await upload.write(pseudoRandomBytes(MIB))
}

describe('with faults of the network', () => {
  let proxy: TCPProxy
  let s3: S3Store

  beforeEach(async () => {
    proxy = await startTCPProxy(minio.server)
    s3 = new S3Store(minio.server.options(minio.bucket, { via: proxy }), { retries })
  })
  afterEach(async () => {
    s3.close()
    await proxy.stop()
  })

  it('connections that are cut again and again cost requests, not bytes', async () => {
    const bytes = pseudoRandomBytes(6 * PART, 8)
    proxy.use((n) => (n < 12 ? { up: { cutAfter: 1_500_000 + n * 100_000 } } : {}))
    await putBytes(s3, 'x', bytes)
    expect(proxy.connections).toBeGreaterThan(12)
    s3.close()
    proxy.use((n) => (n % 3 === 0 ? { down: { cutAfter: 2_000_000 } } : {}))
    expect((await collect(s3.read('x', never()))).equals(bytes)).toBe(true)
    expect(await minio.server.unfinishedUploads()).toEqual([])
  })

  it('a store that comes back within the retries is worth the wait', async () => {
    proxy.use((n) => ({ refuse: n < 4 }))
    await putBytes(s3, 'x', Buffer.from('abc'))
    expect((await collect(s3.read('x', never()))).toString()).toBe('abc')
  })

  it('a store that is gone ends the upload, and cleaning up does not take for ever', async () => {
    const upload = s3.upload('x', { signal: never() })
    await upload.write(pseudoRandomBytes(2 * PART))
    proxy.use(() => ({ refuse: true }))
    proxy.cutAll()
    await expect(writeForever(upload)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true })
    await expect(upload.abort()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  })
})

describe('several uploads of one store', () => {
  it('share what may be in flight', async () => {
    const proxy = await startHTTPProxy(minio.server)
    const s3 = new S3Store(minio.server.options(minio.bucket, { via: proxy }), { retries })
    const bytes = pseudoRandomBytes(6 * PART, 9)
    await Promise.all(['a', 'b', 'c'].map((key) => putBytes(s3, key, bytes)))
    expect(proxy.peak).toBeGreaterThanOrEqual(PARTS_IN_FLIGHT)
    expect(proxy.peak).toBeLessThanOrEqual(MAX_PARTS_IN_FLIGHT)
    for (const key of ['a', 'b', 'c']) expect((await collect(s3.read(key, never()))).equals(bytes)).toBe(true)
    expect(await toArray(s3.list('', never()))).toHaveLength(3)
    s3.close()
    await proxy.stop()
  })

  it('have more in flight where the store is far away, and use their connections again', async () => {
    const far = { latencyMs: 60 }
    const wire = await startTCPProxy(minio.server, () => ({ up: far, down: far }))
    const s3 = new S3Store(minio.server.options(minio.bucket, { via: wire }), { retries })
    await s3.check(never())
    const bytes = pseudoRandomBytes(20 * PART, 10)
    await putBytes(s3, 'x', bytes)
    expect(wire.connections).toBe(MAX_PARTS_IN_FLIGHT)
    expect((await s3.stat('x', never())).size).toBe(bytes.length)
    s3.close()
    await wire.stop()
  })
})

describe('an upload into a store that is far away', () => {
  it('has more parts in flight from the first answer on, before any part was answered', async () => {
    const proxy = await startHTTPProxy(minio.server)
    proxy.use((request) => (isPart(request) ? { type: 'stall' } : undefined))
    const far = { latencyMs: 60 }
    const wire = await startTCPProxy(proxy, () => ({ up: far, down: far }))
    const s3 = new S3Store(minio.server.options(minio.bucket, { via: wire }), { retries })
    const controller = new AbortController()
    const writing = expect(writeForever(s3.upload('x', { signal: controller.signal }))).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    try {
      await waitFor('parts in flight', 20_000, async () =>
        proxy.requests.filter(isPart).length === MAX_PARTS_IN_FLIGHT ? true : undefined,
      )
    } finally {
      controller.abort()
      await writing
      await expectNothing(s3, 'x')
      s3.close()
      await wire.stop()
      await proxy.stop()
    }
  })
})

describe('what is sent', () => {
  it('carries the SHA-256 of its bytes and no newer checksum, also in blocks and to a server that asks for MD5', async () => {
    const proxy = await startHTTPProxy(minio.server)
    const s3 = new S3Store(minio.server.options(minio.bucket, { via: proxy }), { retries })
    const bytes = pseudoRandomBytes(PART + 3, 11)
    proxy.use((request) => {
      if (!isPart(request) || request.headers['content-md5'] !== undefined) return undefined
      return {
        type: 'answer',
        status: 400,
        body: '<Error><Code>InvalidRequest</Code><Message>Content-MD5</Message></Error>',
      }
    })
    await putBytes(s3, 'x', bytes)
    const accepted = proxy.requests.filter((request) => isPart(request) && request.headers['content-md5'] !== undefined)
    const digests = (algorithm: 'md5' | 'sha256', encoding: 'base64' | 'hex') =>
      [bytes.subarray(0, PART), bytes.subarray(PART)]
        .map((part) => createHash(algorithm).update(part).digest(encoding))
        .sort()
    expect(accepted.map(({ headers }) => headers['content-md5']).sort()).toEqual(digests('md5', 'base64'))
    expect(accepted.map(({ headers }) => headers['x-amz-content-sha256']).sort()).toEqual(digests('sha256', 'hex'))
    for (const { headers } of proxy.requests) {
      expect(Object.keys(headers).filter((name) => /checksum|trailer/.test(name))).toEqual([])
    }
    s3.close()
    await proxy.stop()
  })
})

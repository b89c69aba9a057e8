import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { S3Store } from '../../../src/storage/s3.ts'

const DENIED = { status: 403, body: '<Error><Code>AccessDenied</Code><Message>no</Message></Error>' }

/** As much of S3 as unfinished uploads need: ListMultipartUploads, two a page, beginning, parts and AbortMultipartUpload. */
class UploadServer {
  readonly uploads = new Map<string, string>()
  /** Queries of the lists, in order. */
  readonly lists: string[] = []
  /** Lists nothing where a prefix is given, as MinIO. */
  ignoresPrefixes = false
  /** Whatever the prefix, everything is listed. */
  listsEverything = false
  denies = false
  /** As a policy with a condition on `s3:prefix`. */
  deniesWithoutPrefix = false
  /** Answers to the beginning of an upload that do not arrive. */
  lostAnswers = 0
  readonly #server: Server

  constructor() {
    this.#server = createServer((request, response) => {
      request.resume()
      const { status, body } = this.#answer(request)
      if (request.method === 'POST' && this.lostAnswers-- > 0) request.destroy()
      else response.writeHead(status, { 'content-type': 'application/xml', etag: '"part"' }).end(body)
    })
  }

  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #answer({ method, url = '' }: IncomingMessage): { status: number; body: string } {
    const { pathname, searchParams: query } = new URL(url, 'http://localhost')
    if (this.denies) return DENIED
    if (method === 'GET' && this.deniesWithoutPrefix && !query.has('prefix')) return DENIED
    if (method === 'GET') return { status: 200, body: this.#list(query) }
    if (method === 'PUT') return { status: 200, body: '' }
    if (method === 'POST') return { status: 200, body: this.#begin(pathname) }
    this.uploads.delete(query.get('uploadId') ?? '')
    return { status: 204, body: '' }
  }

  #begin(path: string): string {
    const id = `begun${this.uploads.size}`
    this.uploads.set(id, decodeURIComponent(path.replace('/bucket/', '')))
    return `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`
  }

  #list(query: URLSearchParams): string {
    const prefix = query.get('prefix') ?? ''
    const marker = `${query.get('key-marker') ?? ''} ${query.get('upload-id-marker') ?? ''}`
    this.lists.push(prefix)
    const matches = (key: string) =>
      this.listsEverything || (key.startsWith(prefix) && !(this.ignoresPrefixes && prefix))
    const found = [...this.uploads].filter(([id, key]) => matches(key) && `${key} ${id}` > marker)
    const page = found.sort(([a, left], [b, right]) => (`${left} ${a}` < `${right} ${b}` ? -1 : 1)).slice(0, 2)
    const [lastId, lastKey] = page.at(-1) ?? []
    const entries = page.map(
      ([id, key]) => `<Upload><Key>${encodeURIComponent(key)}</Key><UploadId>${id}</UploadId></Upload>`,
    )
    const next = `<NextKeyMarker>${encodeURIComponent(lastKey ?? '')}</NextKeyMarker><NextUploadIdMarker>${lastId ?? ''}</NextUploadIdMarker>`
    const more = `<IsTruncated>${found.length > page.length}</IsTruncated>`
    return `<ListMultipartUploadsResult><EncodingType>url</EncodingType>${next}${more}${entries.join('')}</ListMultipartUploadsResult>`
  }
}

const signal = new AbortController().signal
let server: UploadServer
let store: S3Store

beforeEach(async () => {
  server = new UploadServer()
  const endpoint = `http://127.0.0.1:${await server.start()}`
  const access = { accessKeyId: 'a', secretAccessKey: 'b', region: 'r', forcePathStyle: true }
  store = new S3Store({ endpoint, bucket: 'bucket', prefix: 'base', ...access })
  for (const [index, name] of ['a', 'b', 'b', 'c/ü', 'd'].entries())
    server.uploads.set(`id${index}`, `base/run/1/${name}`)
})
afterEach(() => {
  store.close()
  server.stop()
})

describe('unfinished uploads below a prefix', () => {
  it('are aborted on all pages, two of one key as well, and no others', async () => {
    for (const key of ['base/run/', 'base/run2/1/a', 'run/1/a']) server.uploads.set(key, key)
    expect(await store.abortUploads('run/1/', signal)).toBe(5)
    expect([...server.uploads.keys()]).toEqual(['base/run/', 'base/run2/1/a', 'run/1/a'])
    expect(server.lists).toEqual(['base/run/1/', 'base/run/1/', 'base/run/1/'])
  })

  it('are looked for without the prefix where a server lists none with it', async () => {
    server.ignoresPrefixes = true
    expect(await store.abortUploads('run/1/', signal)).toBe(2)
    expect(server.lists).toEqual(['base/run/1/', ''])
  })

  it('are none where none are listed and nothing but the prefix may be', async () => {
    server.deniesWithoutPrefix = true
    expect(await store.abortUploads('run/2/', signal)).toBe(0)
    expect(server.lists).toEqual(['base/run/2/'])
  })

  it('are all that is aborted, whatever the server lists', async () => {
    server.listsEverything = true
    server.uploads.set('other', 'base/zzz')
    expect(await store.abortUploads('run/1/', signal)).toBe(5)
    expect([...server.uploads.keys()]).toEqual(['other'])
  })

  it('are left alone where the server does not say what their id is', async () => {
    server.uploads.set('', 'base/run/1/e')
    expect(await store.abortUploads('run/1/', signal)).toBe(5)
    expect([...server.uploads.values()]).toEqual(['base/run/1/e'])
  })

  it('may be wanted or not, by their key in the store', async () => {
    const keys: string[] = []
    const wanted = (key: string) => keys.push(key) > 0 && key.endsWith('b')
    expect(await store.abortUploads('run/1/', signal, wanted)).toBe(2)
    expect(keys).toEqual(['run/1/a', 'run/1/b', 'run/1/b', 'run/1/c/ü', 'run/1/d'])
    expect(server.uploads.size).toBe(3)
  })

  it('that may not be listed are an error that names the right place', async () => {
    server.denies = true
    await expect(store.abortUploads('run/1/', signal)).rejects.toMatchObject({
      code: 'STORE_DENIED',
      message: expect.stringContaining('abort unfinished uploads below run/1/'),
    })
  })
})

describe('an upload that is given up', () => {
  it('takes those of its own key along whose ids never arrived, and no others', async () => {
    server.lostAnswers = 2
    const upload = store.upload('run/1/d/x', { signal })
    for (let at = 0; at < 6; at++) await upload.write(Buffer.alloc(1024 * 1024))
    await upload.abort()
    expect([...server.uploads.keys()]).toEqual(['id0', 'id1', 'id2', 'id3', 'id4'])
    expect(server.lists).toEqual(['base/run/1/d/x'])
  })
})

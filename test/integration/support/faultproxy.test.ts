import { once } from 'node:events'
import * as http from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { waitFor } from '../../cluster/processes.ts'
import { pseudoRandomBytes } from '../../support/bytes.ts'
import { type Address, firstRequests, startHTTPProxy, startTCPProxy } from '../../support/faultproxy.ts'

async function listening(server: Server): Promise<Address> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

/** Everything that comes until the end or the error, and which of the two it was. */
function outcome(socket: Socket): Promise<{ bytes: Buffer; error: string | undefined }> {
  const chunks: Buffer[] = []
  let error: string | undefined
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', (thrown: NodeJS.ErrnoException) => {
    error = thrown.code
  })
  return new Promise((resolve) => socket.on('close', () => resolve({ bytes: Buffer.concat(chunks), error })))
}

describe('the TCP proxy', () => {
  const bytes = pseudoRandomBytes(3_000_000)
  let echo: Server
  let target: Address

  beforeEach(async () => {
    echo = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy())
      socket.pipe(socket)
    })
    target = await listening(echo)
  })

  afterEach(() => {
    echo.close()
  })

  it('passes bytes and ends of both directions', async () => {
    const proxy = await startTCPProxy(target)
    const socket = connect(proxy)
    socket.end(bytes)
    expect((await outcome(socket)).bytes.equals(bytes)).toBe(true)
    expect(proxy.passed).toEqual({ up: bytes.length, down: bytes.length })
    await proxy.stop()
  })

  it('keeps the order under latency, a narrow window and a rate', async () => {
    const flow = { latencyMs: 10, window: 100_000, bytesPerSecond: 20_000_000 }
    const proxy = await startTCPProxy(target, () => ({ up: flow, down: flow }))
    const begun = performance.now()
    const socket = connect(proxy)
    socket.end(bytes)
    expect((await outcome(socket)).bytes.equals(bytes)).toBe(true)
    expect(performance.now() - begun).toBeGreaterThan(160)
    await proxy.stop()
  })

  it('cuts a connection at the byte, and only those of the plan', async () => {
    const proxy = await startTCPProxy(target, (n) => (n === 0 ? { down: { cutAfter: 1_234_567 } } : {}))
    const first = connect(proxy)
    first.end(bytes)
    expect((await outcome(first)).bytes.equals(bytes.subarray(0, 1_234_567))).toBe(true)
    const second = connect(proxy)
    second.end(bytes)
    expect((await outcome(second)).bytes).toHaveLength(bytes.length)
    expect(proxy.connections).toBe(2)
    await proxy.stop()
  })

  it('refuses, stalls and cuts all', async () => {
    const proxy = await startTCPProxy(target, (n) => (n === 0 ? { refuse: true } : { up: { stallAfter: 5 } }))
    expect(await outcome(connect(proxy))).toMatchObject({ error: 'ECONNRESET' })
    const socket = connect(proxy)
    socket.write('0123456789')
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('01234')
    const rest = outcome(socket)
    proxy.cutAll()
    expect(await rest).toMatchObject({ error: 'ECONNRESET', bytes: Buffer.alloc(0) })
    await proxy.stop()
  })
})

describe('the HTTP proxy', () => {
  let server: http.Server
  let target: Address
  let served: number

  beforeEach(async () => {
    served = 0
    server = http.createServer(async (request, response) => {
      const body = await text(request).catch(() => undefined)
      if (body === undefined) return
      served++
      response.end(`${request.method} ${request.url} ${request.headers.host} ${body}`)
    })
    target = await listening(server)
  })

  afterEach(() => {
    server.closeAllConnections()
    server.close()
  })

  const post = async (address: Address, body = 'body') => {
    const url = `http://${address.host}:${address.port}/a?b=c`
    const response = await fetch(url, { method: 'POST', body, headers: { connection: 'close' } })
    return { status: response.status, body: await response.text() }
  }

  it('passes requests as they are', async () => {
    const proxy = await startHTTPProxy(target)
    const host = `${proxy.host}:${proxy.port}`
    expect(await post(proxy)).toEqual({ status: 200, body: `POST /a?b=c ${host} body` })
    expect(proxy.requests).toMatchObject([{ method: 'POST', path: '/a' }])
    expect(proxy.requests[0]?.query.get('b')).toBe('c')
    expect(proxy.peak).toBe(1)
    await proxy.stop()
  })

  it('answers by itself as often as it is told', async () => {
    const proxy = await startHTTPProxy(target)
    proxy.use(firstRequests(2, () => true, { type: 'answer', status: 503, body: 'busy' }))
    expect(await post(proxy)).toEqual({ status: 503, body: 'busy' })
    expect(await post(proxy)).toEqual({ status: 503, body: 'busy' })
    expect(served).toBe(0)
    expect((await post(proxy)).status).toBe(200)
    await proxy.stop()
  })

  it('loses the answer of what was done', async () => {
    const proxy = await startHTTPProxy(target)
    proxy.use(firstRequests(1, () => true, { type: 'loseAnswer' }))
    await expect(post(proxy)).rejects.toThrow('fetch failed')
    expect(served).toBe(1)
    await proxy.stop()
  })

  it('cuts a request, and the server does not see it whole', async () => {
    const proxy = await startHTTPProxy(target)
    proxy.use(firstRequests(1, () => true, { type: 'cutRequest', after: 100_000 }))
    await expect(post(proxy, 'x'.repeat(2_000_000))).rejects.toThrow('fetch failed')
    expect(served).toBe(0)
    await proxy.stop()
  })

  it('cuts an answer, or holds it', async () => {
    const proxy = await startHTTPProxy(target)
    proxy.use(firstRequests(1, () => true, { type: 'cutAnswer', after: 3 }))
    await expect(post(proxy)).rejects.toThrow()
    proxy.use(firstRequests(1, () => true, { type: 'stall' }))
    const pending = post(proxy).catch(() => 'cut')
    await waitFor('the request', 5_000, async () => (proxy.requests.length === 2 ? true : undefined))
    await proxy.stop()
    expect(await pending).toBe('cut')
  })
})

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { isTransient } from '../../../../src/operator/manager/apierror.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { cut, type FakeServer, hang, json, startFakeServer, status } from './fakeserver.ts'

let server: FakeServer
let rest: RestClient
let observed: string[]

beforeEach(async () => {
  server = await startFakeServer()
  observed = []
  rest = new RestClient({
    access: server.access,
    userAgent: 'test/1',
    random: () => 0,
    observe: ({ code, method }) => observed.push(`${method} ${code}`),
  })
})

afterEach(async () => {
  rest.close()
  await server.close()
})

describe('RestClient.json', () => {
  it('sends path, query, headers and body, below the path of the server', async () => {
    server.answer(json(201, { ok: true }))
    const answer = await rest.json({
      method: 'POST',
      path: '/api/v1/pods',
      query: { limit: 5, dryRun: 'All', left: undefined },
      body: { a: 1 },
      contentType: 'application/merge-patch+json',
    })
    expect(answer).toEqual({ ok: true })
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      url: '/base/api/v1/pods?limit=5&dryRun=All',
      headers: {
        authorization: 'Bearer token',
        'user-agent': 'test/1',
        accept: 'application/json',
        'content-type': 'application/merge-patch+json',
      },
      body: { a: 1 },
    })
    expect(observed).toEqual(['POST 201'])
  })

  it('throws the status of a refusal, and the request it was', async () => {
    server.answer(status(404, 'NotFound', 'jobs.batch "x" not found'))
    await expect(rest.json({ method: 'GET', path: '/apis/batch/v1/jobs/x' })).rejects.toMatchObject({
      code: 'KUBERNETES_API',
      statusCode: 404,
      reason: 'NotFound',
      message: 'GET /apis/batch/v1/jobs/x: 404 jobs.batch "x" not found',
    })
    expect(server.requests).toHaveLength(1)
  })

  it("shows the words of a proxy that does not speak the API's", async () => {
    server.answer((response) => response.writeHead(403).end('<html>blocked</html>'))
    await expect(rest.json({ method: 'GET', path: '/x' })).rejects.toThrow('GET /x: 403 <html>blocked</html>')
  })

  it.each([
    ['429', status(429, 'TooManyRequests', 'slow down', { 'retry-after': '0' })],
    ['503', status(503, 'ServiceUnavailable')],
    ['a cut connection', cut],
  ])('tries a GET again after %s', async (_, failure) => {
    server.answer(failure, failure, json(200, { ok: true }))
    expect(await rest.json({ method: 'GET', path: '/x' })).toEqual({ ok: true })
    expect(server.requests).toHaveLength(3)
  })

  it('waits as long as Retry-After says', async () => {
    server.answer(status(429, 'TooManyRequests', 'slow down', { 'retry-after': '1' }), json(200, {}))
    const startedAt = performance.now()
    await rest.json({ method: 'GET', path: '/x' })
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990)
  })

  it('fails at once when the server asks for a longer wait than a work queue should sit through', async () => {
    server.answer(status(429, 'TooManyRequests', 'slow down', { 'retry-after': '31' }))
    await expect(rest.json({ method: 'GET', path: '/x' })).rejects.toMatchObject({ retryAfterSeconds: 31 })
    expect(server.requests).toHaveLength(1)
  })

  it.each([
    ['503', status(503, 'ServiceUnavailable')],
    ['a cut connection', cut],
  ])('does not repeat a POST after %s: it may have been done', async (_, failure) => {
    server.answer(failure, json(201, {}))
    await expect(rest.json({ method: 'POST', path: '/x', body: {} })).rejects.toMatchObject({ name: 'ApiError' })
    expect(server.requests).toHaveLength(1)
  })

  it('repeats a POST after 429, which comes before the request is looked at', async () => {
    server.answer(status(429, 'TooManyRequests'), json(201, { ok: true }))
    expect(await rest.json({ method: 'POST', path: '/x', body: {} })).toEqual({ ok: true })
  })

  it('gives up after four repetitions, with the last failure', async () => {
    server.answer(status(503, 'ServiceUnavailable', 'etcd is away'))
    await expect(rest.json({ method: 'GET', path: '/x' })).rejects.toThrow('etcd is away')
    expect(server.requests).toHaveLength(5)
  })

  it('does not repeat anything when told so', async () => {
    server.answer(status(503, 'ServiceUnavailable'))
    await expect(rest.json({ method: 'GET', path: '/x', retry: false })).rejects.toMatchObject({ statusCode: 503 })
    expect(server.requests).toHaveLength(1)
  })

  it('bounds the wait for an answer that does not come', async () => {
    server.answer(hang)
    const waiting = rest.json({ method: 'GET', path: '/x', timeoutMs: 50, retry: false })
    await expect(waiting).rejects.toMatchObject({ statusCode: undefined, reason: 'NoAnswer' })
    await expect(waiting).rejects.toThrow('GET /x: no answer within 50 ms')
    await expect(waiting.catch(isTransient)).resolves.toBe(true)
  })

  it('bounds the wait for the rest of an answer, too', async () => {
    server.answer((response) => response.writeHead(200).write('{'))
    await expect(rest.json({ method: 'GET', path: '/x', timeoutMs: 50, retry: false })).rejects.toThrow('no answer')
  })

  it("throws the signal's own reason when it is aborted, and does not repeat", async () => {
    server.answer(hang)
    const stop = new AbortController()
    const reason = new Error('stopped')
    const waiting = rest.json({ method: 'GET', path: '/x', signal: stop.signal })
    setImmediate(() => stop.abort(reason))
    await expect(waiting).rejects.toBe(reason)
    await expect(rest.json({ method: 'GET', path: '/x', signal: stop.signal })).rejects.toBe(reason)
    expect(server.requests.length).toBeLessThanOrEqual(1)
  })

  it('names a server that cannot be reached, and tries again even a POST', async () => {
    await server.close()
    await expect(rest.json({ method: 'POST', path: '/x', body: {} })).rejects.toThrow(
      /^POST \/x: no answer: .*ECONNREFUSED/,
    )
    expect(observed).toEqual(Array.from({ length: 5 }, () => 'POST <error>'))
    server = await startFakeServer()
  })

  it('says what is wrong with a kubeconfig without context', async () => {
    const lost = new RestClient({ access: { ...server.access, getCurrentCluster: () => null } })
    await expect(lost.json({ method: 'GET', path: '/x' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('RestClient.stream', () => {
  it('outlives the time-out once it has begun', async () => {
    server.answer((response) => {
      response.writeHead(200).write('first ')
      setTimeout(() => response.end('last'), 150)
    })
    const { signal } = new AbortController()
    const stream = await rest.stream({ method: 'GET', path: '/log', timeoutMs: 50, signal })
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    expect(text).toBe('first last')
  })

  it('bounds the wait for its beginning', async () => {
    server.answer(hang)
    const { signal } = new AbortController()
    const waiting = rest.stream({ method: 'GET', path: '/log', timeoutMs: 50, signal, retry: false })
    await expect(waiting).rejects.toThrow('no answer within 50 ms')
  })

  it('ends with its signal while it is read', async () => {
    server.answer((response) => response.writeHead(200).write('x'))
    const stop = new AbortController()
    const stream = await rest.stream({ method: 'GET', path: '/log', signal: stop.signal })
    const reading = (async () => {
      for await (const _ of stream) stop.abort()
    })()
    await expect(reading).rejects.toThrow()
    expect(stream.destroyed).toBe(true)
  })

  it('does not begin when its signal is aborted', async () => {
    const waiting = rest.stream({ method: 'GET', path: '/log', signal: AbortSignal.abort('stopped') })
    await expect(waiting).rejects.toBe('stopped')
    expect(server.requests).toHaveLength(0)
  })
})

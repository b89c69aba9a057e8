import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Counter, Registry } from 'prom-client'
import { HealthServer } from '../../../../src/operator/manager/healthz.ts'

let server: HealthServer
let registry: Registry
let base: string

beforeEach(async () => {
  registry = new Registry()
  server = new HealthServer({ host: '127.0.0.1', port: 0, registry })
  base = `http://127.0.0.1:${await server.listen()}`
})

afterEach(async () => {
  await server.close()
})

async function get(path: string, method = 'GET'): Promise<{ code: number; text: string; type: string | null }> {
  const response = await fetch(base + path, { method })
  return { code: response.status, text: await response.text(), type: response.headers.get('content-type') }
}

describe('HealthServer', () => {
  it('is healthy and ready without checks', async () => {
    expect(await get('/healthz')).toMatchObject({ code: 200, text: 'ok' })
    expect(await get('/readyz')).toMatchObject({ code: 200, text: 'ok' })
  })

  it('fails when one check fails, and names it', async () => {
    server.addHealthCheck('queue', () => undefined)
    server.addHealthCheck('watch', () => new Error('silent for 400 s'))
    expect(await get('/healthz')).toMatchObject({
      code: 503,
      text: '[+]queue ok\n[-]watch failed: silent for 400 s\nhealthz check failed',
    })
    expect(await get('/readyz')).toMatchObject({ code: 200 })
  })

  it('takes a check that throws for one that fails', async () => {
    server.addReadyCheck('broken', () => {
      throw new TypeError('oops')
    })
    expect(await get('/readyz')).toMatchObject({ code: 503, text: expect.stringContaining('[-]broken failed: oops') })
  })

  it('answers for one check by name, and lists all when asked', async () => {
    server.addHealthCheck('queue', () => undefined)
    server.addHealthCheck('watch', () => new Error('silent'))
    expect(await get('/healthz/queue')).toMatchObject({ code: 200, text: 'ok' })
    expect(await get('/healthz/watch')).toMatchObject({ code: 503 })
    expect(await get('/healthz/nothing')).toMatchObject({ code: 404 })
    expect(await get('/healthz/queue?verbose')).toMatchObject({ text: '[+]queue ok\nhealthz check passed' })
  })

  it('serves the metrics in the format that Prometheus asks for', async () => {
    new Counter({ name: 'things_total', help: 'Things', registers: [registry] }).inc(3)
    const { code, text, type } = await get('/metrics')
    expect(code).toBe(200)
    expect(text).toContain('things_total 3')
    expect(type).toContain('version=0.0.4')
  })

  it('knows nothing else', async () => {
    expect(await get('/')).toMatchObject({ code: 404 })
    expect(await get('/debug/pprof')).toMatchObject({ code: 404 })
    expect(await get('/healthz', 'POST')).toMatchObject({ code: 405 })
  })

  it('rejects when its port is taken', async () => {
    const second = new HealthServer({ host: '127.0.0.1', port: Number(new URL(base).port), registry })
    await expect(second.listen()).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await second.close()
  })

  it('closes although a client keeps its connection, in the middle of a request', async () => {
    const client = connect(Number(new URL(base).port), '127.0.0.1')
    await new Promise((resolve) => client.write('GET /healthz HTTP/1.1\r\n', resolve))
    await get('/healthz')
    await server.close()
    client.destroy()
    await expect(get('/healthz')).rejects.toThrow()
  })
})

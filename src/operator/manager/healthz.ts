import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { errorMessage } from '../../errors.ts'

/** Returns (or throws) an error when what it checks is not well. */
export type Check = () => Error | undefined

export interface HealthServerOptions {
  /** Every address when not given: IPv6 and IPv4, or IPv4 alone on a node without IPv6. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  readonly registry: Registry
}

/**
 * `/healthz` (the process works: the kubelet restarts it when not), `/readyz` (it can do its work, now or as a standby)
 * and `/metrics`. Each check can be asked for by name (`/healthz/queue-dumps`); `?verbose` lists them, as the API
 * server does it.
 */
export class HealthServer {
  readonly #options: HealthServerOptions
  readonly #server: Server
  readonly #checks = { healthz: new Map<string, Check>(), readyz: new Map<string, Check>() }

  constructor(options: HealthServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => reply(response, 500, errorMessage(error)))
    })
  }

  addHealthCheck(name: string, check: Check): void {
    this.#checks.healthz.set(name, check)
  }

  addReadyCheck(name: string, check: Check): void {
    this.#checks.readyz.set(name, check)
  }

  /** Listens; the port. */
  async listen(): Promise<number> {
    this.#server.listen(this.#options.port, this.#options.host)
    await once(this.#server, 'listening')
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : this.#options.port
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const [, endpoint, name] = url.pathname.split('/')
    if (request.method !== 'GET' && request.method !== 'HEAD') return reply(response, 405, 'method not allowed')
    if (endpoint === 'metrics' && name === undefined) {
      const { registry } = this.#options
      return reply(response, 200, await registry.metrics(), registry.contentType)
    }
    if (endpoint !== 'healthz' && endpoint !== 'readyz') return reply(response, 404, 'not found')
    const checks = [...this.#checks[endpoint]].filter(([check]) => name === undefined || check === name)
    if (name !== undefined && checks.length === 0) return reply(response, 404, 'no such check')
    answerChecks(response, endpoint, checks, url.searchParams.has('verbose'))
  }
}

function answerChecks(
  response: ServerResponse,
  endpoint: string,
  checks: readonly (readonly [string, Check])[],
  verbose: boolean,
): void {
  const results = checks.map(([name, check]) => ({ name, failure: failureOf(check) }))
  const failed = results.some(({ failure }) => failure !== undefined)
  const lines = results.map(({ name, failure }) =>
    failure === undefined ? `[+]${name} ok` : `[-]${name} failed: ${failure}`,
  )
  const listing = [...lines, `${endpoint} check ${failed ? 'failed' : 'passed'}`].join('\n')
  reply(response, failed ? 503 : 200, failed || verbose ? listing : 'ok')
}

function failureOf(check: Check): string | undefined {
  try {
    return check()?.message
  } catch (error) {
    return errorMessage(error)
  }
}

function reply(response: ServerResponse, statusCode: number, body: string, contentType = 'text/plain'): void {
  response.writeHead(statusCode, { 'content-type': contentType })
  response.end(body)
}

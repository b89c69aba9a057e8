import { request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import { errorCode, errorMessage, PgpackError } from '../../errors.ts'
import type { ClusterAccess } from './access.ts'
import { ApiError, isTransient, type Status } from './apierror.ts'
import { type Clock, createDeadline, jitteredBackoff, sleep, systemClock } from './clock.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** For one attempt, until the whole answer is read. Default {@link REQUEST_TIMEOUT_MS}. */
  readonly timeoutMs?: number
  /** Default true: transient failures are tried again where that is safe. */
  readonly retry?: boolean
}

export interface RestRequest extends CallOptions {
  readonly method: Method
  readonly path: string
  readonly query?: Query
  readonly body?: unknown
  /** Of the body. Default application/json. */
  readonly contentType?: string
}

/** Told of every answer (or failure, code `<error>`), and of the seconds until its head was there. */
export type RequestObserver = (request: { code: string; method: Method; host: string }, seconds: number) => void

export interface RestClientOptions {
  readonly access: ClusterAccess
  readonly userAgent?: string
  readonly clock?: Clock
  readonly random?: () => number
  readonly observe?: RequestObserver
}

export const REQUEST_TIMEOUT_MS = 15_000
const MAX_RETRIES = 4
const RETRY_BASE_MS = 200
/** A server that asks for more than this gets an error to its caller, whose work queue backs off by itself. */
const MAX_RETRY_AFTER_MS = 30_000
/** Finds a peer that went away without a FIN, before the kernel's two hours. */
const TCP_KEEPALIVE_MS = 30_000
/** The API server closes an idle connection after 90 s; a POST on one that it is just closing would be lost. */
const IDLE_CONNECTION_MS = 60_000
/** Failures before a byte was sent: even a POST is safe to repeat. */
const NEVER_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

/**
 * Requests to the API server over node:https, with the JSON of the wire in both directions. It exists beside
 * client-node's generated clients because those have neither timeout nor retry nor paging, and turn times into Date in
 * some answers only (kubernetes-conventions.md, "client-node 2.x, seen").
 */
export class RestClient {
  readonly #access: ClusterAccess
  readonly #agent = new Agent({ keepAlive: true, timeout: IDLE_CONNECTION_MS })
  readonly #userAgent: string
  readonly #clock: Clock
  readonly #random: () => number
  readonly #observe: RequestObserver

  constructor(options: RestClientOptions) {
    this.#access = options.access
    this.#userAgent = options.userAgent ?? 'pgpack-operator'
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
    this.#observe = options.observe ?? (() => undefined)
  }

  /**
   * The answer's JSON. The caller names its type, as the API's documentation has it.
   * @throws ApiError when the server refuses or does not answer; the signal's reason when it is aborted.
   */
  async json<T>(request: RestRequest): Promise<T> {
    return this.#retrying(request, async () => {
      const deadline = this.#deadline(request)
      try {
        const response = await this.#open(request, deadline.signal)
        return JSON.parse(await readText(response)) as T
      } catch (error) {
        throw this.#failure(request, error, deadline.signal)
      } finally {
        deadline.release()
      }
    })
  }

  /**
   * An answer that goes on, such as a watch or a log. The time-out covers the answer's head only; from then on the
   * caller's signal ends it.
   * @throws ApiError, as {@link json}
   */
  async stream(request: RestRequest & { readonly signal: AbortSignal }): Promise<IncomingMessage> {
    return this.#retrying(request, async () => {
      const connect = new AbortController()
      const cancel = this.#clock.setTimeout(
        () => connect.abort(noAnswerInTime(request)),
        request.timeoutMs ?? REQUEST_TIMEOUT_MS,
      )
      const follow = (): void => connect.abort(request.signal.reason)
      request.signal.addEventListener('abort', follow)
      try {
        request.signal.throwIfAborted()
        const response = await this.#open(request, connect.signal)
        response.once('close', () => request.signal.removeEventListener('abort', follow))
        return response
      } catch (error) {
        request.signal.removeEventListener('abort', follow)
        throw this.#failure(request, error, connect.signal)
      } finally {
        cancel()
      }
    })
  }

  /** Closes the idle connections. */
  close(): void {
    this.#agent.destroy()
  }

  async #retrying<T>(request: RestRequest, attempt: () => Promise<T>): Promise<T> {
    for (let retries = 0; ; retries++) {
      try {
        return await attempt()
      } catch (error) {
        const wait = request.retry === false ? undefined : this.#retryDelay(request, error, retries)
        if (wait === undefined) throw error
        await sleep(this.#clock, wait, request.signal)
        request.signal?.throwIfAborted()
      }
    }
  }

  /** Milliseconds until the next attempt, or undefined when there must be none. */
  #retryDelay(request: RestRequest, error: unknown, retries: number): number | undefined {
    if (retries >= MAX_RETRIES || !isTransient(error)) return undefined
    // 429 comes from priority and fairness before the request is looked at
    const untouched = error.statusCode === 429 || NEVER_CONNECTED.has(errorCode(error.cause) ?? '')
    if (request.method === 'POST' && !untouched) return undefined
    const asked = (error.retryAfterSeconds ?? 0) * 1000
    if (asked > MAX_RETRY_AFTER_MS) return undefined
    return Math.max(asked, jitteredBackoff(retries, RETRY_BASE_MS, MAX_RETRY_AFTER_MS, this.#random))
  }

  #deadline(request: RestRequest) {
    request.signal?.throwIfAborted()
    const timeoutMs = request.timeoutMs ?? REQUEST_TIMEOUT_MS
    return createDeadline(this.#clock, timeoutMs, () => noAnswerInTime(request), request.signal)
  }

  /** The head of a 2xx answer. */
  async #open(request: RestRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const cluster = this.#access.getCurrentCluster()
    if (cluster === null)
      throw new PgpackError('CONFIG_INVALID', 'the kubeconfig has no current cluster: set a context')
    const url = urlOf(cluster.server, request)
    const payload = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body))
    const options = await this.#options(request, payload, cluster.proxyUrl !== undefined)
    signal.throwIfAborted()
    const sentAt = this.#clock.now()
    const observe = (code: string): void => {
      this.#observe({ code, method: request.method, host: url.host }, (this.#clock.now() - sentAt) / 1000)
    }
    const response = await send(url, { ...options, signal }, payload).catch((error: unknown) => {
      observe('<error>')
      throw error
    })
    observe(String(response.statusCode))
    if (response.statusCode !== undefined && response.statusCode >= 200 && response.statusCode < 300) return response
    throw await refusal(request, response)
  }

  async #options(request: RestRequest, payload: Buffer | undefined, behindProxy: boolean): Promise<RequestOptions> {
    const options: RequestOptions = { method: request.method }
    await this.#access.applyToHTTPSOptions(options)
    // KubeConfig's own agent closes the connection after each request; behind a proxy it is the one that knows the way
    if (!behindProxy) delete options.agent
    options.headers = { ...options.headers, accept: 'application/json', 'user-agent': this.#userAgent }
    if (payload !== undefined) {
      const contentType = request.contentType ?? 'application/json'
      // Node frames a DELETE's body neither way by itself, and the server would take it for the next request
      options.headers = { ...options.headers, 'content-type': contentType, 'content-length': payload.length }
    }
    return behindProxy ? options : { agent: this.#agent, ...options }
  }

  /** What is thrown: the caller's abort reason as it is, everything else as an ApiError. */
  #failure(request: RestRequest, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason
    if (error instanceof ApiError || error instanceof PgpackError) return error
    // Node's AggregateError of a failed connection to several addresses has a code and no message
    const found = errorMessage(error) || errorCode(error)
    return new ApiError(`no answer: ${found}`, { request: nameOf(request), cause: error })
  }
}

/** Connects, sends, and waits for the answer's head. */
function send(url: URL, options: RequestOptions, payload: Buffer | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // Plain http is for a local proxy and for tests; node's https agent would refuse it
    const request =
      url.protocol === 'http:'
        ? httpRequest(url, { ...options, agent: undefined }, resolve)
        : httpsRequest(url, options, resolve)
    request.on('error', reject)
    request.setSocketKeepAlive(true, TCP_KEEPALIVE_MS)
    request.end(payload)
  })
}

async function refusal(request: RestRequest, response: IncomingMessage): Promise<ApiError> {
  const text = await readText(response)
  const options = {
    request: nameOf(request),
    statusCode: response.statusCode,
    retryAfterSeconds: secondsOf(response.headers['retry-after']),
  }
  const status = parseStatus(text)
  // A proxy in between answers in its own words
  if (status === undefined) return new ApiError(`${response.statusCode} ${text.slice(0, 200)}`, options)
  return ApiError.fromStatus(status, options)
}

function parseStatus(text: string): Status | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text) as Status
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function urlOf(server: string, request: RestRequest): URL {
  const url = new URL(server.replace(/\/+$/, '') + request.path)
  for (const [key, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(key, String(value))
  }
  return url
}

function nameOf(request: RestRequest): string {
  return `${request.method} ${request.path}`
}

function noAnswerInTime(request: RestRequest): ApiError {
  return new ApiError(`no answer within ${request.timeoutMs ?? REQUEST_TIMEOUT_MS} ms`, { request: nameOf(request) })
}

function secondsOf(header: string | undefined): number | undefined {
  const seconds = Number(header ?? Number.NaN)
  return Number.isFinite(seconds) ? seconds : undefined
}

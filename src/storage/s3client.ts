import { createHash } from 'node:crypto'
import * as http from 'node:http'
import * as https from 'node:https'
import { PgpackError } from '../errors.ts'
import { type Logger, silentLogger } from '../log.ts'
import { VERSION } from '../version.ts'
import { S3Failure, type StoreContext, storeError } from './errors.ts'
import { joinKey } from './keys.ts'
import { DEFAULT_RETRIES, type RetryHooks, type RetryPolicy, retrying } from './retry.ts'
import { addressOf } from './s3address.ts'
import { escapeQuery, signedHeaders } from './s3sign.ts'
import { type CallOptions, parseFailure, readText, send } from './s3transport.ts'

export interface S3Options {
  /** `https://host[:port]` or `http://host[:port]`. */
  readonly endpoint: string
  readonly bucket: string
  /** Key prefix, without slashes at its ends; '' for none. */
  readonly prefix: string
  /** Learned from the server's first refusal when not given. */
  readonly region?: string
  /** `endpoint/bucket/key` (true), or `bucket.endpoint/key`. */
  readonly forcePathStyle: boolean
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** Replaces the system's certificate authorities. */
  readonly caPem?: string
}

/** What tests own: time and chance; and where retries are told. */
export interface S3Dependencies {
  readonly retries?: RetryPolicy
  /** Milliseconds without a byte either way before a request counts as lost; 60,000 when not given. */
  readonly idleTimeoutMs?: number
  readonly log?: Logger
}

export interface S3Request extends CallOptions {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Below the store's prefix; the bucket itself when not given. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: S3Body
}

/** What a request sends; it is kept until the request has been answered. */
export interface S3Body {
  readonly blocks: readonly Buffer[]
  /** Bytes of all blocks. */
  readonly size: number
  /** Hexadecimal. */
  readonly sha256: string
}

/** How requests have to be, as far as the server has told. */
interface Manners {
  readonly region: string
  readonly contentMD5: boolean
}

/** Answers in XML are at most 1000 entries of about 1.5 KiB. */
const MAX_XML_BYTES = 16 * 1024 * 1024

const USER_AGENT = `pgpack-operator/${VERSION}`

const EMPTY_BODY = bodyOf(Buffer.alloc(0))

/**
 * Requests to one bucket: addressed, signed, and sent through our own agent, timeouts and retries.
 *
 * Integrity of what is sent: every body's SHA-256 is in the signature (`x-amz-content-sha256`, AWS Signature Version 4),
 * on https too. It is the one checksum that every S3 server that checks signatures must check, old or not by AWS; the
 * newer `x-amz-checksum-*` headers and trailers are refused by several. It also costs less than half of Content-MD5
 * where the CPU has SHA instructions. Content-MD5 is added once a server asks for it, as buckets with object lock do.
 */
export class S3Client {
  /** `s3://bucket/prefix`. */
  readonly location: string
  readonly retries: RetryPolicy
  readonly log: Logger
  readonly #options: S3Options
  readonly #endpoint: URL
  readonly #agent: http.Agent
  readonly #idleTimeoutMs: number
  #manners: Manners
  #latencyMs = Number.POSITIVE_INFINITY

  constructor(options: S3Options, dependencies: S3Dependencies = {}) {
    const { retries = DEFAULT_RETRIES, log = silentLogger, idleTimeoutMs = 60_000 } = dependencies
    this.#options = options
    this.#idleTimeoutMs = idleTimeoutMs
    this.#endpoint = parseEndpoint(options.endpoint)
    checkBucket(options.bucket)
    this.#manners = { region: options.region ?? 'us-east-1', contentMD5: false }
    this.location = `s3://${options.bucket}${options.prefix === '' ? '' : `/${options.prefix}`}`
    this.retries = retries
    this.log = log
    const settings = { keepAlive: true, maxFreeSockets: 16, scheduling: 'lifo' as const }
    this.#agent = this.#secure
      ? new https.Agent({ ...settings, ...(options.caPem === undefined ? {} : { ca: options.caPem }) })
      : new http.Agent(settings)
  }

  get #secure(): boolean {
    return this.#endpoint.protocol === 'https:'
  }

  /** Milliseconds to the answer of a request without a body, the least that was seen; 0 before any was. */
  get latencyMs(): number {
    return Number.isFinite(this.#latencyMs) ? this.#latencyMs : 0
  }

  /** For messages: `action` in the words of "cannot …". */
  context(action: string, signal?: AbortSignal): StoreContext {
    const where = `${this.location} at ${this.#endpoint.origin}`
    return signal === undefined ? { action, where } : { action, where, signal }
  }

  /**
   * Sends the request until it is answered with 2xx and `consume` has read the answer; `consume` must read it to its
   * end. A function gives each attempt a request of its own. Throws what the last attempt threw: an S3Failure, or the
   * socket's error.
   */
  async call<T>(
    request: S3Request | (() => S3Request),
    consume: (response: http.IncomingMessage, failures: number) => Promise<T>,
    hooks: RetryHooks = {},
    retries = this.retries,
  ): Promise<T> {
    const current = typeof request === 'function' ? request : () => request
    const { method, key, signal } = current()
    const onRetry = (error: unknown, failures: number, delayMs: number) => {
      this.log.warn({ method, key, failures, delayMs, err: error }, 'request to the store failed, sending it again')
      hooks.onRetry?.(error, failures, delayMs)
    }
    const attempt = async (failures: number) => consume(await this.#adapting(current()), failures)
    return retrying(attempt, retries, signal, { ...hooks, onRetry })
  }

  /** The answer as text. An error document in a 200, as after CompleteMultipartUpload, is thrown as what it is. */
  text(request: S3Request, hooks: RetryHooks = {}, retries = this.retries): Promise<string> {
    const consume = async (response: http.IncomingMessage) => {
      const xml = await readText(response, MAX_XML_BYTES)
      // Such an answer had begun before the error was known, so its status says nothing: it counts as a 500.
      if (/<Error[\s>]/.test(xml) && !xml.includes('<DeleteResult')) throw this.#scrub(parseFailure(xml, 500))
      return xml
    }
    return this.call(request, consume, hooks, retries)
  }

  /** @throws PgpackError STORE_NO_OBJECT */
  async head(key: string, signal: AbortSignal): Promise<{ size: number; etag: string | undefined }> {
    try {
      return await this.call({ method: 'HEAD', key, signal }, async (response) => {
        await readText(response, 0)
        return { size: Number(response.headers['content-length']), etag: response.headers.etag }
      })
    } catch (error) {
      throw storeError(error, this.context(`find ${key}`, signal))
    }
  }

  /** The key in the bucket, prefix included. */
  fullKey(key: string): string {
    return joinKey(this.#options.prefix, key)
  }

  /** Cuts every connection. */
  close(): void {
    this.#agent.destroy()
  }

  /** Sends once; again, at once, after a refusal that told (this request, or another meanwhile) how it has to be. */
  async #adapting(request: S3Request): Promise<http.IncomingMessage> {
    const manners = this.#manners
    try {
      return await this.#send(request, manners)
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error
      if (this.#manners === manners) this.#manners = this.#learn(error)
      if (this.#manners === manners) throw this.#scrub(error)
    }
    return this.#send(request, this.#manners)
  }

  #send(request: S3Request, { region, contentMD5 }: Manners): Promise<http.IncomingMessage> {
    const { method, query = {}, body } = request
    const { blocks, sha256 } = body ?? EMPTY_BODY
    const key = request.key === undefined ? undefined : this.fullKey(request.key)
    const place = { ...this.#options, endpoint: this.#endpoint }
    const { host, path, ...target } = addressOf(place, region, key)
    const search = encodeQuery(query)
    const headers = { host, 'user-agent': USER_AGENT, ...requestHeaders(request, contentMD5) }
    const signable = { method, path, query: search, headers, sha256 }
    const options = {
      ...target,
      agent: this.#agent,
      method,
      path: search === '' ? path : `${path}?${search}`,
      headers: signedHeaders(signable, this.#options, region, new Date()),
    }
    const onAnswer = (ms: number) => {
      // An answer that comes before the request was sent in full is NaN away.
      if (ms < this.#latencyMs) this.#latencyMs = ms
    }
    const heard = body === undefined ? { onAnswer } : {}
    const call = { idleTimeoutMs: this.#idleTimeoutMs, ...request, ...heard }
    return send({ secure: this.#secure, options, blocks, call })
  }

  /** What the failure told; the same manners when it told nothing new. */
  #learn({ region, status, message }: S3Failure): Manners {
    const manners = this.#manners
    if (this.#options.region === undefined && region && region !== manners.region) return { ...manners, region }
    const wantsMD5 = status === 400 && !manners.contentMD5 && /content-md5/i.test(message)
    return wantsMD5 ? { ...manners, contentMD5: true } : manners
  }

  /** Some servers repeat the access key in their message. */
  #scrub(failure: S3Failure): S3Failure {
    const { accessKeyId, secretAccessKey, sessionToken } = this.#options
    for (const secret of [accessKeyId, secretAccessKey, sessionToken]) {
      if (secret) failure.message = failure.message.replaceAll(secret, '***')
    }
    return failure
  }
}

function requestHeaders({ method, headers, body = EMPTY_BODY }: S3Request, wantsMD5: boolean): Record<string, string> {
  const hasBody = method === 'PUT' || method === 'POST'
  return {
    ...headers,
    ...(hasBody ? { 'content-length': String(body.size) } : {}),
    ...(hasBody && wantsMD5 ? { 'content-md5': contentMD5(body.blocks) } : {}),
  }
}

function encodeQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => (value === '' ? name : `${name}=${escapeQuery(value)}`))
    .join('&')
}

export function contentMD5(blocks: readonly Buffer[]): string {
  const hash = createHash('md5')
  for (const block of blocks) hash.update(block)
  return hash.digest('base64')
}

export function bodyOf(data: Buffer): S3Body {
  return { blocks: [data], size: data.length, sha256: createHash('sha256').update(data).digest('hex') }
}

/** What older and other servers take beside Amazon's names; it is part of a path or of a host's name as it is. */
function checkBucket(bucket: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(bucket)) return
  const expected = 'letters, digits, ".", "_" and "-", a letter or digit first'
  const found = JSON.stringify(bucket)
  throw new PgpackError('CONFIG_INVALID', `${found} is no name of a bucket, which has ${expected}`, { expected, found })
}

/** @throws PgpackError CONFIG_INVALID */
export function parseEndpoint(endpoint: string): URL {
  const expected = 'https://host[:port] or http://host[:port], without a path'
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const plain =
    url?.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  if (url !== undefined && plain && /^https?:$/.test(url.protocol)) return url
  // The text is not shown: it may hold a password, as in https://user:password@host.
  throw new PgpackError('CONFIG_INVALID', `the store's endpoint is not ${expected}`, { expected })
}

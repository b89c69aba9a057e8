import * as http from 'node:http'
import * as https from 'node:https'
import { S3Failure } from './errors.ts'
import { element } from './s3xml.ts'

/** Longest error answer that is read; what follows is cut off with its connection. */
const MAX_ERROR_BYTES = 64 * 1024

export interface CallOptions {
  readonly signal: AbortSignal
  /** Milliseconds without a byte either way, connecting included. */
  readonly idleTimeoutMs?: number
  /** Milliseconds from the request's last byte to the answer's first. */
  readonly onAnswer?: (ms: number) => void
}

const CONNECT_TIMEOUT_MS = 10_000

/** One attempt of one request. */
export interface Outgoing {
  readonly secure: boolean
  readonly options: http.RequestOptions
  /** The body; empty for none. */
  readonly blocks: readonly Buffer[]
  readonly call: CallOptions & { readonly idleTimeoutMs: number }
}

/**
 * Resolves with an answer of 2xx, whose body is still to be read. Rejects with an S3Failure for any other answer, which is
 * read first: a socket whose answer nobody reads stays taken for ever.
 * @throws S3Failure, or the socket's error
 */
export function send({ secure, options, blocks, call }: Outgoing): Promise<http.IncomingMessage> {
  const { signal, idleTimeoutMs: timeout, onAnswer } = call
  const outgoing = (secure ? https : http).request({ ...options, signal, timeout })
  outgoing.on('timeout', () => outgoing.destroy(timeoutError('nothing was heard for too long')))
  limitConnecting(outgoing)
  let sentAt = Number.NaN
  outgoing.on('finish', () => {
    sentAt = performance.now()
  })
  return new Promise((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      onAnswer?.(performance.now() - sentAt)
      const status = response.statusCode ?? 0
      if (status >= 200 && status < 300) return resolve(response)
      void readFailure(response).then((failure) => {
        reject(failure)
        // The rest of a body that nobody wants must not hold the connection.
        if (!outgoing.writableFinished) outgoing.destroy()
      })
    })
    sendBody(outgoing, blocks)
  })
}

/** Block after block, as the socket takes them: TLS makes a copy of what it has been given. */
function sendBody(outgoing: http.ClientRequest, blocks: readonly Buffer[]): void {
  let next = 0
  const sendNext = () => {
    const block = blocks[next++]
    if (outgoing.destroyed) return
    if (next >= blocks.length) outgoing.end(block)
    else outgoing.write(block, sendNext)
  }
  sendNext()
}

/** A host that drops SYNs is noticed sooner than one that works long on an answer. */
function limitConnecting(outgoing: http.ClientRequest): void {
  outgoing.once('socket', (socket) => {
    if (!socket.connecting) return
    const timer = setTimeout(() => outgoing.destroy(timeoutError('the connection was not taken')), CONNECT_TIMEOUT_MS)
    socket.once('connect', () => clearTimeout(timer))
    socket.once('close', () => clearTimeout(timer))
  })
}

function timeoutError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' })
}

/** Never rejects: an answer that is cut still has its status. */
async function readFailure(response: http.IncomingMessage): Promise<S3Failure> {
  const xml = await readText(response, MAX_ERROR_BYTES).catch((error: Error) => `<Message>${error.message}</Message>`)
  return parseFailure(xml, response.statusCode ?? 0, response.headers)
}

/** An error document (S3 API, "REST error responses"); after HEAD there is none, and MinIO's header has the code. */
export function parseFailure(xml: string, status: number, headers: http.IncomingHttpHeaders = {}): S3Failure {
  const code = element(xml, 'Code') ?? header(headers, 'x-minio-error-code') ?? ''
  const region = element(xml, 'Region') ?? header(headers, 'x-amz-bucket-region')
  const retryAfter = Number(header(headers, 'retry-after'))
  return new S3Failure(status, code, element(xml, 'Message') ?? '', {
    ...(region === undefined ? {} : { region }),
    ...(retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
  })
}

function header(headers: http.IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** A whole answer of at most `limit` bytes. */
export async function readText(response: http.IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) break
  }
  return Buffer.concat(chunks).toString()
}

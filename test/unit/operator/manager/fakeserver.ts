import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { ClusterAccess } from '../../../../src/operator/manager/access.ts'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

export type Answer = (response: ServerResponse, request: SeenRequest) => void

/** A loopback HTTP server that answers as it is told: the faults of the wire that a real API server does not show. */
export interface FakeServer {
  readonly access: ClusterAccess
  readonly requests: SeenRequest[]
  /** The next answers, one a request; after them the last one again. */
  answer(...answers: Answer[]): void
  close(): Promise<void>
}

export function json(statusCode: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(statusCode, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
}

export function status(code: number, reason: string, message = reason, headers: Record<string, string> = {}): Answer {
  return json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, headers)
}

/** Closes the connection without an answer. */
export const cut: Answer = (response) => void response.destroy()

/** Leaves the request without an answer, as a stopped server does. */
export const hang: Answer = () => undefined

export async function startFakeServer(): Promise<FakeServer> {
  const requests: SeenRequest[] = []
  let answers: Answer[] = []
  const server = createServer((request, response) => {
    void read(request).then((body) => {
      const seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body }
      requests.push(seen)
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      answer?.(response, seen)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    requests,
    access: {
      getCurrentCluster: () => ({ server: `http://127.0.0.1:${port}/base/` }),
      applyToHTTPSOptions: (options) => {
        options.headers = { ...options.headers, authorization: 'Bearer token' }
        return Promise.resolve()
      },
    },
    answer: (...next) => {
      answers = next
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function read(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return text === '' ? undefined : JSON.parse(text)
}

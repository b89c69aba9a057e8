import { once } from 'node:events'
import * as http from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

/** What happens to the bytes of one direction of one connection. */
export interface Flow {
  /** Milliseconds that every byte takes; half of what it adds to a round trip when both directions have it. */
  readonly latencyMs?: number
  /** The connection is reset once this many bytes have passed. */
  readonly cutAfter?: number
  /** Nothing passes after this many bytes, and nobody is told. */
  readonly stallAfter?: number
  readonly bytesPerSecond?: number
  /** Bytes that may be under way at once, as a TCP window bounds them; 32 MiB when not given. */
  readonly window?: number
}

/** `up` is from the client to the server. */
export interface Faults {
  readonly up?: Flow
  readonly down?: Flow
  /** Reset before the server is asked. */
  readonly refuse?: boolean
}

/** Faults by connection, counted from 0: called once for each. */
export type FaultPlan = (connection: number) => Faults

export interface TCPProxy extends Address {
  /** Applies to connections made from now on. */
  use(plan: FaultPlan): void
  /** Resets all connections of this moment. */
  cutAll(): void
  /** Bytes that have passed so far, over all connections. */
  readonly passed: { up: number; down: number }
  readonly connections: number
  stop(): Promise<void>
}

const DEFAULT_WINDOW = 32 * 1024 * 1024

/** A TCP proxy on loopback, for any protocol: PostgreSQL, HTTP, TLS. */
export async function startTCPProxy(target: Address, initialPlan: FaultPlan = () => ({})): Promise<TCPProxy> {
  let plan = initialPlan
  let connections = 0
  const passed = { up: 0, down: 0 }
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const faults = plan(connections++)
    keep(sockets, client)
    if (faults.refuse === true) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true })
    keep(sockets, upstream)
    forward(client, upstream, faults.up ?? {}, (bytes) => (passed.up += bytes))
    forward(upstream, client, faults.down ?? {}, (bytes) => (passed.down += bytes))
  })
  const port = await listen(server)
  const cutAll = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    host: '127.0.0.1',
    port,
    passed,
    cutAll,
    get connections() {
      return connections
    },
    use(next) {
      plan = next
    },
    async stop() {
      server.close()
      cutAll()
      await once(server, 'close')
    },
  }
}

function keep(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket))
}

function forward(from: Socket, to: Socket, flow: Flow, count: (bytes: number) => void): void {
  const line = new DelayLine(flow, from, () => !to.writableNeedDrain)
  const limit = Math.min(flow.cutAfter ?? Number.POSITIVE_INFINITY, flow.stallAfter ?? Number.POSITIVE_INFINITY)
  let seen = 0
  // An error of one side ends both; what it was is for the two that talk through us to find out.
  from.on('error', () => to.resetAndDestroy())
  const send = (chunk: Buffer) => {
    count(chunk.length)
    if (to.destroyed) return
    const wasFull = to.writableNeedDrain
    if (to.write(chunk) || wasFull) return
    from.pause()
    to.once('drain', () => from.resume())
  }
  const cut = () => {
    from.resetAndDestroy()
    // What was sent before the cut still arrives.
    to.destroySoon()
  }
  from.on('data', (chunk: Buffer) => {
    const piece = chunk.subarray(0, Math.max(0, limit - seen))
    seen += chunk.length
    if (piece.length > 0) line.add(piece.length, () => send(piece))
    if (flow.cutAfter !== undefined && seen >= flow.cutAfter) line.add(0, cut)
  })
  from.on('end', () => line.add(0, () => to.end()))
  from.on('close', () => line.add(0, () => to.destroySoon()))
}

/** Work that is done later, in the order in which it came; its source waits while too many bytes are under way. */
class DelayLine {
  readonly #flow: Flow
  readonly #source: Socket
  readonly #hasRoom: () => boolean
  readonly #window: number
  readonly #queue: { readonly bytes: number; readonly work: () => void }[] = []
  #bytes = 0
  #due = 0

  constructor(flow: Flow, source: Socket, hasRoom: () => boolean) {
    this.#flow = flow
    this.#source = source
    this.#hasRoom = hasRoom
    this.#window = flow.window ?? DEFAULT_WINDOW
  }

  add(bytes: number, work: () => void): void {
    const { latencyMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY } = this.#flow
    const now = performance.now()
    this.#due = Math.max(this.#due, now) + (bytes * 1000) / bytesPerSecond
    const ms = this.#due - now + latencyMs
    if (ms === 0 && this.#queue.length === 0) {
      work()
      return
    }
    this.#queue.push({ bytes, work })
    this.#bytes += bytes
    if (this.#bytes >= this.#window) this.#source.pause()
    // Timers of different lengths may fire in another order: each lets the oldest go.
    setTimeout(() => this.#next(), ms)
  }

  #next(): void {
    const entry = this.#queue.shift()
    if (entry === undefined) return
    this.#bytes -= entry.bytes
    if (this.#bytes < this.#window && this.#hasRoom()) this.#source.resume()
    entry.work()
  }
}

/** What happens to one request. Nothing: it is forwarded as it is. */
export type HTTPFault =
  /** The proxy answers; the server never sees the request. */
  | {
      readonly type: 'answer'
      readonly status: number
      readonly body?: string
      readonly headers?: http.OutgoingHttpHeaders
    }
  /** The request's body is cut after so many bytes, as is the connection on both sides. */
  | { readonly type: 'cutRequest'; readonly after: number }
  /** The server does what it is asked to, and its answer is lost with the connection. */
  | { readonly type: 'loseAnswer' }
  /** The answer's body is cut after so many bytes. */
  | { readonly type: 'cutAnswer'; readonly after: number }
  /** The request is taken and never answered. */
  | { readonly type: 'stall' }

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: http.IncomingHttpHeaders
}

/** Faults by request; a plan that counts for itself can answer `n` times. */
export type HTTPFaultPlan = (request: SeenRequest) => HTTPFault | undefined

export interface HTTPProxy extends Address {
  use(plan: HTTPFaultPlan): void
  /** Every request so far, those that were answered here included. */
  readonly requests: readonly SeenRequest[]
  /** The most requests that were here at one moment. */
  readonly peak: number
  stop(): Promise<void>
}

/** A plan that gives the fault to the first `times` requests that `matches` picks. */
export function firstRequests(
  times: number,
  matches: (request: SeenRequest) => boolean,
  fault: HTTPFault,
): HTTPFaultPlan {
  let left = times
  return (request) => (left > 0 && matches(request) && left-- > 0 ? fault : undefined)
}

/** An HTTP/1.1 proxy on loopback that knows where requests begin and end. Headers pass as they are, signatures hold. */
export async function startHTTPProxy(target: Address): Promise<HTTPProxy> {
  let plan: HTTPFaultPlan = () => undefined
  const requests: SeenRequest[] = []
  let current = 0
  let peak = 0
  const agent = new http.Agent({ keepAlive: true })
  const server = http.createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '/', 'http://proxy')
    const { method = 'GET', headers } = incoming
    const seen = { method, path: url.pathname, query: url.searchParams, headers }
    requests.push(seen)
    peak = Math.max(peak, ++current)
    outgoing.on('close', () => current--)
    relay(incoming, outgoing, { ...target, agent }, plan(seen))
  })
  const port = await listen(server)
  return {
    host: '127.0.0.1',
    port,
    requests,
    get peak() {
      return peak
    },
    use(next) {
      plan = next
    },
    async stop() {
      server.close()
      server.closeAllConnections()
      agent.destroy()
      await once(server, 'close')
    },
  }
}

function relay(
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  target: http.RequestOptions,
  fault: HTTPFault | undefined,
): void {
  if (fault?.type === 'answer') {
    answer(incoming, outgoing, fault)
    return
  }
  if (fault?.type === 'stall') {
    incoming.resume()
    return
  }
  const cut = () => incoming.socket.resetAndDestroy()
  const { method, url, rawHeaders } = incoming
  const upstream = http.request({ ...target, method, path: url, headers: rawHeaders, setDefaultHeaders: false })
  upstream.on('error', cut)
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) upstream.destroy()
  })
  pass(incoming, upstream, fault?.type === 'cutRequest' ? fault.after : undefined, () => {
    upstream.destroy()
    cut()
  })
  upstream.on('response', (response) => {
    // The server may have closed what was cut before.
    response.on('error', cut)
    if (fault?.type === 'loseAnswer') {
      response.resume().on('end', cut)
      return
    }
    outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders)
    pass(response, outgoing, fault?.type === 'cutAnswer' ? fault.after : undefined, cut)
  })
}

function answer(
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  { status, body = '', headers = {} }: Extract<HTTPFault, { type: 'answer' }>,
): void {
  incoming.resume().on('end', () => outgoing.writeHead(status, headers).end(body))
}

/** Copies a body; with `limit`, calls `cut` once so many bytes are on their way. */
function pass(from: http.IncomingMessage, to: NodeJS.WritableStream, limit: number | undefined, cut: () => void): void {
  if (limit === undefined) {
    from.pipe(to)
    return
  }
  let left = limit
  let isCut = false
  from.on('data', (chunk: Buffer) => {
    if (isCut) return
    const piece = chunk.subarray(0, left)
    left -= piece.length
    isCut = left === 0
    to.write(piece, isCut ? () => setImmediate(cut) : undefined)
  })
  from.on('end', () => {
    if (!isCut) to.end()
  })
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

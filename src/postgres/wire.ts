import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PgpackError } from '../errors.ts'
import type { ConnectionConfig } from './types.ts'

/** Takes a connection's bytes into memory of its own, while a COPY lasts. */
export interface ByteTaker {
  /** Where the next bytes go; never empty. */
  target(): Buffer
  /** `length` more bytes lie at the start of what `target` returned. False: no more until `resume`. */
  taken(length: number): boolean
}

const IDLE_BUFFER_BYTES = 65_536
/** A read of less than this while a COPY runs is worth waiting a little, see `rest`. */
const SMALL_READ_BYTES = 65_536
const REST_MS = 1
/** Idle time before TCP probes the other side; NAT tables and load balancers forget idle connections within minutes. */
const KEEPALIVE_DELAY_MS = 30_000

/**
 * The connection below pg's Client. Ordinarily what the server sends goes to pg's parser; during a COPY a taker gets it:
 * over plain TCP the kernel then writes straight into the taker's memory, over TLS the decrypted pieces are copied.
 */
export class Wire {
  readonly socket: Socket
  readonly encrypted: boolean
  /** The socket's last error. */
  failure: Error | undefined
  /** Whether a short pause between reads pays: it does over TCP, and starves the small buffer of a Unix socket. */
  readonly #coalesce: boolean
  readonly #idle: Buffer = Buffer.allocUnsafeSlow(IDLE_BUFFER_BYTES)
  #target: Buffer = this.#idle
  #taker: ByteTaker | undefined
  #paused = false
  #resting = false
  /** pg's parser while a taker stands in its place; over TLS only. */
  #parsers: ((bytes: Buffer) => void)[] = []

  /** @param secure an established TLS session; without it a plain socket is made that the caller connects. */
  constructor(coalesce: boolean, secure?: Socket) {
    this.encrypted = secure !== undefined
    this.#coalesce = coalesce && !this.encrypted
    this.socket = secure ?? this.#plainSocket()
    // Between connecting and pg's taking over nobody else listens, and an error would end the process.
    this.socket.on('error', (error) => {
      this.failure = error
    })
  }

  #plainSocket(): Socket {
    // Read through `onread` the kernel writes into our memory. The function is asked after each read for the next one.
    return new Socket({
      onread: {
        buffer: () => {
          this.#target = this.#taker?.target() ?? this.#idle
          return this.#target
        },
        callback: (length, bytes) => this.#received(length, bytes),
      },
    })
  }

  #received(length: number, bytes: Uint8Array): boolean {
    const taker = this.#taker
    if (taker === undefined) {
      // A copy, because pg's parser keeps what is left of an unfinished message.
      this.socket.emit('data', Buffer.from(bytes.subarray(0, length)))
      return true
    }
    if (bytes === this.#target && bytes !== this.#idle) this.#tell(taker, length)
    else this.#feed(taker, Buffer.from(bytes.buffer, bytes.byteOffset, length))
    if (this.#coalesce && length < SMALL_READ_BYTES && this.#taker !== undefined) this.#rest()
    return !this.#paused && !this.#resting
  }

  /** The first read of a COPY still lands in the idle buffer, and TLS has buffers of its own. */
  #feed(taker: ByteTaker, bytes: Buffer): void {
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#taker !== taker) {
        this.forward(bytes.subarray(offset))
        return
      }
      const length = bytes.copy(taker.target(), 0, offset)
      this.#tell(taker, length)
      offset += length
    }
  }

  /** A taker whose bytes were the last ones has given the connection back; what it wishes is no matter then. */
  #tell(taker: ByteTaker, length: number): void {
    const wantsMore = taker.taken(length)
    if (this.#taker === taker) this.#paused = !wantsMore
  }

  /**
   * The server sends 8 KiB at a time and an eager reader wakes for each. Left alone for a millisecond, the kernel
   * gathers what would be 15 reads, and the server's own CPU time falls by a fifth.
   */
  #rest(): void {
    this.#resting = true
    setTimeout(() => {
      this.#resting = false
      if (!this.#paused) this.socket.resume()
    }, REST_MS)
  }

  /** From now on the taker gets the bytes; called when none are on their way, before a command is sent. */
  take(taker: ByteTaker): void {
    this.#taker = taker
    if (!this.encrypted) return
    this.#parsers = this.socket.listeners('data') as ((bytes: Buffer) => void)[]
    this.socket.removeAllListeners('data')
    this.socket.on('data', (bytes: Buffer) => {
      this.#feed(taker, bytes)
      if (this.#paused) this.socket.pause()
    })
  }

  /** Gives the connection back to pg's parser, with what the taker has not made use of. */
  release(rest: Buffer): void {
    this.#taker = undefined
    if (this.encrypted) {
      this.socket.removeAllListeners('data')
      for (const parser of this.#parsers) this.socket.on('data', parser)
    }
    this.forward(rest)
    this.resume()
  }

  /** Hands bytes to pg's parser. */
  forward(bytes: Buffer): void {
    if (bytes.length === 0) return
    const copy = Buffer.from(bytes)
    if (this.#taker === undefined || !this.encrypted) this.socket.emit('data', copy)
    else for (const parser of this.#parsers) parser(copy)
  }

  resume(): void {
    this.#paused = false
    if (!this.#resting) this.socket.resume()
  }
}

/** Whether a session of this configuration is to try TLS. A Unix socket never does, as in libpq. */
export function wantsTLS(config: ConnectionConfig): boolean {
  return config.tls.mode !== 'Disable' && !config.host.startsWith('/')
}

/**
 * Opens a connection and, as the configuration asks, TLS on it. Nothing of the session has been sent yet.
 * @throws PgpackError POSTGRES_TLS, CONFIG_INVALID; socket errors as they are; the signal's reason when it fires.
 */
export async function openWire(config: ConnectionConfig, signal: AbortSignal): Promise<Wire> {
  if (!wantsTLS(config)) return openPlain(config, signal)
  try {
    return await openSecure(config, signal)
  } catch (error) {
    const isTLS = error instanceof PgpackError && error.code === 'POSTGRES_TLS'
    if (config.tls.mode !== 'Prefer' || !isTLS) throw error
    return openPlain(config, signal)
  }
}

export async function openPlain(config: ConnectionConfig, signal: AbortSignal): Promise<Wire> {
  const wire = new Wire(!config.host.startsWith('/'))
  await connectSocket(wire.socket, config, signal)
  return wire
}

async function openSecure(config: ConnectionConfig, signal: AbortSignal): Promise<Wire> {
  // TLS is 3 MiB that a session without it does not need.
  const { startTLS } = await import('./tls.ts')
  const { socket } = new Wire(false, new Socket())
  await connectSocket(socket, config, signal)
  return guarded(socket, signal, async () => new Wire(false, await startTLS(socket, config)))
}

function connectSocket(
  socket: Socket,
  { host, port, hostAddress = host }: ConnectionConfig,
  signal: AbortSignal,
): Promise<void> {
  return guarded(
    socket,
    signal,
    () =>
      new Promise((resolve, reject) => {
        socket.once('error', reject)
        const onConnect = () => {
          socket.off('error', reject)
          socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_DELAY_MS)
          resolve()
        }
        if (host.startsWith('/')) socket.connect(`${host}/.s.PGSQL.${port}`, onConnect)
        else socket.connect(port, hostAddress, onConnect)
      }),
  )
}

/** Destroys the stream when `work` fails or the signal fires, and rejects with the signal's reason then. */
export async function guarded<T>(stream: Duplex, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const onAbort = () => stream.destroy(new Error('aborted'))
  signal.throwIfAborted()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await work()
  } catch (error) {
    stream.destroy()
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

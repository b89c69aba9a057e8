import type pg from 'pg'
import { PgpackError } from '../errors.ts'
import { type Logger, silentLogger } from '../log.ts'
import { type BackendKey, sendCancelRequest } from './cancel.ts'
import { type OpenOptions, openSession, type Session } from './connection-open.ts'
import { describeConnection } from './describe.ts'
import { postgresError } from './errors.ts'
import type { ServerInfo } from './session.ts'
import type { ConnectionConfig } from './types.ts'
import type { Wire } from './wire.ts'

export interface ConnectOptions extends OpenOptions {
  readonly log?: Logger
}

export interface RunOptions {
  /** Cancels this one command; the session stays usable when the backend answers in time. */
  readonly signal?: AbortSignal
}

/** How `run` is told of the outside's wishes. */
export interface CommandOptions {
  readonly signal?: AbortSignal | undefined
  /** Called before the backend is cancelled: what the command itself does so that the backend can notice. */
  readonly onAbort?: () => void
}

/** By pg's names of the protocol's messages: `copyInResponse`, `noData`. */
export type MessageListeners = Readonly<Record<string, (message: unknown) => void>>

/** How long a backend may take to answer a CancelRequest, or to say goodbye, before its socket is destroyed. */
const GRACE_MS = 5000
const CANCEL_INTERVAL_MS = 500
const ACTION_LENGTH = 120

/**
 * Opens a session: TCP, TLS, authentication and pg_dump's settings, within `connectTimeoutSeconds` at each host.
 * @throws PgpackError POSTGRES_UNREACHABLE, POSTGRES_TLS, POSTGRES_AUTHENTICATION, POSTGRES_NO_DATABASE,
 *   POSTGRES_BUSY, POSTGRES_PRIVILEGE, CANCELLED, CONFIG_INVALID
 */
export async function connect(config: ConnectionConfig, options: ConnectOptions = {}): Promise<PostgresConnection> {
  return new PostgresConnection(await openSession(config, options), options)
}

/** One session with a PostgreSQL or Greenplum server. One command at a time; a second one waits for the first. */
export class PostgresConnection implements ServerInfo {
  /** `host:port/database`, for messages. */
  readonly name: string
  /** Leads to this very server, for sessions that are to share its snapshot; holds the password. */
  readonly config: ConnectionConfig
  readonly versionNumber: number
  readonly version: string
  readonly flavour: ServerInfo['flavour']
  readonly inRecovery: boolean
  readonly readOnly: boolean
  readonly encoding: string
  readonly processId: number
  readonly wire: Wire
  readonly #client: pg.Client
  readonly #key: BackendKey
  readonly #signal: AbortSignal | undefined
  readonly #log: Logger
  #busy = false
  /** Settles when the last command that was asked for is done. */
  #last: Promise<void> = Promise.resolve()
  #closed = false
  /** Cancels the command that runs. */
  #abort: (() => void) | undefined

  constructor({ client, wire, key, server, config }: Session, { signal, log }: ConnectOptions) {
    this.name = describeConnection(config)
    this.config = config
    this.versionNumber = server.versionNumber
    this.version = server.version
    this.flavour = server.flavour
    this.inRecovery = server.inRecovery
    this.readOnly = server.readOnly
    this.encoding = server.encoding
    this.processId = server.processId
    this.wire = wire
    this.#client = client
    this.#key = key
    this.#signal = signal
    this.#log = log ?? silentLogger
    client.connection.on('readyForQuery', () => {
      this.#busy = false
    })
    client.connection.on('end', () => {
      this.#closed = true
    })
  }

  /** Whether the session is over, by `close` or because the connection broke. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Runs one statement with parameters, or several without; resolves with the rows (of the last). Values come as
   * `rowTypes` says: int8, numeric and dates as text.
   * @throws PgpackError, CANCELLED when the signal fired
   */
  async query<R extends object>(sql: string, params?: readonly unknown[], options: RunOptions = {}): Promise<R[]> {
    const result: unknown = await this.run(sql, options, () => this.#client.query(sql, params && [...params]))
    const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<R>
    return last.rows
  }

  /**
   * Runs a command of pg's when the one before is done, and cancels it when a signal fires. Settles only when the backend
   * is ready for the next command or the session is over.
   * @param sql for messages only.
   * @throws PgpackError, CANCELLED when a signal fired, or the session was closed, and the command did not end well
   */
  async run<T>(sql: string, { signal, onAbort }: CommandOptions, command: () => Promise<T>): Promise<T> {
    const action = `${this.name}: ${shorten(sql)}`
    const either = AbortSignal.any([this.#signal, signal].filter((one) => one !== undefined))
    const before = this.#last
    const { promise, resolve: done } = Promise.withResolvers<void>()
    this.#last = promise
    await before
    const abandoning: Promise<void>[] = []
    const abort = () => {
      if (abandoning.length > 0) return
      onAbort?.()
      abandoning.push(this.abandon())
    }
    try {
      if (either.aborted) throw new PgpackError('CANCELLED', `${action}: cancelled`, { cause: either.reason })
      this.#throwIfBroken(action)
      either.addEventListener('abort', abort, { once: true })
      this.#abort = abort
      this.#busy = true
      return await command()
    } catch (error) {
      throw postgresError(error, { action, cancelled: abandoning.length > 0 })
    } finally {
      either.removeEventListener('abort', abort)
      // A CancelRequest still on its way would hit the next command.
      await Promise.all([this.idle(), ...abandoning])
      this.#abort = undefined
      done()
    }
  }

  #throwIfBroken(action: string): void {
    if (!this.#closed) return
    const cause = this.wire.failure
    const message = `${action}: the connection is closed${cause === undefined ? '' : `: ${cause.message}`}`
    throw new PgpackError('POSTGRES_CONNECTION_LOST', message, { cause })
  }

  /**
   * Hands a command to pg's Client, which calls it back as the server answers, and awaits its end.
   * @param listeners for messages that pg's Client does not pass on.
   */
  async submit<T>(command: pg.Submittable, listeners: MessageListeners, end: Promise<T>): Promise<T> {
    const { connection } = this.#client
    for (const [name, listener] of Object.entries(listeners)) connection.on(name, listener)
    try {
      this.#client.query(command)
      return await end
    } finally {
      for (const [name, listener] of Object.entries(listeners)) connection.off(name, listener)
    }
  }

  /** Resolves when the backend waits for the next command, or the connection has ended. */
  async idle(): Promise<void> {
    const { connection } = this.#client
    if (!this.#busy || this.#closed) return
    await new Promise<void>((resolve) => {
      const done = () => {
        connection.off('readyForQuery', done).off('end', done)
        resolve()
      }
      connection.on('readyForQuery', done).on('end', done)
    })
  }

  /**
   * Asks the server to cancel what the backend is doing (CancelRequest, over TLS when the session uses it). It may come
   * too late; the command's own answer tells.
   * @throws PgpackError POSTGRES_UNREACHABLE, POSTGRES_TLS
   */
  async cancel(): Promise<void> {
    await sendCancelRequest(this.config, this.#key, this.wire.encrypted, AbortSignal.timeout(GRACE_MS))
  }

  /** Cancels what runs and waits until the backend is idle; a backend that does not answer loses its connection. */
  async abandon(): Promise<void> {
    const deadline = performance.now() + GRACE_MS
    const idle = this.idle()
    while (this.#busy && !this.#closed) {
      if (performance.now() > deadline) this.destroy()
      else await this.#tryCancel()
      // A request that overtakes the command on its way to the backend is lost without a word, so it is repeated.
      await within(idle, CANCEL_INTERVAL_MS)
    }
  }

  async #tryCancel(): Promise<void> {
    try {
      await this.cancel()
    } catch (err) {
      this.#log.warn({ err, connection: this.name }, 'the query could not be cancelled; the connection is cut')
      this.destroy()
    }
  }

  /** Ends the session, which rolls an open transaction back. A command that still runs is cancelled first. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#abort?.()
    await this.idle()
    const timer = setTimeout(() => this.destroy(), GRACE_MS)
    await this.#client.end()
    clearTimeout(timer)
  }

  /** Cuts the connection, without a word to the server; the backend ends when it next reads or writes. */
  destroy(): void {
    this.wire.socket.destroy()
  }
}

/** Resolves with the promise, or after so many milliseconds. */
async function within(promise: Promise<void>, milliseconds: number): Promise<void> {
  const { promise: elapsed, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, milliseconds)
  await Promise.race([promise, elapsed])
  clearTimeout(timer)
}

function shorten(sql: string): string {
  const line = sql.replaceAll(/\s+/g, ' ').trim()
  return line.length <= ACTION_LENGTH ? line : `${line.slice(0, ACTION_LENGTH)}…`
}

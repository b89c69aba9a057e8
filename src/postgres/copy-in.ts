import { setImmediate } from 'node:timers/promises'
import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'
import { CopyCommand, type CopyOptions, type CopyResponse, copyFail, MESSAGE, messageHeader } from './copy-command.ts'
import type { CopyIn } from './types.ts'

/** What may wait in the socket before a writer waits; the kernel holds some megabytes besides. */
const MAX_QUEUED_BYTES = 512 * 1024
/** The server reads a message whole before it looks into it: one that stays in its cache took a load about 3 % less CPU than 1 MiB. */
const MESSAGE_BYTES = 64 * 1024
const FULL_HEADER = messageHeader(MESSAGE.CopyData, MESSAGE_BYTES)
const COPY_DONE = messageHeader(MESSAGE.CopyDone, 0)

/**
 * Starts COPY … FROM STDIN; resolves when the server has agreed. A signal that fires ends the COPY by CopyFail and
 * CancelRequest, and no row stays.
 * @throws PgpackError as the server refuses
 */
export async function copyIn(connection: PostgresConnection, sql: string, options: CopyOptions = {}): Promise<CopyIn> {
  const stream = new CopyInStream(connection)
  await stream.start(sql, options.signal)
  return stream
}

type Outcome = { readonly rows: bigint } | { readonly error: unknown }

class CopyInStream implements CopyIn {
  format: 0 | 1 = 0
  columnFormats: readonly (0 | 1)[] = []
  rejectedRows = 0n
  readonly #connection: PostgresConnection
  readonly #answered = Promise.withResolvers<void>()
  readonly #settled = Promise.withResolvers<Outcome>()
  #outcome: Outcome | undefined
  /** Whether CopyDone or CopyFail has been sent. */
  #ended = false
  /** Bytes written since the event loop last had a turn. */
  #sentInTurn = 0
  #wake: (() => void) | undefined

  constructor(connection: PostgresConnection) {
    this.#connection = connection
  }

  /** Resolves with CopyInResponse. The command itself goes on; its end is what `#settle` records. */
  async start(sql: string, signal: AbortSignal | undefined): Promise<void> {
    const command = new CopyCommand(this.#connection, sql, (response) => this.#respond(response))
    this.#connection
      .run(sql, { signal, onAbort: () => this.#sendFail('cancelled') }, () => command.run())
      .then(
        (rows) => {
          this.rejectedRows = command.rejectedRows
          this.#settle({ rows })
        },
        (error: unknown) => this.#settle({ error }),
      )
    await this.#answered.promise
  }

  #respond(response: CopyResponse): void {
    this.format = response.format
    this.columnFormats = response.columnFormats
    this.#answered.resolve()
  }

  #settle(outcome: Outcome): void {
    this.#outcome = outcome
    if ('error' in outcome) this.#answered.reject(outcome.error)
    this.#settled.resolve(outcome)
    this.#wakeUp()
  }

  #wakeUp(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  async write(data: Buffer, release?: () => void): Promise<void> {
    await this.#throwIfOver()
    if (data.length === 0) release?.()
    for (let offset = 0; offset < data.length; offset += MAX_QUEUED_BYTES) {
      const end = offset + MAX_QUEUED_BYTES
      this.#send(data.subarray(offset, end), end < data.length ? undefined : release)
      await this.#room()
      await this.#throwIfOver()
    }
  }

  async #throwIfOver(): Promise<void> {
    if (this.#outcome === undefined && !this.#ended) return
    const outcome = await this.#settled.promise
    throw 'error' in outcome ? outcome.error : new PgpackError('INTERNAL', 'the COPY has been ended already')
  }

  #send(payload: Buffer, release: (() => void) | undefined): void {
    const { socket } = this.#connection.wire
    const last = payload.length - 1 - ((payload.length - 1) % MESSAGE_BYTES)
    this.#sentInTurn += payload.length
    socket.cork()
    for (let at = 0; at < last; at += MESSAGE_BYTES) {
      socket.write(FULL_HEADER)
      socket.write(payload.subarray(at, at + MESSAGE_BYTES))
    }
    socket.write(messageHeader(MESSAGE.CopyData, payload.length - last))
    socket.write(payload.subarray(last), () => {
      release?.()
      this.#wakeUp()
    })
    socket.uncork()
  }

  /** Waits until little is queued in the socket, or the server has put an end to the COPY. */
  async #room(): Promise<void> {
    const { socket } = this.#connection.wire
    if (this.#sentInTurn >= MAX_QUEUED_BYTES) {
      // A socket that takes everything at once would never let the event loop get to the server's error.
      await setImmediate()
      this.#sentInTurn = 0
    }
    while (socket.writableLength > MAX_QUEUED_BYTES && this.#outcome === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async end(): Promise<bigint> {
    await this.#throwIfOver()
    this.#ended = true
    this.#connection.wire.socket.write(COPY_DONE)
    const outcome = await this.#settled.promise
    if ('error' in outcome) throw outcome.error
    return outcome.rows
  }

  async fail(reason: string): Promise<void> {
    this.#sendFail(reason)
    const outcome = await this.#settled.promise
    // The server's answer to CopyFail is an error that quotes the reason; only a lost session is news.
    if ('error' in outcome && this.#connection.closed) throw outcome.error
  }

  #sendFail(reason: string): void {
    if (this.#ended || this.#outcome !== undefined) return
    this.#ended = true
    this.#connection.wire.socket.write(copyFail(reason))
  }
}

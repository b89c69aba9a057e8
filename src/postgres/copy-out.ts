import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'
import { CopyCommand, type CopyOptions, type CopyResponse } from './copy-command.ts'
import { type CopyDataHandler, CopyDataReader } from './copy-data-reader.ts'
import type { CopyChunk, CopyOut } from './types.ts'

export { tuplesOnly } from './tuples.ts'

export interface CopyOutOptions extends CopyOptions {
  /** Bytes of a chunk, about; a row that is larger gets a chunk of its own. 1 MiB when not given. */
  readonly chunkSize?: number
  /** A row above it ends the COPY, and the session, with ROW_TOO_LARGE. 1 GiB when not given: no server sends more. */
  readonly maxRowBytes?: number
}

const MEBIBYTE = 1024 * 1024
const DEFAULT_MAX_ROW_BYTES = 1024 * MEBIBYTE
/** Chunks, and bytes of them, that may wait for the consumer before reading stops. */
const MAX_READY = 2
const MAX_READY_BYTES = 4 * MEBIBYTE
/** What consumers may hold before reading stops until they release some: a few rows can be gigabytes. */
const MAX_LENT_BYTES = 32 * MEBIBYTE

/**
 * Starts COPY … TO STDOUT; resolves when the server has agreed. Memory: at most two chunks waiting, one being filled
 * and those that the consumer holds; a chunk's memory belongs to the consumer until it calls `release`, and it must not
 * wait for another while it holds more than 32 MiB.
 * @throws PgpackError as the server refuses; while iterating also ROW_TOO_LARGE, POSTGRES_PROTOCOL, CANCELLED
 */
export async function copyOut(
  connection: PostgresConnection,
  sql: string,
  options: CopyOutOptions = {},
): Promise<CopyOut> {
  const stream = new CopyOutStream(connection, options)
  await stream.start(sql, options.signal)
  return stream
}

type Outcome = { readonly rows: bigint } | { readonly error: unknown }

class CopyOutStream implements CopyOut, CopyDataHandler, AsyncIterator<CopyChunk, undefined> {
  format: 0 | 1 = 0
  columnFormats: readonly (0 | 1)[] = []
  rowCount: bigint | undefined
  readonly #connection: PostgresConnection
  readonly #reader: CopyDataReader
  readonly #answered = Promise.withResolvers<void>()
  readonly #settled = Promise.withResolvers<void>()
  readonly #ready: CopyChunk[] = []
  #lentBytes = 0
  #command: CopyCommand | undefined
  #discarding = false
  #failure: unknown
  #outcome: Outcome | undefined
  #wake: (() => void) | undefined

  constructor(connection: PostgresConnection, options: CopyOutOptions) {
    this.#connection = connection
    this.#reader = new CopyDataReader(this, {
      chunkSize: options.chunkSize ?? MEBIBYTE,
      maxRowBytes: options.maxRowBytes ?? DEFAULT_MAX_ROW_BYTES,
      manyRowsPerMessage: connection.flavour === 'Greenplum',
    })
  }

  /** Resolves with CopyOutResponse. The command itself goes on; its end is what `#settle` records. */
  async start(sql: string, signal: AbortSignal | undefined): Promise<void> {
    const command = new CopyCommand(this.#connection, sql)
    this.#command = command
    const run = async () => {
      this.#connection.wire.take(this.#reader)
      return command.run()
    }
    this.#connection.run(sql, { signal, onAbort: () => this.#discard() }, run).then(
      (rows) => this.#settle({ rows }),
      (error: unknown) => this.#settle({ error: this.#failure ?? error }),
    )
    await this.#answered.promise
  }

  response(response: CopyResponse): void {
    this.format = response.format
    this.columnFormats = response.columnFormats
    this.#command?.agree()
    this.#answered.resolve()
  }

  chunk(chunk: CopyChunk): void {
    if (this.#discarding) {
      chunk.release()
      return
    }
    this.#ready.push(chunk)
    this.#wakeUp()
  }

  aside(message: Buffer): void {
    this.#connection.wire.forward(message)
  }

  done(rest: Buffer): void {
    this.#connection.wire.release(rest)
  }

  fail(error: unknown): void {
    this.#failure = error
    this.#connection.destroy()
  }

  wantsMore(): boolean {
    if (this.#discarding) return true
    const bytes = this.#ready.reduce((sum, { data }) => sum + data.length, 0)
    return this.#ready.length < MAX_READY && bytes < MAX_READY_BYTES && this.#lentBytes < MAX_LENT_BYTES
  }

  /** The chunk as the consumer gets it: what it holds is counted. */
  #lend(chunk: CopyChunk): CopyChunk {
    const { length } = chunk.data
    this.#lentBytes += length
    let lent = true
    const release = () => {
      if (!lent) return
      lent = false
      chunk.release()
      this.#lentBytes -= length
      if (this.#outcome === undefined && this.wantsMore()) this.#connection.wire.resume()
    }
    return { ...chunk, release }
  }

  #settle(outcome: Outcome): void {
    this.#outcome = outcome
    if ('rows' in outcome) this.rowCount = outcome.rows
    else this.#answered.reject(outcome.error)
    this.#settled.resolve()
    this.#wakeUp()
  }

  #wakeUp(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  [Symbol.asyncIterator](): AsyncIterator<CopyChunk, undefined> {
    return this
  }

  async next(): Promise<IteratorResult<CopyChunk, undefined>> {
    for (;;) {
      const value = this.#ready.shift()
      if (value !== undefined) {
        const lent = this.#lend(value)
        if (this.wantsMore()) this.#connection.wire.resume()
        return { done: false, value: lent }
      }
      if (this.#outcome !== undefined) return this.#end(this.#outcome)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #end(outcome: Outcome): IteratorReturnResult<undefined> {
    if ('error' in outcome) throw outcome.error
    // The backend had come to its end when the cancellation reached it; chunks are gone all the same.
    if (this.#discarding) throw new PgpackError('CANCELLED', `${this.#connection.name}: COPY: cancelled`)
    return { done: true, value: undefined }
  }

  /** The consumer leaves early. How the cancelled command ended no longer matters to anyone. */
  async return(): Promise<IteratorResult<CopyChunk, undefined>> {
    this.#discard()
    if (this.#outcome === undefined) await this.#connection.abandon()
    await this.#settled.promise
    return { done: true, value: undefined }
  }

  /** Reads on for nobody: a backend that waits for us to read does not notice that it is to stop. */
  #discard(): void {
    this.#discarding = true
    for (const { release } of this.#ready.splice(0)) release()
    this.#connection.wire.resume()
  }
}

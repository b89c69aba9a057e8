import type pg from 'pg'
import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'

/** CopyInResponse or CopyOutResponse: PQbinaryTuples and PQfformat. */
export interface CopyResponse {
  readonly format: 0 | 1
  readonly columnFormats: readonly (0 | 1)[]
}

/** The server's messages by their type byte (protocol chapter, "Message Formats"). */
export const MESSAGE = {
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyOutResponse: 0x48,
  NoticeResponse: 0x4e,
  NotificationResponse: 0x41,
  ParameterStatus: 0x53,
} as const

/** A message's type byte and its length, which counts itself and what follows. */
export const HEADER_BYTES = 5
const COPY_FAIL = 0x66

/** ReportSrehResults of Greenplum's cdbsreh.c: `found 3 data formatting errors (3 or more input rows), …`, in any language. */
const REJECTS_ROUTINE = 'ReportSrehResults'

/** pg's form of NoticeResponse. */
type PgNotice = Readonly<Partial<Record<'routine' | 'message', string>>>

/** pg's form of CopyInResponse. */
interface PgCopyResponse {
  readonly binary: boolean
  readonly columnTypes: readonly number[]
}

export interface CopyOptions {
  /** Cancels the COPY; the session stays usable when the backend answers within seconds. */
  readonly signal?: AbortSignal
}

/**
 * A COPY as pg's Client runs it: from the Query message to ReadyForQuery. `completed` rejects only when the backend is
 * ready again or gone, so that whoever awaits it finds the session settled.
 */
export class CopyCommand implements pg.Submittable {
  readonly #connection: PostgresConnection
  readonly #sql: string
  readonly #completed = Promise.withResolvers<bigint>()
  readonly #onCopyIn: ((response: CopyResponse) => void) | undefined
  #rejectedRows = 0n
  #tag: string | undefined
  #agreed = false

  /** @param onCopyIn called with CopyInResponse; absent for COPY … TO. */
  constructor(connection: PostgresConnection, sql: string, onCopyIn?: (response: CopyResponse) => void) {
    this.#connection = connection
    this.#sql = sql
    this.#onCopyIn = onCopyIn
  }

  /** Sends the command; resolves with the row count after CommandComplete and ReadyForQuery. */
  async run(): Promise<bigint> {
    const copyInResponse = (message: unknown) => {
      const { binary, columnTypes } = message as PgCopyResponse
      this.#onCopyIn?.({ format: binary ? 1 : 0, columnFormats: columnTypes.map((code) => (code === 0 ? 0 : 1)) })
    }
    const notice = ({ routine, message = '' }: PgNotice) => {
      if (routine === REJECTS_ROUTINE) this.#rejectedRows += BigInt(/\d+/.exec(message)?.[0] ?? 0)
    }
    const listeners = { copyInResponse, notice: (message: unknown) => notice(message as PgNotice) }
    return this.#connection.submit(this, listeners, this.#completed.promise)
  }

  /** Greenplum: what SEGMENT REJECT LIMIT left out, which only a notice before CommandComplete tells. */
  get rejectedRows(): bigint {
    return this.#rejectedRows
  }

  /** The server has agreed to a COPY in the direction that was meant. */
  agree(): void {
    this.#agreed = true
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#sql)
  }

  handleError(error: unknown): void {
    this.#connection.idle().then(() => this.#completed.reject(error), this.#completed.reject)
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tag = text
  }

  handleReadyForQuery(): void {
    const rows = /^COPY (\d+)$/.exec(this.#tag ?? '')?.[1]
    if (this.#agreed && rows !== undefined) {
      this.#completed.resolve(BigInt(rows))
      return
    }
    const found = this.#tag ?? 'nothing'
    const message = `the statement is not a COPY in the expected direction: the server answered ${found}`
    this.#completed.reject(new PgpackError('POSTGRES_STATEMENT', message, { expected: 'COPY', found }))
  }

  /** pg calls this for CopyInResponse, without the message itself. A COPY … FROM that was not meant ends here. */
  handleCopyInResponse(): void {
    this.#agreed = this.#onCopyIn !== undefined
    if (!this.#agreed) this.#connection.wire.socket.write(copyFail('pgpack expected COPY … TO STDOUT'))
  }

  // What pg hands over when the statement is no COPY at all; handleReadyForQuery then says so.
  handleCopyData(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
}

/** CopyFail: the server ends the COPY with an error that quotes the reason. */
export function copyFail(reason: string): Buffer {
  const text = Buffer.from(`${reason.replaceAll('\0', '')}\0`)
  return Buffer.concat([messageHeader(COPY_FAIL, text.length), text])
}

/** What stands before so many bytes of a message of this type: the type, and a length that counts itself. */
export function messageHeader(type: number, bytes: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = type
  header.writeInt32BE(bytes + 4, 1)
  return header
}

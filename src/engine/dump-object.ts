import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyOut } from '../postgres/copy-out.ts'
import { createCollector } from './collector.ts'
import type { RunContext } from './context.ts'
import type { SegmentFiles } from './dump-segments.ts'
import { type DumpWriter, type FileSummary, type FileTarget, openWriter } from './dump-writer.ts'
import type { DumpSource } from './source.ts'
import { about } from './source-name.ts'

/** An object that was dumped: its rows by CommandComplete. */
export interface DumpedObject extends FileSummary {
  readonly rows: bigint
  /** Where the rows lie instead of in the store. */
  readonly segments?: SegmentFiles
}

/**
 * One object on its way into one file, over as many sessions as there are. The upload is opened by the first statement
 * and completed by the last.
 */
export class ObjectDump {
  readonly source: DumpSource
  readonly #target: FileTarget
  readonly #progress: RunContext['progress']
  #left: number
  #sent = 0n
  /** Bytes of the file that the progress knows of. */
  #stored = 0
  #opened: Promise<DumpWriter> | undefined
  #writer: DumpWriter | undefined
  #dumped: DumpedObject | undefined

  constructor(source: DumpSource, target: FileTarget, progress: RunContext['progress']) {
    this.source = source
    this.#target = target
    this.#progress = progress
    this.#left = source.statements.length
  }

  /** Runs one of the source's statements; after the last one the file is visible under its key. */
  copy(session: PostgresConnection, statement: string, signal: AbortSignal): Promise<void> {
    return about(this.source.name, () => this.#copy(session, statement, signal))
  }

  async #copy(session: PostgresConnection, statement: string, signal: AbortSignal): Promise<void> {
    this.#opened ??= this.#open(session, signal)
    const writer = await this.#opened
    // Added afterwards: `+=` would take the sum of before the await, when other sessions' rows are not in it yet.
    const rows = await this.#pass(session, statement, writer, signal)
    this.#sent += rows
    this.#left -= 1
    if (this.#left === 0) await this.#finish(writer)
  }

  /** What was written. @throws PgpackError INTERNAL before the last statement is done */
  get dumped(): DumpedObject {
    if (this.#dumped !== undefined) return this.#dumped
    throw new PgpackError('INTERNAL', `${this.source.name} is not dumped yet`)
  }

  /** Leaves nothing of a file that is not complete. */
  async abort(): Promise<void> {
    await this.#writer?.abort()
  }

  async #open(session: PostgresConnection, signal: AbortSignal): Promise<DumpWriter> {
    const writer = openWriter(this.source, this.#target, signal)
    this.#writer = writer
    const { header } = this.source
    if (header !== undefined) await this.#pass(session, header, writer, signal)
    return writer
  }

  async #pass(
    session: PostgresConnection,
    statement: string,
    writer: DumpWriter,
    signal: AbortSignal,
  ): Promise<bigint> {
    const copy = await copyOut(session, statement, { signal })
    const collect = createCollector()
    for await (const piece of writer.pieces(copy)) {
      this.#progress.moved(piece.rows, piece.data.length)
      await writer.write(piece)
      this.#tellStored(writer.storedBytes)
      collect()
    }
    if (copy.rowCount === undefined) {
      throw new PgpackError('POSTGRES_PROTOCOL', 'the COPY ended without CommandComplete')
    }
    return copy.rowCount
  }

  async #finish(writer: DumpWriter): Promise<void> {
    const summary = await writer.finish()
    const { name } = this.source
    if (summary.rows !== undefined && summary.rows !== this.#sent) {
      const found = `the server sent ${this.#sent} rows but ${summary.rows} were written`
      throw new PgpackError('INTERNAL', `${name}: ${found}`)
    }
    this.#dumped = { ...summary, rows: this.#sent }
    this.#tellStored(Number(summary.fileBytes))
    this.#progress.objectDone()
  }

  #tellStored(bytes: number): void {
    this.#progress.stored(bytes - this.#stored)
    this.#stored = bytes
  }
}

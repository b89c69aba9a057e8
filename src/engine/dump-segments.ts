import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyOnSegments, type SegmentFile, segmentFiles } from '../postgres/copy-segments.ts'
import type { RunContext } from './context.ts'
import type { DumpedObject } from './dump-object.ts'
import { NO_BYTES_SHA256 } from './dump-writer.ts'
import type { DumpSource } from './source.ts'
import { about } from './source-name.ts'

/** Where an object's rows lie when its segments wrote them. */
export interface SegmentFiles {
  /** With `<SEGID>` and `<SEG_DATA_DIR>`. */
  readonly path: string
  readonly files: readonly SegmentFile[]
}

/** One object on its way into files on the hosts of the segments: one statement, and no byte of it passes here. */
export class SegmentDump {
  readonly source: DumpSource
  readonly #path: string
  readonly #progress: RunContext['progress']
  #dumped: DumpedObject | undefined

  constructor(source: DumpSource, path: string, progress: RunContext['progress']) {
    this.source = source
    this.#path = path
    this.#progress = progress
  }

  copy(session: PostgresConnection, statement: string, signal: AbortSignal): Promise<void> {
    return about(this.source.name, async () => {
      const { rows } = await copyOnSegments(session, statement, { signal })
      const files = await segmentFiles(session, this.#path)
      // Greenplum 7 makes a query of a partitioned table, and may count nothing then (CopyToQueryOnSegment of its copy.c).
      const dumped = rows > 0n ? this.#once(rows, files) : await this.#count(session)
      this.#dumped = this.#describe(dumped, files)
      this.#progress.moved(Number(this.#dumped.rows), Number(this.#dumped.rawBytes))
      this.#progress.objectDone()
    })
  }

  /** What was written. @throws PgpackError INTERNAL before the statement is done */
  get dumped(): DumpedObject {
    if (this.#dumped !== undefined) return this.#dumped
    throw new PgpackError('INTERNAL', `${this.source.name} is not dumped yet`)
  }

  /** What segments have written stays: only a program that they run could remove it. */
  async abort(): Promise<void> {}

  /** A row of a replicated table is counted by every segment. */
  #once(rows: bigint, files: readonly SegmentFile[]): bigint {
    return this.source.distribution?.policy === 'Replicated' ? rows / BigInt(files.length) : rows
  }

  /** In the snapshot that the files are of. */
  async #count(session: PostgresConnection): Promise<bigint> {
    const [counted] = await session.query<{ rows: string }>(
      `SELECT count(*) AS rows FROM (${this.source.select}) AS dumped`,
    )
    return BigInt(counted?.rows ?? 0)
  }

  #describe(rows: bigint, files: readonly SegmentFile[]): DumpedObject {
    const missing = files.find(({ bytes }) => bytes === null)
    if (missing !== undefined) {
      const { segment, host, path } = missing
      throw new PgpackError('INTERNAL', `segment ${segment} has written no file ${path} on ${host}`)
    }
    return {
      rows,
      rawBytes: files.reduce((sum, { bytes }) => sum + (bytes ?? 0n), 0n),
      fileBytes: 0n,
      headSHA256: NO_BYTES_SHA256,
      bodySHA256: NO_BYTES_SHA256,
      bodyOffset: 0,
      frames: undefined,
      segments: { path: this.#path, files },
    }
  }
}

import { errorMessage, PgpackError } from '../errors.ts'
import { PGPackReader } from '../pgpack/reader.ts'
import type { RandomAccessSource } from '../pgpack/source.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyFrom, truncateTable } from '../postgres/copy.ts'
import { copyIn } from '../postgres/copy-in.ts'
import type { RelationInfo } from '../postgres/types.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { RunContext } from './context.ts'
import type { ObjectTotals } from './totals.ts'

export const LOAD_MODES = ['Append', 'Truncate'] as const
export type LoadMode = (typeof LOAD_MODES)[number]

/** A file of the store, for readers of the format. @throws PgpackError STORE_NO_OBJECT */
export async function openSource(store: ObjectStore, key: string, signal: AbortSignal): Promise<RandomAccessSource> {
  const { size } = await store.stat(key, signal)
  return { size, read: (range) => store.read(key, signal, range) }
}

/** Opens a file for loading; its head is read and its lengths are checked against its size before this resolves. */
export async function openFile(store: ObjectStore, key: string, signal: AbortSignal): Promise<OpenFile> {
  const source = await openSource(store, key, signal)
  return { reader: await PGPackReader.open(source), size: source.size }
}

export interface OpenFile {
  readonly reader: PGPackReader
  /** Bytes in the store. */
  readonly size: number
}

export interface Load extends OpenFile {
  readonly table: RelationInfo
  /** Column names in the file's order. */
  readonly columns: readonly string[]
  readonly mode: LoadMode
}

/**
 * Loads one file into one table within the session's transaction. The reader checks frames, lengths and trailer as the
 * bytes pass; the first fault ends the COPY by CopyFail, so that no row of a damaged file is ever kept.
 */
export async function loadObject(session: PostgresConnection, load: Load, context: RunContext): Promise<ObjectTotals> {
  const { reader, table } = load
  if (load.mode === 'Truncate') await session.query(truncateTable(table))
  const copy = await copyIn(session, copyFrom(table, load.columns), { signal: context.signal })
  let rawBytes = 0n
  let stored = reader.bodyOffset
  const onStored = (bytes: Buffer) => {
    stored += bytes.length
    context.progress.stored(stored)
  }
  try {
    let rowsBefore = 0
    for await (const chunk of reader.body({ onStored })) {
      rawBytes += BigInt(chunk.length)
      context.progress.moved(reader.rows - rowsBefore, chunk.length)
      rowsBefore = reader.rows
      await copy.write(chunk)
    }
  } catch (error) {
    await copy.fail(`pgpack: ${errorMessage(error)}`)
    throw error
  }
  const rows = await copy.end()
  if (rows !== BigInt(reader.rows)) {
    const name = `${table.schema}.${table.name}`
    throw new PgpackError('INTERNAL', `the file holds ${reader.rows} rows but ${name} took ${rows}`)
  }
  context.progress.objectDone()
  return { rows, rawBytes, fileBytes: BigInt(load.size) }
}

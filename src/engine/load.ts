import { createHash } from 'node:crypto'
import { errorMessage, PgpackError } from '../errors.ts'
import { PGPackReader } from '../pgpack/reader.ts'
import type { RandomAccessSource } from '../pgpack/source.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyFrom } from '../postgres/copy.ts'
import { copyIn } from '../postgres/copy-in.ts'
import type { RelationInfo } from '../postgres/types.ts'
import type { ObjectStore } from '../storage/store.ts'
import { createCollector } from './collector.ts'
import type { RunContext } from './context.ts'
import type { ObjectTotals } from './totals.ts'

/** A file of the store, for readers of the format. @throws PgpackError STORE_NO_OBJECT */
export async function openSource(store: ObjectStore, key: string, signal: AbortSignal): Promise<RandomAccessSource> {
  const { size } = await store.stat(key, signal)
  return { size, read: (range) => store.read(key, signal, range) }
}

/** Opens a file for loading; its head is read and its lengths are checked against its size before this resolves. */
export async function openFile(store: ObjectStore, key: string, signal: AbortSignal): Promise<OpenFile> {
  const source = await openSource(store, key, signal)
  const reader = await PGPackReader.open(source)
  return { reader, size: source.size, headSHA256: createHash('sha256').update(reader.head).digest('hex') }
}

export interface OpenFile {
  readonly reader: PGPackReader
  /** Bytes in the store. */
  readonly size: number
  /** Hexadecimal, of the bytes before the body. */
  readonly headSHA256: string
}

export interface Load extends OpenFile {
  readonly table: RelationInfo
  /** Column names in the file's order. */
  readonly columns: readonly string[]
  /** The object's name in the dump, or the file's, for messages. */
  readonly name: string
  /** What the manifest says of the body as it is stored. */
  readonly bodySHA256?: string
}

export interface FileHashes {
  readonly headSHA256: string
  readonly bodySHA256: string
}

/** @throws PgpackError MANIFEST_MISMATCH */
export function checkHash(name: string, part: 'head' | 'body', expected: string, found: string): void {
  if (found === expected) return
  const message = `${name}: the ${part} of the file is not the one that was dumped: its SHA-256 is ${found}, not ${expected}`
  throw new PgpackError('MANIFEST_MISMATCH', message, { expected, found })
}

/**
 * Loads one file into one table within the session's transaction. The reader checks frames, lengths and trailer as the
 * bytes pass; the first fault ends the COPY by CopyFail, so that no row of a damaged file is ever kept.
 */
export async function loadObject(session: PostgresConnection, load: Load, context: RunContext): Promise<ObjectTotals> {
  const { reader, table } = load
  const copy = await copyIn(session, copyFrom(table, load.columns), { signal: context.signal })
  const collect = createCollector()
  let rawBytes = 0n
  let stored = reader.bodyOffset
  const hash = load.bodySHA256 === undefined ? undefined : createHash('sha256')
  const onStored = (bytes: Buffer) => {
    stored += bytes.length
    hash?.update(bytes)
    context.progress.stored(stored)
  }
  try {
    let rowsBefore = 0
    for await (const chunk of reader.body({ onStored })) {
      rawBytes += BigInt(chunk.length)
      context.progress.moved(reader.rows - rowsBefore, chunk.length)
      rowsBefore = reader.rows
      await copy.write(chunk)
      collect()
    }
    if (load.bodySHA256 !== undefined && hash !== undefined) {
      checkHash(load.name, 'body', load.bodySHA256, hash.digest('hex'))
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

import { errorMessage, PgpackError } from '../errors.ts'
import type { RandomAccessSource } from '../pgpack/source.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyIn } from '../postgres/copy-in.ts'
import { copiesOfRows, segmentTimes } from '../postgres/error-log.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { RelationInfo } from '../postgres/types.ts'
import type { ObjectStore } from '../storage/store.ts'
import { createCollector } from './collector.ts'
import type { RunContext } from './context.ts'
import { loadFromSegments, type SegmentPart } from './load-segments.ts'
import { bringBack, type RejectsFile } from './rejects.ts'
import { about, objectName } from './source-name.ts'
import type { ObjectTotals } from './totals.ts'

/** A file of the store, for readers of the format. @throws PgpackError STORE_NO_OBJECT */
export async function openSource(store: ObjectStore, key: string, signal: AbortSignal): Promise<RandomAccessSource> {
  const { size } = await store.stat(key, signal)
  return { size, read: (range) => store.read(key, signal, range) }
}

/** Some bytes of a COPY stream on their way into a table. */
export interface Piece {
  readonly data: Buffer
  /** Rows that begin in it. */
  readonly rows: number
  /** The memory may be used again: nobody looks at it any more. */
  readonly release?: () => void
}

/** What of a run's own reading a part may use: the number of the connection that writes it, from 0. */
export interface Lane {
  readonly number: number
  readonly signal: AbortSignal
}

/** Rows of an object that one COPY takes. */
export interface Part {
  /**
   * The part as one complete COPY stream, header and trailer included. Throws at its end, at the latest, when what went
   * by is not what was to be loaded; whoever loads it must not commit before the iteration has ended without an error.
   */
  read(lane: Lane): AsyncIterable<Piece>
  /** Bytes in the store; 0 where there is none. */
  readonly storedBytes: bigint
  /** Rows of the part where its pieces do not tell: text cannot be counted without being parsed. */
  readonly rows?: bigint
}

/** An object and the table that it goes into: found, checked, and ready to move. */
export interface Load {
  /** The object's name in the dump or the source, or the file's, for messages. */
  readonly name: string
  /** Its name and columns; where `create` makes it, as it will be. */
  readonly table: Pick<RelationInfo, 'schema' | 'name' | 'columns'>
  /** Statements that make the table, which is not there, and its types. */
  readonly create?: readonly string[] | undefined
  /** Whether values come in their binary form, which names the types of users by their OIDs in another database. */
  readonly foreignOids?: boolean
  /** Column names in the stream's order. */
  readonly columns: readonly string[]
  readonly parts: readonly (Part | SegmentPart)[]
  /** Whether another attempt finds the same rows in the same parts: true of files, not of a table that others write to. */
  readonly repeatable: boolean
  /** The COPY that takes the parts, into the table or one of the same columns. */
  readonly statement: (table: QualifiedName) => string
  /**
   * What it means when fewer rows stay than were sent: an error (Exact), rows that the COPY was told to leave out because
   * they do not convert (Rejects), or nothing, because a condition picks rows or nobody knows how many there are (Open).
   */
  readonly counting: 'Exact' | 'Rejects' | 'Open'
  /** Where the rows go that Greenplum refuses and logs; such a load has one part. */
  readonly rejects?: RejectsFile | undefined
}

/** `source -> schema.table`, for messages and the ledger. */
export function pairName(load: Pick<Load, 'name' | 'table'>): string {
  return `${load.name} -> ${objectName(load.table)}`
}

/**
 * Loads one part into a table within the session's transaction. The first fault ends the COPY by CopyFail, so that no
 * row of a damaged part is ever kept.
 */
export async function loadPart(
  session: PostgresConnection,
  load: Load,
  part: Part | SegmentPart,
  { into, lane, context }: { readonly into: QualifiedName; readonly lane: number; readonly context: RunContext },
): Promise<ObjectTotals> {
  const { signal, progress } = context
  const since = load.rejects === undefined ? [] : await segmentTimes(session)
  const received =
    'onSegments' in part
      ? await about(pairName(load), () => loadFromSegments(session, load, part, { into, signal }))
      : await send(session, load, part, { into, lane, context })
  const kept = keptRows(load, received)
  const { rawBytes, refused, copies } = received
  if (load.rejects !== undefined) {
    const { name, table } = load
    await bringBack(session, load.rejects, { name, table, into, since, rows: refused, copies }, context)
  }
  if (part.rows !== undefined) progress.moved(Number(kept.rows), 0)
  return { ...kept, rawBytes, fileBytes: part.storedBytes }
}

/** What became of a part's rows. */
export interface Received {
  readonly rawBytes: bigint
  readonly sent: bigint
  /** By CommandComplete. */
  readonly counted: bigint
  /** What the server says that it left out; it may be among those that it has counted. */
  readonly refused: bigint
  /** On how many segments each of the refused rows was refused. */
  readonly copies: number
}

interface Sending {
  readonly into: QualifiedName
  readonly lane: number
  readonly context: RunContext
}

async function send(
  session: PostgresConnection,
  load: Load,
  part: Part,
  { into, lane, context: { signal, progress } }: Sending,
): Promise<Received> {
  const copy = await copyIn(session, load.statement(into), { signal })
  const collect = createCollector()
  let rawBytes = 0n
  let sent = 0n
  try {
    for await (const { data, rows, release } of part.read({ number: lane, signal })) {
      rawBytes += BigInt(data.length)
      sent += BigInt(rows)
      progress.moved(rows, data.length)
      await copy.write(data, release)
      collect()
    }
  } catch (error) {
    await copy.fail(`pgpack: ${errorMessage(error)}`)
    throw error
  }
  const counted = await copy.end()
  const copies = copy.rejectedRows === 0n ? 1 : await copiesOfRows(session, into)
  return { rawBytes, sent: part.rows ?? sent, counted, refused: copy.rejectedRows / BigInt(copies), copies }
}

function keptRows(load: Load, { sent, counted, refused }: Received): Pick<ObjectTotals, 'rows' | 'rejectedRows'> {
  if (refused === 0n) return { rows: counted, rejectedRows: rejectedRows(load, sent, counted) }
  return { rows: load.counting === 'Rejects' ? sent - refused : counted, rejectedRows: refused }
}

function rejectedRows(load: Load, sent: bigint, taken: bigint): bigint {
  if (sent === taken || load.counting === 'Open') return 0n
  if (load.counting === 'Rejects' && taken < sent) return sent - taken
  throw new PgpackError('INTERNAL', `${pairName(load)}: ${sent} rows were sent but the table took ${taken}`)
}

import { PgpackError, toPgpackError } from '../errors.ts'
import { copyOut } from '../postgres/copy-out.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { SessionConfig, TransferObject, TransferRunConfig } from '../run/config.ts'
import type { Outcome } from '../run/result.ts'
import type { RunContext } from './context.ts'
import type { Lane, Part, Piece } from './load.ts'
import { runLoads } from './load-run.ts'
import { endReading, type Readers, withReaders } from './readers.ts'
import { addsRows, type TargetRequest } from './target.ts'
import { prepareTransfer } from './transfer-plan.ts'

export interface TransferRequest extends TargetRequest {
  readonly source: ConnectionConfig
  readonly objects: readonly TransferObject[]
  /** Of the source's sessions, and the statements that run there: before the snapshot, and after the last row. */
  readonly sourceSession?: SessionConfig | undefined
  readonly sourceBefore?: readonly string[] | undefined
  readonly sourceAfter?: readonly string[] | undefined
  readonly explain?: TransferRunConfig['explain']
}

/**
 * Moves rows from one database into another without a file between: what one COPY sends is what the other one takes,
 * unread, as binary. All objects are read in one snapshot; N connections are N pairs of a reader and a writer.
 */
export async function transfer(request: TransferRequest, context: RunContext): Promise<Outcome> {
  const { source, connections = 1, sourceSession, sourceBefore, sourceAfter = [] } = request
  const options = { session: sourceSession, before: sourceBefore, rehearsal: request.runMode === 'DryRun' }
  const move = async (readers: Readers) => {
    const { flavour, wire } = readers.leader
    // Greenplum packs several rows into a message, which are counted; TLS comes through JavaScript in pieces of 16 KiB.
    if (flavour !== 'Greenplum' && !wire.encrypted) context.onBytesOnly?.()
    const outcome = await runLoads(request, readers.leader.name, context, (session) =>
      prepareTransfer(session, readers, request, {
        ...context,
        partOf: (statement) => streamPart(readers, statement),
      }),
    )
    if (request.runMode !== 'DryRun' && sourceAfter.length > 0) await runAfter(readers, request, sourceAfter)
    return outcome
  }
  return withReaders(source, connections, context, move, options)
}

/** The rows have been committed by now: an attempt that would add them again must not be made of its own accord. */
async function runAfter(readers: Readers, { mode, runId }: TransferRequest, after: readonly string[]): Promise<void> {
  try {
    await endReading(readers, after)
  } catch (cause) {
    const { code, message, retryable, details } = toPgpackError(cause)
    throw new PgpackError(
      code,
      `the rows are in the target, but what runs on the source after them failed: ${message}`,
      {
        ...details,
        retryable: retryable && (runId !== undefined || !addsRows(mode)),
        cause,
      },
    )
  }
}

/** Nothing is gained by more where nothing is compressed, and a handful of chunks is on its way. */
const CHUNK_SIZE = 256 * 1024

/** What one COPY … TO STDOUT sends, by the reader of the lane that asks. */
function streamPart({ all }: Readers, statement: string): Part {
  return {
    storedBytes: 0n,
    async *read({ number, signal }: Lane): AsyncGenerator<Piece> {
      const reader = all[number]
      if (reader === undefined) throw new PgpackError('INTERNAL', `connection ${number} has nobody to read for it`)
      const copy = await copyOut(reader, statement, { signal, chunkSize: CHUNK_SIZE })
      let rows = 0n
      for await (const chunk of copy) {
        rows += BigInt(chunk.rows)
        yield chunk
      }
      if (copy.rowCount === rows) return
      throw new PgpackError('POSTGRES_PROTOCOL', `the source says that it sent ${copy.rowCount} rows; ${rows} came`)
    },
  }
}

import type { CompressionOptions } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import type { MetadataSpelling } from '../pgpack/columns.ts'
import { type PGPackSummary, PGPackWriter } from '../pgpack/writer.ts'
import { pgpackColumn } from '../postgres/catalog.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyOut, tuplesOnly } from '../postgres/copy-out.ts'
import type { ObjectStore } from '../storage/store.ts'
import { createCollector } from './collector.ts'
import type { RunContext } from './context.ts'
import type { DumpSource } from './source.ts'
import { together } from './together.ts'

export interface DumpTarget {
  readonly store: ObjectStore
  readonly key: string
  readonly compression: CompressionOptions
  readonly spelling?: MetadataSpelling
}

/**
 * Streams one object into one PGPack file, over as many sessions as there are. Resolves when the file is visible under
 * its key: after CommandComplete of every COPY and the upload's completion. On any failure nothing is left behind.
 */
export async function dumpObject(
  source: DumpSource,
  sessions: readonly PostgresConnection[],
  target: DumpTarget,
  context: RunContext,
): Promise<PGPackSummary> {
  const columns = source.columns.map(pgpackColumn)
  const { compression, spelling = 'released' } = target
  const headLength = PGPackWriter.headLength({ columns, spelling })
  const upload = target.store.upload(target.key, { signal: context.signal, headLength })
  try {
    const writer = new PGPackWriter(upload, { columns, compression, spelling })
    const sent = await copyAll(source, sessions, writer, context)
    const summary = await writer.finish()
    if (summary.rows !== sent) {
      throw new PgpackError('INTERNAL', `${source.name}: the server sent ${sent} rows but ${summary.rows} were written`)
    }
    context.progress.stored(Number(summary.fileBytes))
    context.progress.objectDone()
    return summary
  } catch (error) {
    await upload.abort()
    throw error
  }
}

/** Every statement once, each session taking the next one; resolves with the rows that the server says it sent. */
async function copyAll(
  source: DumpSource,
  sessions: readonly PostgresConnection[],
  writer: PGPackWriter,
  context: RunContext,
): Promise<bigint> {
  const statements = source.statements.values()
  const readers = sessions.slice(0, source.statements.length)
  const counts = await together(
    context.signal,
    readers.map((session) => async (signal) => {
      let rows = 0n
      for (const statement of statements) rows += await copyOne(session, statement, writer, { ...context, signal })
      return rows
    }),
  )
  return counts.reduce((sum, rows) => sum + rows, 0n)
}

async function copyOne(
  session: PostgresConnection,
  statement: string,
  writer: PGPackWriter,
  context: RunContext,
): Promise<bigint> {
  const copy = await copyOut(session, statement, { signal: context.signal })
  const collect = createCollector()
  for await (const chunk of tuplesOnly(copy)) {
    context.progress.moved(chunk.rows, chunk.data.length)
    await writer.writeRows(chunk.data, chunk.rows)
    context.progress.stored(writer.storedBytes)
    collect()
  }
  if (copy.rowCount === undefined) {
    throw new PgpackError('POSTGRES_PROTOCOL', 'the COPY ended without CommandComplete')
  }
  return copy.rowCount
}

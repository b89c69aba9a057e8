import type { PostgresConnection } from '../postgres/connection.ts'
import type { ObjectDump } from './dump-object.ts'
import type { DumpSource } from './source.ts'
import { together } from './together.ts'

/** What the pool needs of an object. */
export interface PooledDump extends Pick<ObjectDump, 'copy' | 'abort'> {
  readonly source: Pick<DumpSource, 'statements' | 'relation' | 'planned'>
}

/**
 * Dumps all objects over all sessions: each session takes the next statement, the largest object's first. Statements of
 * one object follow one another, so no more files are open at once than there are sessions. On any failure what is not
 * complete is removed before this rejects.
 */
export async function dumpAll(
  objects: readonly PooledDump[],
  sessions: readonly PostgresConnection[],
  signal: AbortSignal,
): Promise<void> {
  const largestFirst = [...objects].sort((one, other) => sizeOf(other) - sizeOf(one))
  const tasks = largestFirst
    .flatMap((object) => object.source.statements.map((statement) => ({ object, statement })))
    .values()
  try {
    await together(
      signal,
      sessions.map((session) => async (either) => {
        for (const { object, statement } of tasks) await object.copy(session, statement, either)
      }),
    )
  } catch (error) {
    await Promise.all(objects.map((object) => object.abort()))
    throw error
  }
}

/** A view or a query has no size of its own but what the planner guesses. */
function sizeOf({ source: { relation, planned } }: PooledDump): number {
  return relation !== undefined && relation.sizeBytes > 0 ? relation.sizeBytes : Number(planned.bytes)
}

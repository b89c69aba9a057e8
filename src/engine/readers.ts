import { connect, type PostgresConnection } from '../postgres/connection.ts'
import { exportSnapshot, importSnapshot } from '../postgres/snapshot.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { RunContext } from './context.ts'

/** Sessions that all see the database as it was at one moment. */
export interface Readers {
  /** The session that owns the snapshot; also in `all`. */
  readonly leader: PostgresConnection
  readonly all: readonly PostgresConnection[]
  /** Absent with one session, which needs to share nothing. */
  readonly snapshot: string | undefined
}

const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

/**
 * Opens `count` sessions in one snapshot, runs `work` and closes them all, whatever happened: a session that is closed
 * in the middle of a COPY is cancelled first, so that no backend is left behind.
 */
export async function withReaders<T>(
  config: ConnectionConfig,
  count: number,
  context: Pick<RunContext, 'signal' | 'log'>,
  work: (readers: Readers) => Promise<T>,
): Promise<T> {
  const opened: PostgresConnection[] = []
  const open = async () => {
    const connection = await connect(config, { signal: context.signal, applicationName: 'pgpack dump' })
    opened.push(connection)
    await connection.query(BEGIN)
    return connection
  }
  try {
    const leader = await open()
    const snapshot = count > 1 ? await exportSnapshot(leader) : undefined
    if (snapshot !== undefined) {
      for (let number = 1; number < count; number += 1) await importSnapshot(await open(), snapshot)
    }
    return await work({ leader, all: opened, snapshot })
  } finally {
    await Promise.all(opened.map((connection) => connection.close()))
  }
}

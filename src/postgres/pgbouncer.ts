import type pg from 'pg'
import { PgpackError } from '../errors.ts'
import type { Login } from './connection-login.ts'
import { guarded } from './wire.ts'

/** In a quiet pool the first round tells, in a busy one each. */
const ROUNDS = 5
/** Of a second session; a pool in session mode that is exhausted makes it wait. */
const PATIENCE_MS = 3000

/**
 * Refuses a pool between us and the server that gives each transaction another backend: PgBouncer with pool_mode
 * transaction or statement, and the like. What we set for the session would stay behind on a backend that is then
 * somebody else's, and snapshots, locks and temporary tables would be lost.
 *
 * A pool gives a cancel key of its own making, whose process id is not the backend's; that much the caller has seen.
 * No message tells the mode. But in session mode a backend is ours alone as long as the session lasts, so a second
 * session never gets it, and ours never changes; in the other modes one or the other soon happens.
 * @throws PgpackError CONFIG_INVALID
 */
export async function refuseTransactionPool(
  first: pg.Client,
  signal: AbortSignal,
  logInAgain: (signal: AbortSignal) => Promise<Login>,
): Promise<void> {
  const own = await backendOf(first)
  const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)])
  const shared = (await anotherGets(own, first, patience, logInAgain)) || (await backendOf(first)) !== own
  if (!shared) return
  throw new PgpackError(
    'CONFIG_INVALID',
    'a connection pool that gives each transaction another backend stands before the server (PgBouncer with ' +
      'pool_mode = transaction or statement); what is set for a session, and snapshots, need a backend of our own: ' +
      "give the server's own host and port, or those of a pool with pool_mode = session",
    { expected: 'a session with one backend', found: 'a backend that other sessions are given too' },
  )
}

/** Whether a second session is seen on the backend of the first, which does not end meanwhile, or the first on another. */
async function anotherGets(
  own: number,
  first: pg.Client,
  signal: AbortSignal,
  logInAgain: (signal: AbortSignal) => Promise<Login>,
): Promise<boolean> {
  const [second] = await Promise.allSettled([logInAgain(signal)])
  // The pool has no room for it, or no backend left: so none is shared.
  if (second.status === 'rejected') return false
  const { client, wire } = second.value
  const [answer] = await Promise.allSettled([guarded(wire.socket, signal, () => compare(own, first, client))])
  wire.socket.destroy()
  return answer.status === 'fulfilled' && answer.value
}

async function compare(own: number, first: pg.Client, second: pg.Client): Promise<boolean> {
  for (let round = 0; round < ROUNDS; round += 1) {
    if ((await backendOf(second)) === own || (await backendOf(first)) !== own) return true
  }
  return false
}

async function backendOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  const [row] = rows
  if (row === undefined) throw new PgpackError('POSTGRES_PROTOCOL', 'the server did not say which backend answers')
  return row.pid
}

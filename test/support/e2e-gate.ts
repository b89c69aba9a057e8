import { randomInt } from 'node:crypto'
import type pg from 'pg'
import { waitFor } from '../cluster/processes.ts'
import type { Database } from '../cluster/quickstart/databases.ts'

/** pg_locks shows a key below 2^31 as objid alone. */
const MAX_KEY = 2 ** 31 - 1

/**
 * A point in a database that no backend passes while the gate is closed: a run is held in the middle of its COPY for
 * exactly as long as a test wants. It is an advisory lock, which the test holds and the run asks for.
 */
export class Gate {
  readonly #database: Database
  readonly #holder: pg.Client
  readonly #key: number

  private constructor(database: Database, holder: pg.Client, key: number) {
    this.#database = database
    this.#holder = holder
    this.#key = key
  }

  static async close(database: Database): Promise<Gate> {
    const key = randomInt(1, MAX_KEY)
    const holder = await database.session()
    await holder.query('select pg_advisory_lock($1)', [key])
    return new Gate(database, holder, key)
  }

  /** The call that waits at the gate; of type void. */
  get passage(): string {
    return `pg_advisory_xact_lock_shared(${this.#key})`
  }

  /**
   * A query with 40 MiB of rows before the gate, so that a multipart upload is under way when it stops, and one row
   * behind it.
   */
  get query(): string {
    const before = 'select n, repeat(md5(n::text), 32) as filling from generate_series(1, 40960) as n'
    return `${before} union all select 0, ${this.passage}::text`
  }

  /** Backends that stand before the gate now. */
  async waiting(): Promise<number[]> {
    const rows = await this.#database.query<{ pid: number }>(
      `select pid from pg_locks where locktype = 'advisory' and classid = 0 and objid = $1 and not granted`,
      [this.#key],
    )
    return rows.map(({ pid }) => pid)
  }

  /** Waits until a backend other than the named one stands before the gate; its process ID. */
  reached(seconds = 60, otherThan?: number): Promise<number> {
    return waitFor('a backend has reached the gate', seconds * 1000, async () =>
      (await this.waiting()).find((pid) => pid !== otherThan),
    )
  }

  /** Waits until no backend stands before the gate any more; the seconds that it took. */
  async left(seconds: number): Promise<number> {
    const start = performance.now()
    await waitFor('no backend is left before the gate', seconds * 1000, async () =>
      (await this.waiting()).length === 0 ? true : undefined,
    )
    return (performance.now() - start) / 1000
  }

  /** Lets everyone pass, for good. */
  async open(): Promise<void> {
    await this.#holder.end()
  }
}

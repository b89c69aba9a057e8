import pg from 'pg'

/** A session that writes all the time, until it is stopped. */
export interface GenerationWriter {
  /** Resolves with the transactions that were committed. */
  stop(): Promise<number>
}

/**
 * Raises the column `generation` of every row, one transaction over all tables after another: so that one moment has one
 * generation, and what was read in two moments shows two.
 * @param tables as SQL names them
 */
export function writeGenerations(dsn: string, tables: readonly string[]): GenerationWriter {
  const updates = tables.map((table) => `UPDATE ${table} SET generation = generation + 1`).join('; ')
  let stopped = false
  const write = async (): Promise<number> => {
    const client = new pg.Client({ connectionString: dsn })
    await client.connect()
    try {
      let writes = 0
      for (; !stopped; writes += 1) await client.query(`BEGIN; ${updates}; COMMIT`)
      return writes
    } finally {
      await client.end()
    }
  }
  const done = write()
  return {
    stop: () => {
      stopped = true
      return done
    },
  }
}

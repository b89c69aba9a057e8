import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { WritableMethod } from '../../../src/compression/method.ts'
import { dumpFile } from '../../../src/engine/dump.ts'
import { restoreFile } from '../../../src/engine/restore.ts'
import type { DumpFormat } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { failureOf, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(180_000)

const MEBIBYTE = 1024 ** 2

describe('rows of hundreds of megabytes', () => {
  const postgres = usePostgres({
    setup: 'CREATE UNLOGGED TABLE copied (id int, body text); ALTER TABLE copied ALTER body SET STORAGE EXTERNAL',
  })
  const folder = useFolder()
  let store: FilesystemStore

  beforeEach(() => {
    store = new FilesystemStore(folder.path)
  })

  /** Dumps a query into a file. */
  const dump = (sql: string, method: WritableMethod, format: DumpFormat = 'PGPack') => {
    const source = postgres.database.config
    const object = { query: { name: 'large', sql } }
    const compression = { method }
    return dumpFile({ source, object, connections: 1, compression, store, key: 'large.pgpack', format }, testContext())
  }

  it.each([
    { method: 'Zstd', mebibytes: 200 },
    { method: 'LZ4', mebibytes: 40 },
    { method: 'None', mebibytes: 40 },
  ] as const)(
    'come back as they were, between small ones: $mebibytes MiB with $method',
    async ({ method, mebibytes }) => {
      const sizes = [10, mebibytes * MEBIBYTE, 20, 20 * MEBIBYTE, 30]
      const rows = sizes.map((size, index) => `(${index}, ${Math.ceil(size / 8)})`)
      // Of a constant the planner would make the value, at each look at the query.
      const query = `SELECT id, repeat(id || 'bcdefgh', times) AS body FROM (VALUES ${rows.join(', ')}) AS t (id, times)`
      expect((await dump(query, method)).totals.rows).toBe('5')
      const target = postgres.database.config
      const place = { store, key: 'large.pgpack', table: { schema: 'public', name: 'copied' } }
      const restored = await restoreFile({ target, mode: 'Append', ...place }, testContext())
      expect(restored.totals.rows).toBe('5')
      const [found] = await postgres.database.query<{ rows: number; equal: number }>(
        `SELECT count(*)::int AS rows, count(*) FILTER (WHERE copied.body = expected.body)::int AS equal
         FROM copied FULL JOIN (${query}) AS expected USING (id)`,
      )
      expect(found).toEqual({ rows: 5, equal: 5 })
    },
  )

  it.each(['Binary', 'Text'] as const)('go into a file as %s without one waiting for the next', async (format) => {
    const query = `SELECT i, repeat(repeat('x', 1024), ${12 * 1024}) FROM generate_series(1, 8) i`
    expect((await dump(query, 'None', format)).totals.rows).toBe('8')
  })

  it('that the server itself cannot send end the dump with its reason, and leave no file', async () => {
    // Of short pieces the server would take ten seconds to make it.
    const query = `SELECT repeat(repeat('a', 1024), 1024 * mebibytes) AS a, repeat(repeat('b', 1024), 1024 * mebibytes) AS b
      FROM generate_series(600, 600) AS mebibytes`
    const error = await failureOf(dump(query, 'None'))
    expect(error).toMatchObject({ code: 'POSTGRES_STATEMENT', retryable: false })
    expect(error.message).toMatch(/buffer|memory alloc/)
    await expect(store.stat('large.pgpack', new AbortController().signal)).rejects.toMatchObject({
      code: 'STORE_NO_OBJECT',
    })
  })
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import type { SessionConfig } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { openArtifact } from '../../support/artifact.ts'
import { failureOf, testContext, useFolder } from '../../support/engine.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'

jest.setTimeout(120_000)

describe('a standby', () => {
  const folder = useFolder()
  let server: PostgresServer
  let database: string

  beforeAll(async () => {
    server = await startPostgres()
    const { name, query } = await server.createDatabase()
    database = name
    await query(`CREATE TABLE orders (id int, note text);
      INSERT INTO orders SELECT i, repeat('note ', 20) FROM generate_series(1, 5000) i`)
    // A server that finds this at its start stays in recovery and answers what only reads.
    const [file, text] = testedMajor >= 12 ? ['standby.signal', ''] : ['recovery.conf', "standby_mode = 'on'"]
    await writeFile(join(server.socketDirectory, 'data', file), text)
    await server.restart()
  }, 120_000)
  afterAll(async () => server.stop(), 60_000)

  const dumpBy = (connections: number, session?: SessionConfig) => {
    const store = new FilesystemStore(folder.path)
    const objects = [{ table: { schema: 'public', name: 'orders' } }]
    const request = { source: server.config(database), objects, connections, store, path: 'run', session }
    return dump({ ...request, compression: { method: 'None' } }, testContext())
  }

  it.each([1, 3])('is read as a primary is, by %s connections', async (connections) => {
    const { totals } = await dumpBy(connections)
    expect(totals.rows).toBe('5000')
    const { manifest } = await openArtifact(new FilesystemStore(folder.path), 'run')
    expect(manifest.server.inRecovery).toBe(true)
    expect(manifest.snapshot === undefined).toBe(connections === 1)
  })

  it('has no serializable snapshot, which is said before anything is read', async () => {
    const error = await failureOf(dumpBy(2, { isolation: 'Serializable' }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    expect(error.message).toMatch(/is a standby.*use RepeatableRead/)
  })
})

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore } from '../../../src/engine/restore.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { readManifest } from '../../../src/storage/manifest.ts'
import { backendsGone, failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const ROWS = 80_000
const postgres = usePostgres({
  setup: `
    CREATE TABLE events (id int, note text);
    INSERT INTO events SELECT i, md5(i::text) || repeat('x', 60) FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE copied (LIKE events);`,
})
const folder = useFolder()
let store: FilesystemStore
const sql = (text: string) => postgres.database.query(text)

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  const objects = [{ table: { schema: 'public', name: 'events' } }]
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'p' }
  await dump({ ...request, compression: { method: 'Zstd', level: 1 } }, testContext())
})

function load(changes: Partial<ArtifactRestoreRequest> = {}, context = testContext()) {
  const objects = [{ from: 'public.events', to: { schema: 'public', name: 'copied' } }]
  const target = postgres.database.config
  return restore({ store, path: 'p', target, mode: 'Append', objects, connections: 3, ...changes }, context)
}

const parts = () => sql(`SELECT part, parts, rows::int FROM pgpack.ledger WHERE object <> '' ORDER BY part`)
async function expectWhole(): Promise<void> {
  expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'events'))
}

describe('a restore over several connections', () => {
  it('loads each part of the file once, and tells its progress to the end', async () => {
    const context = testContext()
    const { totals } = await load({ runId: 'uid-1' }, context)
    const { manifest } = await readManifest(store, 'p', context.signal)
    const [object] = manifest.objects
    expect(totals).toMatchObject({ objects: 1, rows: String(ROWS) })
    expect((await parts()).map(({ part, parts: of }) => [part, of])).toEqual([0, 1, 2].map((part) => [part, 3]))
    expect(context.reports.at(-1)).toMatchObject({ objectsDone: 1, rows: String(ROWS), percent: 100 })
    expect(BigInt(context.reports.at(-1)?.storedBytes ?? 0)).toBeLessThanOrEqual(BigInt(object?.storedBytes ?? 0))
    await expectWhole()
    await backendsGone(postgres.server)
  })

  it.each(['Append', 'Truncate'] as const)(
    'goes on with the parts that the attempt before did not load (%s)',
    async (mode) => {
      await sql(`INSERT INTO copied VALUES (-1, 'old'); ALTER TABLE copied ADD CONSTRAINT no CHECK (id <> ${ROWS})`)
      await failureOf(load({ runId: 'uid-1', mode }))
      await sql('ALTER TABLE copied DROP CONSTRAINT no')
      const { totals } = await load({ runId: 'uid-1', mode })
      expect(totals.rows).toBe(String(ROWS))
      await sql('DELETE FROM copied WHERE id = -1')
      await expectWhole()
      expect((await parts()).reduce((sum, { rows }) => sum + Number(rows), 0)).toBe(ROWS)
    },
  )

  it('empties the table once for a run, and not what an attempt of it has loaded', async () => {
    await load({ runId: 'uid-1', mode: 'Truncate' })
    await sql(`DELETE FROM pgpack.ledger WHERE object = '' OR part = 1`)
    const [found] = await sql(`SELECT sum(rows)::int AS rows FROM pgpack.ledger`)
    await sql(`DELETE FROM copied WHERE id IN (SELECT id FROM copied ORDER BY id OFFSET ${Number(found?.['rows'])})`)
    await load({ runId: 'uid-1', mode: 'Truncate' })
    expect((await fingerprint(postgres.database, 'copied')).rows).toBe(String(ROWS))
  })

  it('refuses to go on with other parts than the run was begun with', async () => {
    await load({ runId: 'uid-1' })
    await sql(`DELETE FROM pgpack.ledger WHERE object = '' OR part = 1`)
    for (const connections of [1, 2]) {
      const error = await failureOf(load({ runId: 'uid-1', connections }))
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
      expect(error.message).toContain('in 3 parts')
    }
  })

  it('loads a run once where two pods of it are at work', async () => {
    const [one, other] = await Promise.all([load({ runId: 'uid-1' }), load({ runId: 'uid-1' })])
    expect(one.totals).toEqual(other.totals)
    await expectWhole()
  })

  it.each(['Append', 'Truncate', 'Replace'] as const)('keeps no row of a file that was changed (%s)', async (mode) => {
    const path = join(folder.path, 'p')
    const name = (await readdir(path)).find((file) => file.endsWith('.pgpack')) ?? ''
    const bytes = await readFile(join(path, name))
    const middle = bytes.length >> 1
    bytes[middle] = (bytes[middle] ?? 0) ^ 1
    await writeFile(join(path, name), bytes)
    await sql(`INSERT INTO copied VALUES (-1, 'old')`)
    expect(await failureOf(load({ mode }))).toMatchObject({ code: 'MANIFEST_MISMATCH', retryable: false })
    expect(await sql('SELECT id FROM copied')).toEqual([{ id: -1 }])
  })

  it('warns that a file without a manifest takes one connection, and loads it', async () => {
    const { restoreFile } = await import('../../../src/engine/restore.ts')
    const [name] = (await readdir(join(folder.path, 'p'))).filter((file) => file.endsWith('.pgpack'))
    const warn = jest.fn()
    const context = testContext()
    const log = { ...context.log, warn } as unknown as typeof context.log
    const table = { schema: 'public', name: 'copied' }
    const request = { store, key: `p/${name}`, table, target: postgres.database.config, mode: 'Append' as const }
    await restoreFile({ ...request, connections: 4 }, { ...context, log })
    expect(warn).toHaveBeenCalledWith(
      expect.objectContaining({ connections: 4 }),
      expect.stringContaining('one connection'),
    )
    await expectWhole()
  })
})

import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { readManifest } from '../../../src/storage/manifest.ts'
import { testContext, useFolder } from '../../support/engine.ts'
import { writeGenerations } from '../../support/generations.ts'
import { usePostgres } from '../../support/postgres.ts'

const ROWS = 1000
/** Each update of all rows is one transaction, so a moment of the table has one generation and all rows. */
jest.setTimeout(60_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE generations (id int PRIMARY KEY, generation int NOT NULL, filler text);
    INSERT INTO generations SELECT i, 0, repeat('x', 200) FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE twin (LIKE generations);
    INSERT INTO twin SELECT * FROM generations;
    CREATE TABLE copy_1 (LIKE generations); CREATE TABLE copy_2 (LIKE generations);`,
})
const folder = useFolder()

describe('a dump while another session writes', () => {
  let store: FilesystemStore
  beforeEach(() => {
    store = new FilesystemStore(folder.path)
  })

  it.each([1, 4])('is of one moment over all tables and blocks, by %s connections', async (connections) => {
    const source = postgres.database.config
    const objects = ['generations', 'twin'].map((name) => ({ table: { schema: 'public', name } }))
    const writer = writeGenerations(postgres.database.dsn, ['generations', 'twin'])
    for (let attempt = 0; attempt < 4; attempt += 1) {
      await dump(
        { source, objects, connections, compression: { method: 'None' }, store, path: `run/${attempt}` },
        testContext(),
      )
    }
    expect(await writer.stop()).toBeGreaterThan(4)
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const to = [
        { from: 'public.generations', to: { schema: 'public', name: 'copy_1' } },
        { from: 'public.twin', to: { schema: 'public', name: 'copy_2' } },
      ]
      await restore({ store, path: `run/${attempt}`, target: source, mode: 'Truncate', objects: to }, testContext())
      const moments = await postgres.database.query(
        'SELECT generation, count(*)::int AS rows, count(DISTINCT id)::int AS ids FROM (TABLE copy_1 UNION ALL TABLE copy_2) t GROUP BY 1',
      )
      expect(moments).toEqual([{ generation: expect.any(Number), rows: 2 * ROWS, ids: ROWS }])
    }
  })

  it('names its snapshot in the manifest when several connections share it', async () => {
    const source = postgres.database.config
    const objects = [{ table: { schema: 'public', name: 'twin' } }]
    const { artifact } = await dump(
      { source, objects, connections: 2, compression: { method: 'None' }, store, path: 'run' },
      testContext(),
    )
    const { manifest } = await readManifest(store, artifact.path, new AbortController().signal)
    expect(manifest.snapshot).toMatch(/^[0-9A-F]+-[0-9A-F]+-\d+$/)
  })
})

import { describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import type { ObjectUpload, UploadOptions } from '../../../src/storage/store.ts'
import { openArtifact } from '../../support/artifact.ts'
import { fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { writeGenerations } from '../../support/generations.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const SIZES = [40, 3000, 0, 700, 9000, 5]

const postgres = usePostgres({
  setup: SIZES.map(
    (rows, index) => `CREATE TABLE t${index} (id int, generation int NOT NULL, filler text);
      INSERT INTO t${index} SELECT i, 0, repeat('x', 200) FROM generate_series(1, ${rows}) i; ANALYZE t${index};`,
  ).join('\n'),
})
const folder = useFolder()
const objects: DumpObject[] = [{ tables: { schema: 'public', include: ['t*'], exclude: [] } }]
const none = { method: 'None' } as const

/** Notes which files are opened, and how many are open at once. */
class WatchedStore extends FilesystemStore {
  readonly opened: string[] = []
  mostOpen = 0
  #open = 0

  override upload(key: string, options: UploadOptions): ObjectUpload {
    const upload = super.upload(key, options)
    this.opened.push(key)
    this.#open += 1
    this.mostOpen = Math.max(this.mostOpen, this.#open)
    const complete = upload.complete.bind(upload)
    upload.complete = async (head) => {
      const info = await complete(head)
      this.#open -= 1
      return info
    }
    return upload
  }
}

describe('several objects by several connections', () => {
  it('all arrive, the largest first, with no more files open than connections', async () => {
    const store = new WatchedStore(folder.path)
    const context = testContext()
    const source = postgres.database.config
    const { totals, artifact } = await dump(
      { source, objects, connections: 3, compression: none, store, path: 'run' },
      context,
    )
    expect(store.opened.slice(0, 3)).toEqual(['run/public.t4.pgpack', 'run/public.t1.pgpack', 'run/public.t3.pgpack'])
    expect(store.mostOpen).toBeLessThanOrEqual(3)
    const { manifest, load } = await openArtifact(store, artifact.path)
    expect(manifest.objects.map(({ name, rows }) => [name, rows])).toEqual(
      SIZES.map((rows, index) => [`public.t${index}`, String(rows)]),
    )
    for (const index of SIZES.keys()) {
      await postgres.database.query(`CREATE TABLE copied_${index} (LIKE t${index})`)
      await load(`public.t${index}`, postgres.database, `copied_${index}`)
      expect(await fingerprint(postgres.database, `copied_${index}`)).toEqual(
        await fingerprint(postgres.database, `t${index}`),
      )
    }
    const sum = SIZES.reduce((all, rows) => all + rows, 0)
    expect(totals).toMatchObject({ objects: SIZES.length, rows: String(sum) })
    expect(context.reports.at(-1)).toMatchObject({
      objects: SIZES.length,
      objectsDone: SIZES.length,
      rows: totals.rows,
      storedBytes: totals.storedBytes,
      percent: 100,
    })
    const stored = context.reports.map(({ storedBytes }) => BigInt(storedBytes))
    expect(stored.every((bytes, index) => index === 0 || bytes >= (stored[index - 1] ?? 0n))).toBe(true)
  })

  it('are of one moment while another session writes', async () => {
    const store = new FilesystemStore(folder.path)
    const writer = writeGenerations(
      postgres.database.dsn,
      SIZES.map((_, index) => `t${index}`),
    )
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const source = postgres.database.config
      await dump({ source, objects, connections: 4, compression: none, store, path: `run/${attempt}` }, testContext())
    }
    expect(await writer.stop()).toBeGreaterThan(3)
    await postgres.database.query('CREATE TABLE moments (id int, generation int, filler text)')
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await postgres.database.query('TRUNCATE moments')
      const { load } = await openArtifact(store, `run/${attempt}`)
      for (const index of SIZES.keys()) await load(`public.t${index}`, postgres.database, 'moments')
      const sum = SIZES.reduce((all, rows) => all + rows, 0)
      expect(
        await postgres.database.query(
          'SELECT count(DISTINCT generation)::int AS moments, count(*)::int AS rows FROM moments',
        ),
      ).toEqual([{ moments: 1, rows: sum }])
    }
  })
})

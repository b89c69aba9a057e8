import { describe, expect, it, jest } from '@jest/globals'
import { WRITABLE_METHODS } from '../../../src/compression/method.ts'
import { dump } from '../../../src/engine/dump.ts'
import { restore } from '../../../src/engine/restore.ts'
import type { DumpFormat } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

/** A store reads in pieces of one or two MiB, and what is compressed well would fit into the first. */
const postgres = usePostgres({
  setup: `
    CREATE UNLOGGED TABLE noise AS SELECT i AS id, md5(i::text) || md5((-i)::text) AS body FROM generate_series(1, 120000) i;
    CREATE UNLOGGED TABLE copied (LIKE noise);`,
})
const folder = useFolder()

const CASES = WRITABLE_METHODS.flatMap((method) => [
  { method, format: 'PGPack', connections: 1 },
  { method, format: 'PGPack', connections: 2 },
  { method, format: 'CSV', connections: 1 },
]) satisfies { format: DumpFormat }[]

describe('a file of many pieces as a store reads it', () => {
  it.each(CASES)('comes back as it was: $format, $method, $connections', async ({ method, format, connections }) => {
    const { config } = postgres.database
    const place = { store: new FilesystemStore(folder.path), path: 'p' }
    const objects = [{ table: { schema: 'public', name: 'noise' } }]
    const made = await dump(
      { source: config, objects, connections, compression: { method }, format, ...place },
      testContext(),
    )
    expect(Number(made.totals.storedBytes)).toBeGreaterThan(4 * 1024 ** 2)
    const into = [{ from: 'public.noise', to: { schema: 'public', name: 'copied' } }]
    await restore({ target: config, mode: 'Append', objects: into, connections, ...place }, testContext())
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'noise'))
  })
})

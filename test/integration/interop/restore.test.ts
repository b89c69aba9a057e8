import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { restoreFile } from '../../../src/engine/restore.ts'
import { RESTORE_MODES } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'
import { REFERENCE_METHODS, referenceServer, resultOf, runReference } from '../../support/reference.ts'

const METHODS = ['None', 'LZ4', 'Zstd'] as const
const TIMEOUT = 300_000
const COLUMNS = `first int GENERATED ALWAYS AS (length(t)) STORED, id int, t text,
  middle text GENERATED ALWAYS AS (t || id) STORED, at timestamptz, last bigint GENERATED ALWAYS AS (id * 2) STORED`

const fixture = usePostgres({
  authentication: 'scram-sha-256',
  setup: `CREATE TABLE source (${COLUMNS});
    INSERT INTO source (id, t, at) SELECT i, 'text ' || i, '2026-11-21Z'::timestamptz + i * interval '1 hour' FROM generate_series(1, 5000) i`,
})
const folder = useFolder()

/** Lets the reference dump `source` by each method into a file of the method's name. */
async function dumpByReference(methods: readonly (typeof METHODS)[number][]): Promise<void> {
  const server = referenceServer(fixture.database)
  const steps = methods.map((method) => ({
    do: 'read_dump' as const,
    server,
    table: 'source',
    path: join(folder.path, method),
    method: REFERENCE_METHODS[method],
  }))
  for (const result of await runReference(steps)) resultOf(result)
}

const restoreInto = (name: string, key: string, mode: (typeof RESTORE_MODES)[number] = 'Append') =>
  restoreFile(
    {
      store: new FilesystemStore(folder.path),
      key,
      target: fixture.database.config,
      mode,
      table: { schema: 'public', name },
    },
    testContext(),
  )

describe('a dump by the reference of a table with generated columns, which its rows leave out', () => {
  it(
    'is restored into a table that generates the same ones, wherever they stand',
    async () => {
      await dumpByReference(METHODS)
      await fixture.database.query(`CREATE TABLE target (${COLUMNS})`)
      for (const method of METHODS) {
        for (const mode of RESTORE_MODES) {
          await fixture.database.query('TRUNCATE target')
          expect((await restoreInto('target', method, mode)).totals).toMatchObject({ rows: '5000' })
          expect(await fingerprint(fixture.database, 'target')).toEqual(await fingerprint(fixture.database, 'source'))
        }
      }
    },
    TIMEOUT,
  )

  it(
    'is refused before a row moves where the table generates more of them, fewer of them, or none',
    async () => {
      await dumpByReference(['Zstd'])
      const given = 'id int, t text, at timestamptz'
      const tables = {
        none: [`first int, ${given}, middle text, last bigint`, 6],
        fewer: [`first int, ${given}, middle text, last bigint GENERATED ALWAYS AS (id * 2) STORED`, 5],
        more: [COLUMNS.replace('at timestamptz', 'at timestamptz GENERATED ALWAYS AS (NULL) STORED'), 2],
      } as const
      for (const [name, [columns, expected]] of Object.entries(tables)) {
        await fixture.database.query(`CREATE TABLE ${name} (${columns}); INSERT INTO ${name} (id) VALUES (-1)`)
        const error = await failureOf(restoreInto(name, 'Zstd', 'Truncate'))
        expect(error).toMatchObject({
          code: 'TARGET_MISMATCH',
          retryable: false,
          details: { expected: `${expected} fields`, found: '3 fields' },
        })
        expect(error.message).toContain(
          `Zstd does not fit table public.${name}: its rows hold 3 fields for 6 columns, ${6 - expected} of which`,
        )
        expect(await fixture.database.query(`SELECT id FROM ${name}`)).toEqual([{ id: -1 }])
      }
    },
    TIMEOUT,
  )
})

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { run } from '../../cluster/processes.ts'
import { repositoryDirectory } from '../../cluster/settings.ts'
import { fingerprint, useFolder } from '../../support/engine.ts'
import { useExamples } from '../../support/examples.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(180_000)

const EXAMPLES = join(repositoryDirectory, 'examples/coming-from-pgpack-dumper')
const LIBRARY = join(repositoryDirectory, 'src/pgpack/index.ts')
const COLUMNS = '(id bigint, kind text, happened_at timestamptz, details jsonb)'

const source = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TABLE user_events ${COLUMNS};
    INSERT INTO user_events
    SELECT n, (ARRAY['click', 'view', 'buy'])[1 + n % 3], '2026-11-01 00:00:00+00'::timestamptz + n * interval '1 minute', '{}'
    FROM generate_series(1, 9000) AS n`,
})
const target = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TABLE user_events ${COLUMNS};
    CREATE TABLE events_copy ${COLUMNS};
    CREATE TABLE clicks (id bigint, happened_at timestamptz);
    CREATE TABLE kinds (kind text, events bigint)`,
})
const folder = useFolder()

const shell = useExamples('coming-from-pgpack-dumper', folder, () => ({
  SOURCE_DSN: source.database.dsn,
  TARGET_DSN: target.database.dsn,
}))

async function example(file: string): Promise<string> {
  if (file.endsWith('.sh')) return shell(file)
  const code = await readFile(join(folder.path, file), 'utf8')
  await writeFile(join(folder.path, file), code.replace("'pgpack-operator/pgpack'", JSON.stringify(LIBRARY)))
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', file], { cwd: folder.path })
}

const countIn = async (table: string) => (await fingerprint(target.database, table)).rows

describe('the examples for people who come from pgpack_dumper', () => {
  it('are named on their page, all of them', async () => {
    const page = await readFile(join(repositoryDirectory, 'docs/coming-from-pgpack-dumper.md'), 'utf8')
    for (const file of await readdir(EXAMPLES)) expect(page).toContain(file)
  })

  it('dump, restore, read as rows and take rows in, in this order', async () => {
    expect(await example('read_dump.sh')).toContain('LZ4')
    await example('write_dump.sh')
    expect(await fingerprint(target.database, 'user_events')).toEqual(await fingerprint(source.database, 'user_events'))
    expect(await countIn('clicks')).toBe('3000')
    expect(await example('to_reader.ts')).toBe('3000 clicks\n')
    await example('from_rows.sh')
    expect(
      await target.database.query("SELECT id, details FROM user_events WHERE kind = 'imported' ORDER BY id"),
    ).toEqual([
      { id: '1000001', details: { from: 'ndjson' } },
      { id: '1000002', details: null },
    ])
  })

  it('move a table and a query between two databases', async () => {
    await example('write_between.sh')
    expect(await fingerprint(target.database, 'events_copy')).toEqual(await fingerprint(source.database, 'user_events'))
    expect(await target.database.query('SELECT kind, events FROM kinds ORDER BY kind')).toEqual([
      { kind: 'buy', events: '3000' },
      { kind: 'click', events: '3000' },
      { kind: 'view', events: '3000' },
    ])
  })

  it('run SQL before and after a query on its own session', async () => {
    expect(await example('multiquery.sh')).toMatch(/2026-11-01 +\| 1439/)
  })
})

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type ArtifactDumpRequest, dump } from '../../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore } from '../../../../src/engine/restore.ts'
import { restoreRows } from '../../../../src/engine/restore-rows.ts'
import { PgpackError } from '../../../../src/errors.ts'
import { type LogFields, silentLogger } from '../../../../src/log.ts'
import { FilesystemStore } from '../../../../src/storage/filesystem.ts'
import { collect } from '../../../support/bytes.ts'
import { readCSV } from '../../../support/csv.ts'
import { failureOf, keysIn, testContext, useFolder } from '../../../support/engine.ts'
import { useGreenplum } from '../../../support/greenplum.ts'

jest.setTimeout(120_000)

const ROWS = 3000
/** `source` has text where `numbers` wants a number: in every hundredth note, and in the key of every thousandth row. */
const greenplum = useGreenplum(`
  CREATE TABLE source AS SELECT CASE WHEN i % 1000 = 0 THEN 'y' ELSE i::text END AS id,
    CASE WHEN i % 100 = 0 THEN 'x, "' || i || '"' ELSE i::text END AS note
  FROM generate_series(1, ${ROWS}) i DISTRIBUTED BY (id)`)
const REFUSED = ROWS / 100
const folder = useFolder()
const sql = (text: string) => greenplum.query(text)
const never = new AbortController().signal
let store: FilesystemStore

const dumped = (changes: Partial<ArtifactDumpRequest> = {}) =>
  dump(
    {
      source: greenplum.config,
      objects: [{ table: { schema: 'public', name: 'source' } }],
      connections: 1,
      compression: { method: 'None' },
      format: 'CSV',
      store,
      path: 'run',
      ...changes,
    },
    testContext(),
  )

const COPY_OPTIONS = { segmentRejectLimit: { count: 1000 }, logErrors: true }

function restored(changes: Partial<ArtifactRestoreRequest> = {}, context = testContext()) {
  const objects = [{ from: 'public.source', to: { schema: 'copied', name: 'numbers' } }]
  const request = { store, path: 'run', target: greenplum.config, mode: 'Append' as const, objects }
  return restore({ ...request, copyOptions: COPY_OPTIONS, runId: 'uid-1', ...changes }, context)
}

/** A store whose credentials can only read. */
class ReadOnlyStore extends FilesystemStore {
  override upload(): never {
    throw new PgpackError('STORE_DENIED', 'this user may not write')
  }
}

const rejectsIn = async (key: string, of = store) => readCSV(String(await collect(of.read(key, never))))
const KEY = 'run/rejects/uid-1/copied.numbers/public.source.csv'

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  await sql(`DROP SCHEMA IF EXISTS copied, pgpack CASCADE; CREATE SCHEMA copied;
    CREATE TABLE copied.numbers (id int, note int) DISTRIBUTED BY (id)`)
  await dumped()
})

describe('rows that a restore leaves out', () => {
  it.each([
    ['Append', 'All'],
    ['Append', 'PerObject'],
    ['Truncate', 'All'],
    ['Replace', 'All'],
    ['Replace', 'PerObject'],
  ] as const)('lie beside the manifest under %s, %s', async (mode, transaction) => {
    const { totals, rejects } = await restored({ mode, transaction })
    expect(totals).toMatchObject({ rows: String(ROWS - REFUSED), rejectedRows: String(REFUSED) })
    expect(rejects).toBe('run/rejects/uid-1')
    const rows = await rejectsIn(KEY)
    expect(rows).toHaveLength(REFUSED)
    for (const row of rows) {
      expect(row).toMatchObject({
        relname: 'numbers',
        filename: 'public.source',
        segment: expect.stringMatching(/^[01]$/),
      })
      expect(row['errmsg']).toContain('invalid input syntax for integer')
      expect(row['rawdata']).toMatch(/^(y|\d+00),"x, ""\d+00"""$/)
    }
    const lines = rows.map(({ linenum }) => Number(linenum))
    expect(lines).toEqual(lines.toSorted((one, other) => one - other))
    expect(await keysIn(store)).toEqual(['run/manifest.json', 'run/public.source.csv', KEY])
  })

  it('are those of this load alone, and the log of the server stays', async () => {
    await restored({ runId: 'uid-0' })
    await restored()
    expect(await rejectsIn(KEY)).toHaveLength(REFUSED)
    expect(await sql(`SELECT count(*)::int AS logged FROM gp_read_error_log('copied.numbers')`)).toEqual([
      { logged: 2 * REFUSED },
    ])
  })

  it('are told apart from those of a load beside it, or this is said', async () => {
    const warnings: string[] = []
    const log = { ...silentLogger, warn: (_: LogFields, message: string) => warnings.push(message) }
    const runs = ['uid-1', 'uid-2', 'uid-3']
    const outcomes = await Promise.all(runs.map((runId) => restored({ runId }, { ...testContext(), log })))
    expect(outcomes.map(({ totals }) => totals.rejectedRows)).toEqual(runs.map(() => String(REFUSED)))
    let mixed = 0
    for (const runId of runs) {
      const rows = await rejectsIn(KEY.replace('uid-1', runId))
      expect(rows.length).toBeGreaterThanOrEqual(REFUSED)
      if (rows.length > REFUSED) mixed += 1
    }
    expect(warnings.filter((line) => line.includes('rows of other loads'))).toHaveLength(mixed)
  })

  it('are each once for a replicated table, whose segments all refuse them', async () => {
    await sql('DROP TABLE copied.numbers; CREATE TABLE copied.numbers (id int, note int) DISTRIBUTED REPLICATED')
    const { totals } = await restored()
    expect(totals).toMatchObject({ rows: String(ROWS - REFUSED), rejectedRows: String(REFUSED) })
    expect(await sql('SELECT count(*)::int AS rows FROM copied.numbers')).toEqual([{ rows: ROWS - REFUSED }])
    expect(await rejectsIn(KEY)).toHaveLength(REFUSED)
  })

  it('of a partitioned table are read of it', async () => {
    await sql(`DROP TABLE copied.numbers; CREATE TABLE copied.numbers (id int, note int) DISTRIBUTED BY (id)
      PARTITION BY RANGE (id) (START (0) END (5000) EVERY (1000))`)
    await restored()
    expect(await rejectsIn(KEY)).toHaveLength(REFUSED)
  })

  it('are many, and pass through a little memory', async () => {
    const many = 200_000
    await sql(`CREATE TABLE copied.wrong AS SELECT CASE WHEN i % 10 = 0 THEN i::text ELSE 'x' END AS id, repeat('n', 200) AS note
      FROM generate_series(1, ${many}) i DISTRIBUTED BY (id); CREATE TABLE copied.right (id int, note text) DISTRIBUTED BY (note)`)
    const table = { schema: 'copied', name: 'wrong' }
    await dumped({ objects: [{ table }], path: 'many' })
    const before = process.memoryUsage().rss
    const { totals } = await restored({
      path: 'many',
      objects: [{ from: 'copied.wrong', to: { schema: 'copied', name: 'right' } }],
      copyOptions: { segmentRejectLimit: { count: 1_000_000 }, logErrors: true },
    })
    expect(totals.rejectedRows).toBe(String(many * 0.9))
    const { size } = await store.stat('many/rejects/uid-1/copied.right/copied.wrong.csv', never)
    expect(size).toBeGreaterThan(50_000_000)
    expect(process.memoryUsage().rss - before).toBeLessThan(size)
  })

  it('go where they are told to', async () => {
    const { rejects } = await restored({ rejects: { store, path: 'elsewhere' } })
    expect(rejects).toBe('elsewhere')
    expect(await rejectsIn('elsewhere/copied.numbers/public.source.csv')).toHaveLength(REFUSED)
  })

  it('are not there when there are none', async () => {
    await sql('DROP TABLE copied.numbers; CREATE TABLE copied.numbers (id text, note text) DISTRIBUTED BY (id)')
    expect(await restored()).not.toHaveProperty('rejects')
    expect(await keysIn(store)).toEqual(['run/manifest.json', 'run/public.source.csv'])
  })

  it('are only counted without logErrors', async () => {
    const outcome = await restored({ copyOptions: { segmentRejectLimit: { count: 1000 } } })
    expect(outcome.totals.rejectedRows).toBe(String(REFUSED))
    expect(outcome).not.toHaveProperty('rejects')
    expect(await keysIn(store)).not.toContain(KEY)
  })
})

describe('a restore that fails', () => {
  const NO = 'ALTER TABLE copied.numbers ADD CONSTRAINT no CHECK (id <> 2999)'

  it.each(['Append', 'Truncate', 'Replace'] as const)('leaves no refused rows behind under %s', async (mode) => {
    await sql(NO)
    for (const transaction of ['All', 'PerObject'] as const) {
      expect(await failureOf(restored({ mode, transaction }))).toMatchObject({ code: 'POSTGRES_DATA' })
      expect(await keysIn(store)).toEqual(['run/manifest.json', 'run/public.source.csv'])
    }
  })

  it('after its rows are in leaves none either', async () => {
    const after = ['SELECT 1/0']
    expect(await failureOf(restored({ after }))).toMatchObject({ code: 'POSTGRES_DATA' })
    expect(await keysIn(store)).not.toContain(KEY)
    const kept = await failureOf(restored({ after, transaction: 'PerObject' }))
    expect(kept.code).toBe('POSTGRES_DATA')
    expect(await rejectsIn(KEY)).toHaveLength(REFUSED)
  })

  it('past the limit leaves none', async () => {
    const copyOptions = { segmentRejectLimit: { count: 2 }, logErrors: true }
    expect((await failureOf(restored({ copyOptions }))).message).toContain('reject limit')
    expect(await keysIn(store)).not.toContain(KEY)
  })

  it('and was killed is made good by the next attempt, which has none', async () => {
    await store.upload(KEY, { signal: never }).complete()
    await sql('DROP TABLE copied.numbers; CREATE TABLE copied.numbers (id text, note text) DISTRIBUTED BY (id)')
    await restored()
    expect(await keysIn(store)).not.toContain(KEY)
  })

  it('has its result told by another attempt of the run', async () => {
    const first = await restored({ transaction: 'PerObject' })
    expect(await restored({ transaction: 'PerObject' })).toEqual(first)
    expect(await rejectsIn(KEY)).toHaveLength(REFUSED)
  })
})

describe('refused rows that would have nowhere to go', () => {
  it('are told of before a row moves', async () => {
    store = new ReadOnlyStore(folder.path)
    const error = await failureOf(restored())
    expect(error).toMatchObject({ code: 'STORE_DENIED', retryable: false })
    expect(error.message).toContain(`brings refused rows back to ${store.location}/run/rejects/uid-1`)
    expect(await sql('SELECT count(*)::int AS rows FROM copied.numbers')).toEqual([{ rows: 0 }])
    await restored({ runMode: 'DryRun' })
    await restored({ copyOptions: { segmentRejectLimit: { count: 1000 } } })
  })

  it('nor are they read by a user who may not read the table', async () => {
    const role = `${greenplum.name}_writer`
    await sql(`CREATE ROLE ${role}; GRANT USAGE ON SCHEMA copied TO ${role}; GRANT INSERT ON copied.numbers TO ${role};
      GRANT CREATE ON DATABASE ${greenplum.name} TO ${role}`)
    try {
      const session = { settings: [{ name: 'role', value: role }] }
      const error = await failureOf(restored({ session, runId: undefined, analyze: 'Never' }))
      expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', details: { expected: 'SELECT' } })
      await sql(`GRANT SELECT ON copied.numbers TO ${role}`)
      const { rejects } = await restored({ session, runId: undefined, analyze: 'Never' })
      expect(rejects).toMatch(/^run\/rejects\/\d{4}-\d\d-\d\dT/)
    } finally {
      await sql(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
    }
  })
})

describe('refused rows of a CSV without a manifest', () => {
  const load = () =>
    restoreRows(
      {
        store,
        key: 'rows.csv',
        format: 'csv',
        table: { schema: 'copied', name: 'numbers' },
        target: greenplum.config,
        mode: 'Append',
        copyOptions: COPY_OPTIONS,
      },
      testContext(),
    )

  it('lie beside it', async () => {
    await writeFile(join(folder.path, 'rows.csv'), '1,2\nx,3\n4,\n')
    expect(await load()).toMatchObject({ totals: { rejectedRows: '1' }, rejects: 'rows.csv.rejects.csv' })
    const [row, ...others] = readCSV(await readFile(join(folder.path, 'rows.csv.rejects.csv'), 'utf8'))
    expect(row).toMatchObject({ filename: 'rows.csv', linenum: '2', rawdata: 'x,3', rawbytes: '' })
    expect(others).toEqual([])
  })

  it('keep bytes that are no characters as they are', async () => {
    await sql('DROP TABLE copied.numbers; CREATE TABLE copied.numbers (id int, note text) DISTRIBUTED BY (id)')
    await writeFile(join(folder.path, 'rows.csv'), Buffer.from('1,a\n2,b\xff\n', 'latin1'))
    await load()
    const [row] = readCSV(await readFile(join(folder.path, 'rows.csv.rejects.csv'), 'utf8'))
    expect(row).toMatchObject({ rawbytes: expect.stringMatching(/^\\x322c62(ff)?/) })
    expect(row?.['errmsg']).toContain('invalid byte sequence')
  })
})

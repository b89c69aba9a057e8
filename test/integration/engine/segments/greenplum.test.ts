import { afterAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type ArtifactDumpRequest, dump, dumpFile, planDump } from '../../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore } from '../../../../src/engine/restore.ts'
import type { CopyOptions } from '../../../../src/postgres/copy-options/schema.ts'
import { FilesystemStore } from '../../../../src/storage/filesystem.ts'
import { openArtifact } from '../../../support/artifact.ts'
import { collect } from '../../../support/bytes.ts'
import { readCSV } from '../../../support/csv.ts'
import { failureOf, fingerprint, keysIn, testContext, useFolder } from '../../../support/engine.ts'
import { removeSegmentFiles, useGreenplum } from '../../../support/greenplum.ts'

jest.setTimeout(120_000)

const ROWS = 3000
const COLUMNS = '(id int, note text, at timestamp)'
const TABLES = [
  ['hashed', 'DISTRIBUTED BY (id)'],
  ['scattered', 'DISTRIBUTED RANDOMLY'],
  ['everywhere', 'DISTRIBUTED REPLICATED'],
  ['parted', 'DISTRIBUTED BY (id) PARTITION BY RANGE (id) (START (0) END (5000) EVERY (1000))'],
] as const

// Before the database is dropped, which the next line asks for.
afterAll(() => removeSegmentFiles(greenplum, 'hashed', stem))
const greenplum = useGreenplum(
  TABLES.map(
    ([name, distributed]) => `CREATE TABLE ${name} ${COLUMNS} ${distributed}; INSERT INTO ${name}
      SELECT i, 'note, "' || i || '"', timestamp '2024-01-01' + i * interval '1 s' FROM generate_series(1, ${ROWS}) i;`,
  ).join('\n'),
)
const folder = useFolder()
const sql = (text: string) => greenplum.query(text)
/** A name of this file's own below the folder of each segment. */
const stem = `pgpack_${process.pid}`
const path = (name: string) => `<SEG_DATA_DIR>/${stem}_${name}_<SEGID>`
let store: FilesystemStore

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  await sql('DROP SCHEMA IF EXISTS copied, pgpack CASCADE; CREATE SCHEMA copied')
})

const table = (name: string, more: object = {}) => ({ table: { schema: 'public', name, ...more } })

function requestOf(names: readonly string[], copyOptions: CopyOptions, changes: Partial<ArtifactDumpRequest> = {}) {
  const objects = names.map((name) => table(name))
  const fixed = {
    source: greenplum.config,
    connections: 1,
    compression: { method: 'Zstd' } as const,
    store,
    path: 'run',
  }
  return { ...fixed, objects, format: 'CSV' as const, copyOptions, ...changes }
}

async function dumped(names: readonly string[], copyOptions: CopyOptions, changes: Partial<ArtifactDumpRequest> = {}) {
  const outcome = await dump(requestOf(names, copyOptions, changes), testContext())
  return { ...outcome, ...(await openArtifact(store, 'run')) }
}

function restored(name: string, changes: Partial<ArtifactRestoreRequest> = {}) {
  const objects = [{ from: `public.${name}`, to: { schema: 'copied', name } }]
  const request = { store, path: 'run', target: greenplum.config, mode: 'CreateIfMissing' as const, objects }
  return restore({ ...request, ...changes }, testContext())
}

const same = async (name: string, into = `copied.${name}`) =>
  expect(await fingerprint(greenplum, into)).toEqual(await fingerprint(greenplum, name))

describe('a dump ON SEGMENT', () => {
  it.each(TABLES.flatMap(([name]) => (['Text', 'CSV', 'Binary'] as const).map((format) => [name, format] as const)))(
    'of %s as %s is written and read by the segments',
    async (name, format) => {
      const onSegment = path('t')
      const { manifest, totals } = await dumped([name], { onSegment }, { format })
      expect(totals).toMatchObject({ objects: 1, rows: String(ROWS), storedBytes: '0' })
      expect(manifest.objects).toMatchObject([
        {
          rows: String(ROWS),
          storedBytes: '0',
          rawBytes: totals.bytes,
          compression: { method: 'None' },
          segments: { path: onSegment, files: [{ segment: 0 }, { segment: 1 }] },
        },
      ])
      const files = manifest.objects[0]?.segments?.files ?? []
      for (const { segment, path: file, bytes } of files) {
        expect(file).toMatch(new RegExp(`^/.*/${stem}_t_${segment}$`))
        expect(Number(bytes)).toBeGreaterThan(0)
      }
      expect(await keysIn(store)).toEqual(['run/manifest.json'])
      for (let time = 0; time < 2; time += 1) {
        const outcome = await restored(name, { runId: 'uid-1' })
        expect(outcome.totals).toMatchObject({ rows: String(ROWS) })
        await same(name)
      }
    },
  )

  it('of several objects writes files of their names, over several connections', async () => {
    const names = TABLES.map(([name]) => name)
    const { manifest } = await dumped(names, { onSegment: path('<OBJECT>'), header: 'Present' }, { connections: 3 })
    expect(manifest.objects.map(({ segments }) => segments?.path)).toEqual(names.map((name) => path(`public.${name}`)))
    await restored('', {
      connections: 2,
      objects: names.map((name) => ({ from: `public.${name}`, to: { schema: 'copied', name } })),
    })
    for (const name of names) await same(name)
  })

  it.each(['Append', 'Truncate', 'Replace'] as const)('is restored under %s', async (mode) => {
    await dumped(['hashed'], { onSegment: path('t') })
    await sql('CREATE TABLE copied.hashed (LIKE hashed) DISTRIBUTED BY (id)')
    for (let time = 0; time < 2; time += 1) await restored('hashed', { mode, runId: 'uid-1' })
    await same('hashed')
  })

  it('is of the columns that are named', async () => {
    const objects = [table('hashed', { columns: ['note', 'id'] })]
    await dumped([], { onSegment: path('t') }, { objects })
    await restored('hashed')
    expect(await fingerprint(greenplum, '(SELECT note, id FROM copied.hashed)')).toEqual(
      await fingerprint(greenplum, '(SELECT note, id FROM hashed)'),
    )
  })

  it('is read at another path when told so', async () => {
    await dumped(['hashed'], { onSegment: path('<OBJECT>') })
    await sql(`COPY hashed TO '${path('moved')}' ON SEGMENT CSV`)
    await restored('hashed', { copyOptions: { onSegment: path('moved') } })
    await same('hashed')
  })

  it('that is only planned writes nothing and shows where the files would be', async () => {
    const { plan } = await planDump(requestOf(['hashed'], { onSegment: path('planned') }), testContext())
    expect(plan).toContain(path('planned'))
    expect(await keysIn(store)).toEqual([])
    await dumped(['hashed'], { onSegment: path('t') })
    const outcome = await restored('hashed', { runMode: 'DryRun' })
    expect(outcome.plan).toContain('copied.hashed (new)')
  })

  it('brings refused rows back', async () => {
    await sql(`CREATE TABLE copied.wrong AS SELECT id, CASE WHEN id % 10 = 0 THEN 'x' ELSE '1' END AS note FROM hashed
      DISTRIBUTED BY (id); CREATE TABLE copied.right (id int, note int) DISTRIBUTED BY (id)`)
    await dumped([], { onSegment: path('t') }, { objects: [{ table: { schema: 'copied', name: 'wrong' } }] })
    const { totals, rejects } = await restored('', {
      mode: 'Append',
      runId: 'uid-1',
      objects: [{ from: 'copied.wrong', to: { schema: 'copied', name: 'right' } }],
      copyOptions: { segmentRejectLimit: { count: 1000 }, logErrors: true },
    })
    expect(totals).toMatchObject({ rows: String(ROWS * 0.9), rejectedRows: String(ROWS / 10) })
    const signal = new AbortController().signal
    const rows = readCSV(String(await collect(store.read(`${rejects}/copied.right/copied.wrong.csv`, signal))))
    expect(rows).toHaveLength(ROWS / 10)
    expect(rows[0]?.['filename']).toContain(`${stem}_t_`)
  })
})

describe('what cannot be dumped ON SEGMENT', () => {
  const refused = (copyOptions: CopyOptions, changes: Partial<ArtifactDumpRequest> = {}) =>
    failureOf(dump(requestOf(['hashed'], copyOptions, changes), testContext()))

  it.each<[string, CopyOptions, Partial<ArtifactDumpRequest>, string]>([
    ['without <SEGID>', { onSegment: '/tmp/t' }, {}, 'holds <SEGID>'],
    ['at a relative path', { onSegment: 't<SEGID>' }, {}, 'absolute path'],
    ['as PGPack', { onSegment: path('t') }, { format: 'PGPack' }, 'a PGPack file has none'],
    [
      'of a query',
      { onSegment: path('t') },
      { objects: [{ query: { name: 'q', sql: 'SELECT 1 AS a' } }] },
      'of a query',
    ],
    ['with a condition', { onSegment: path('t') }, { objects: [table('hashed', { where: 'id > 5' })] }, 'of a query'],
    [
      'of several objects at one path',
      { onSegment: path('t') },
      { objects: [table('hashed'), table('parted')] },
      '<OBJECT>',
    ],
    ['with verification', { onSegment: path('t') }, { verify: 'Checksum' }, 'verify Checksum'],
  ])('%s, is told before anything runs', async (_, copyOptions, changes, said) => {
    const error = await refused(copyOptions, changes)
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).toContain(said)
    expect(await keysIn(store)).toEqual([])
  })

  it('into a file without a manifest is told', async () => {
    const { objects: _, path: __, ...request } = requestOf([], { onSegment: path('t') })
    const file = { ...request, object: table('hashed'), key: 'file.csv' }
    for (const work of [dumpFile, planDump]) {
      expect((await failureOf(work(file, testContext()))).message).toContain('name a folder')
    }
  })

  it('by a user for whom the server writes no files, and restored by one for whom it reads none, is told', async () => {
    const role = `${greenplum.name}_plain`
    await sql(`CREATE ROLE ${role}; GRANT SELECT ON hashed TO ${role}; GRANT ALL ON SCHEMA copied TO ${role};
      GRANT CREATE ON DATABASE ${greenplum.name} TO ${role}`)
    const session = { settings: [{ name: 'role', value: role }] }
    try {
      expect(await refused({ onSegment: path('t') }, { session })).toMatchObject({
        code: 'POSTGRES_PRIVILEGE',
        details: { expected: 'superuser' },
      })
      await dumped(['hashed'], { onSegment: path('t') })
      expect(await failureOf(restored('hashed', { session }))).toMatchObject({ code: 'POSTGRES_PRIVILEGE' })
    } finally {
      await sql(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
    }
  })

  it('fails with the error of the segment, and has no manifest', async () => {
    const error = await refused({ onSegment: `<SEG_DATA_DIR>/no/such/folder/<SEGID>` })
    expect(error.message).toContain('could not open file')
    expect(await keysIn(store)).toEqual([])
  })
})

describe('what cannot be restored from segments', () => {
  beforeEach(() => dumped(['hashed', 'everywhere'], { onSegment: path('<OBJECT>') }))

  it('is a file that is gone, or of another size', async () => {
    const name = path('public.hashed')
    await sql(`COPY everywhere (id) TO '${name}' ON SEGMENT CSV`)
    expect(await failureOf(restored('hashed'))).toMatchObject({ code: 'MANIFEST_MISMATCH' })
    const gone = await failureOf(restored('hashed', { copyOptions: { onSegment: path('nothing') } }))
    expect(gone).toMatchObject({ code: 'MANIFEST_MISMATCH', details: { found: 'nothing' } })
    expect(await sql(`SELECT to_regclass('copied.hashed') AS made`)).toEqual([{ made: null }])
  })

  it('is a file with other rows than were dumped', async () => {
    await sql(`CREATE TABLE copied.less AS SELECT * FROM hashed WHERE id > 5 DISTRIBUTED BY (id);
      COPY copied.less TO '${path('less')}' ON SEGMENT CSV`)
    const error = await failureOf(restored('hashed', { copyOptions: { onSegment: path('less') } }))
    expect(error).toMatchObject({ code: 'MANIFEST_MISMATCH', details: { found: `${ROWS - 5} rows` } })
    expect(await sql(`SELECT to_regclass('copied.hashed') AS made`)).toEqual([{ made: null }])
  })

  it.each([
    ['hashed', '(LIKE hashed) DISTRIBUTED BY (note)', 'Append'],
    ['hashed', '(LIKE hashed) DISTRIBUTED REPLICATED', 'Truncate'],
    ['everywhere', '(LIKE hashed) DISTRIBUTED BY (id)', 'Append'],
    ['everywhere', '(LIKE hashed) DISTRIBUTED RANDOMLY', 'Append'],
    ['everywhere', '(LIKE hashed) DISTRIBUTED REPLICATED', 'Replace'],
  ] as const)('is %s into a table %s under %s', async (name, definition, mode) => {
    await sql(`CREATE TABLE copied.${name} ${definition}`)
    expect(await failureOf(restored(name, { mode }))).toMatchObject({ code: 'TARGET_MISMATCH' })
  })

  it('is a choice of columns', async () => {
    const objects = [{ from: 'public.hashed', to: { schema: 'copied', name: 'hashed' }, columns: ['id'] }]
    expect(await failureOf(restored('hashed', { objects }))).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
  })

  it('is an object of the store', async () => {
    await dumped(['hashed'], {})
    const error = await failureOf(restored('hashed', { copyOptions: { onSegment: path('t') } }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('lies in the store') })
  })
})

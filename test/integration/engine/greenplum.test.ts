import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type ArtifactDumpRequest, dump, planDump } from '../../../src/engine/dump.ts'
import { type ArtifactRestoreRequest, restore } from '../../../src/engine/restore.ts'
import { restoreRows } from '../../../src/engine/restore-rows.ts'
import { type TransferRequest, transfer } from '../../../src/engine/transfer.ts'
import type { CopyOptions } from '../../../src/postgres/copy-options/schema.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { waitFor } from '../../cluster/processes.ts'
import { openArtifact } from '../../support/artifact.ts'
import { failureOf, fingerprint, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { writeGenerations } from '../../support/generations.ts'
import { useGreenplum } from '../../support/greenplum.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(180_000)

const ROWS = 3000
const WIDE_ROWS = 20_000
const COLUMNS = 'id int NOT NULL, note text, at timestamp, amount numeric(12,2)'
const PARTITIONS = `PARTITION BY RANGE (id) SUBPARTITION BY LIST (note)
  SUBPARTITION TEMPLATE (SUBPARTITION zero VALUES ('note 0'), DEFAULT SUBPARTITION others)
  (START (0) END (1000), START (1000) END (10000))`

/** Every kind of table, and how its rows are kept. */
const TABLES = [
  ['hashed', `(${COLUMNS}, PRIMARY KEY (id)) DISTRIBUTED BY (id)`, 'Hash', ['id']],
  ['two_keys', `(${COLUMNS}) DISTRIBUTED BY (note, id)`, 'Hash', ['note', 'id']],
  ['scattered', `(${COLUMNS}) DISTRIBUTED RANDOMLY`, 'Random', []],
  ['everywhere', `(${COLUMNS}) DISTRIBUTED REPLICATED`, 'Replicated', []],
  ['row_oriented', `(${COLUMNS}) WITH (appendonly = true, compresstype = zlib) DISTRIBUTED BY (at)`, 'Hash', ['at']],
  ['column_oriented', `(${COLUMNS}) WITH (appendonly = true, orientation = column) DISTRIBUTED RANDOMLY`, 'Random', []],
  ['parted', `(${COLUMNS}) DISTRIBUTED BY (id) ${PARTITIONS}`, 'Hash', ['id']],
] as const

const SETUP = `
  ${TABLES.map(([name, definition]) => `CREATE TABLE ${name} ${definition}; ${fill(name)}`).join('\n')}
  CREATE TABLE wide (id int PRIMARY KEY, note text) DISTRIBUTED BY (id);
  INSERT INTO wide SELECT i, md5(i::text) || repeat(md5((i * 7)::text), 10) FROM generate_series(1, ${WIDE_ROWS}) i;
  CREATE EXTERNAL WEB TABLE outside (id int, name text) EXECUTE 'seq -f "%g,out" 1 20' ON MASTER FORMAT 'CSV';
  CREATE VIEW seen AS SELECT id, note FROM hashed WHERE id > 2000;
  ANALYZE;`

function fill(name: string): string {
  return `INSERT INTO ${name} SELECT i, 'note ' || i % 7, timestamp '2024-01-01' + i * interval '1 s', i / 100.0
    FROM generate_series(1, ${ROWS}) i;`
}

const greenplum = useGreenplum(SETUP)
const postgres = usePostgres()
const folder = useFolder()
let store: FilesystemStore
const sql = (text: string) => greenplum.query(text)

/** Targets and the ledger are each test's own. */
beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  await sql('DROP SCHEMA IF EXISTS copied, pgpack CASCADE; CREATE SCHEMA copied')
})

const table = (named: string, more: object = {}) => ({ table: { schema: 'public', name: named, ...more } })

async function dumped(objects: readonly DumpObject[], changes: Partial<ArtifactDumpRequest> = {}) {
  const request = { source: greenplum.config, objects, connections: 1, store, path: 'run', ...changes }
  const { artifact } = await dump({ compression: { method: 'Zstd' }, ...request }, testContext())
  return openArtifact(store, artifact.path)
}

function restored(named: string, changes: Partial<ArtifactRestoreRequest> = {}, context = testContext()) {
  const objects = [{ from: `public.${named}`, to: { schema: 'copied', name: named } }]
  const request = { store, path: 'run', target: greenplum.config, mode: 'Append' as const, objects, ...changes }
  return restore(request, context)
}

/** The last row takes a while. */
const SLOW = `
  CREATE FUNCTION copied.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$;
  CREATE TRIGGER slow BEFORE INSERT ON copied.wide FOR EACH ROW WHEN (NEW.id = ${WIDE_ROWS}) EXECUTE PROCEDURE copied.slow()`

/** Policy and key columns of a table, as gp_distribution_policy has them. */
async function distribution(named: string): Promise<unknown> {
  const [row] = await sql(`SELECT pg_get_table_distributedby('${named}'::regclass) AS clause`)
  return row?.['clause']
}

describe.each([1, 3])('a dump over %i connections', (connections) => {
  it.each(TABLES)(
    'of %s has every row once, and is made anew as it was distributed',
    async (named, _, policy, columns) => {
      const { manifest } = await dumped([table(named)], { connections })
      expect(manifest.server.flavour).toBe('Greenplum')
      expect(manifest.objects).toMatchObject([{ rows: String(ROWS), distribution: { policy, columns } }])
      const { totals } = await restored(named, { connections, mode: 'CreateIfMissing' })
      expect(totals.rows).toBe(String(ROWS))
      expect(await fingerprint(greenplum, `copied.${named}`)).toEqual(await fingerprint(greenplum, named))
      expect(await distribution(`copied.${named}`)).toBe(await distribution(named))
    },
  )

  it('reads an external table, a view, a query, and a condition on chosen columns', async () => {
    const late = { query: { name: 'late', sql: 'SELECT note, count(*) AS rows FROM hashed GROUP BY note' } }
    const objects = [table('outside'), table('seen'), table('parted', { columns: ['note'], where: 'id > 2900' }), late]
    const { manifest } = await dumped(objects, { connections })
    expect(manifest.objects.map((object) => [object.name, object.rows])).toEqual([
      ['public.outside', '20'],
      ['public.seen', '1000'],
      ['public.parted', '100'],
      ['late', '7'],
    ])
  })

  it('finds tables by patterns, and partitions with their parent', async () => {
    const objects = [{ tables: { schema: 'public', include: ['*'], exclude: ['wide'] } }]
    const { manifest } = await dumped(objects, { connections })
    const names = [...TABLES.map(([named]) => named), 'outside'].sort()
    expect(manifest.objects.map((object) => object.relation)).toEqual(names)
  })

  it('is of one moment while another session writes', async () => {
    const names = ['copied.one', 'copied.two', 'copied.three']
    for (const named of names) {
      await sql(`CREATE TABLE ${named} AS SELECT id, 0 AS generation FROM wide DISTRIBUTED BY (id)`)
    }
    const writer = writeGenerations(greenplum.dsn, names)
    const objects = names.map((named) => ({ table: { schema: 'copied', name: named.slice('copied.'.length) } }))
    try {
      for (let attempt = 0; attempt < 3; attempt += 1) await dumped(objects, { connections, path: `run/${attempt}` })
    } finally {
      expect(await writer.stop()).toBeGreaterThan(1)
    }
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const to = { schema: 'copied', name: 'moments' }
      await sql('DROP TABLE IF EXISTS copied.moments; CREATE TABLE copied.moments (id int, generation int)')
      await restored('', { path: `run/${attempt}`, objects: names.map((from) => ({ from, to })) })
      expect(
        await sql('SELECT count(DISTINCT generation)::int AS moments, count(*)::int AS rows FROM copied.moments'),
      ).toEqual([{ moments: 1, rows: names.length * WIDE_ROWS }])
    }
  })

  it.each<['Text' | 'CSV', CopyOptions]>([
    ['Text', { escape: 'OFF', delimiter: '|', ignoreExternalPartitions: true }],
    ['Text', { escape: '#', header: 'Present' }],
    ['CSV', { header: 'Present', forceQuote: ['*'] }],
  ])('as %s by %j is restored as it was', async (format, copyOptions) => {
    await sql('CREATE TABLE copied.hashed (LIKE hashed)')
    await dumped([table('hashed')], { connections, format, copyOptions })
    const { totals } = await restored('hashed', { connections })
    expect(totals.rows).toBe(String(ROWS))
    expect(await fingerprint(greenplum, 'copied.hashed')).toEqual(await fingerprint(greenplum, 'hashed'))
  })

  it('spells values in one way whatever the database is set to', async () => {
    await sql(`ALTER DATABASE ${greenplum.name} SET datestyle = 'German'`)
    await sql('CREATE TABLE copied.floats AS SELECT id, 0.1::float8 + 0.2 AS x, at FROM hashed DISTRIBUTED BY (id)')
    try {
      const object = { table: { schema: 'copied', name: 'floats', where: 'id = 5' } }
      const { raw } = await dumped([object], { connections, format: 'Text' })
      expect(String(await raw('copied.floats'))).toBe('5\t0.300000000000000044\t2024-01-01 00:00:05\n')
    } finally {
      await sql(`ALTER DATABASE ${greenplum.name} RESET datestyle`)
    }
  })

  it.each(['Serializable', 'RepeatableRead'] as const)('is read %s', async (isolation) => {
    const { manifest } = await dumped([table('hashed')], { connections, session: { isolation } })
    expect(manifest).toMatchObject({ isolation, totals: { rows: String(ROWS) } })
  })

  it('that is only planned writes nothing', async () => {
    const request = { source: greenplum.config, objects: [table('parted'), table('outside')], connections, store }
    const { plan } = await planDump(
      { compression: { method: 'None' }, path: 'run', explain: 'Plan', ...request },
      testContext(),
    )
    expect(plan).toContain('public.parted')
    expect(await keysIn(store)).toEqual([])
  })
})

describe.each([1, 3])('a restore over %i connections', (connections) => {
  beforeEach(async () => {
    await dumped([table('wide')])
    await sql('CREATE TABLE copied.wide (LIKE wide) DISTRIBUTED BY (id)')
  })
  const same = async (into = 'copied.wide') =>
    expect(await fingerprint(greenplum, into)).toEqual(await fingerprint(greenplum, 'wide'))

  it('adds rows under Append once for a run id, and again without one', async () => {
    const first = await restored('wide', { connections, runId: 'uid-1' })
    expect(await sql('SELECT max(parts) > 1 AS split FROM pgpack.ledger')).toEqual([{ split: connections > 1 }])
    const second = await restored('wide', { connections, runId: 'uid-1' })
    expect(second.totals).toEqual(first.totals)
    expect(first.totals.rows).toBe(String(WIDE_ROWS))
    await same()
    await restored('wide', { connections })
    expect((await fingerprint(greenplum, 'copied.wide')).rows).toBe(String(2 * WIDE_ROWS))
  })

  it('of two runs at once goes on in both', async () => {
    await Promise.all(['uid-1', 'uid-2'].map((runId) => restored('wide', { connections, runId })))
    expect((await fingerprint(greenplum, 'copied.wide')).rows).toBe(String(2 * WIDE_ROWS))
  })

  it('of two pods of one run at once loads every row once', async () => {
    const attempts = await Promise.all([0, 1].map(() => restored('wide', { connections, runId: 'uid-1' })))
    expect(attempts.map(({ totals }) => totals.rows)).toEqual([String(WIDE_ROWS), String(WIDE_ROWS)])
    await same()
  })

  it('of two pods of one run, each in a snapshot of its own, lets one of them try again', async () => {
    const attempt = () => restored('wide', { connections, runId: 'uid-1', session: { isolation: 'RepeatableRead' } })
    const attempts = await Promise.allSettled([attempt(), attempt()])
    for (const one of attempts) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'POSTGRES_BUSY', retryable: true })
    }
    expect((await attempt()).totals.rows).toBe(String(WIDE_ROWS))
    await same()
  })

  it('goes on where an attempt has failed', async () => {
    await sql(`ALTER TABLE copied.wide ADD CONSTRAINT no CHECK (id <> ${WIDE_ROWS - 10})`)
    expect(await failureOf(restored('wide', { connections, runId: 'uid-1' }))).toMatchObject({ code: 'POSTGRES_DATA' })
    await sql('ALTER TABLE copied.wide DROP CONSTRAINT no')
    await restored('wide', { connections, runId: 'uid-1' })
    await same()
  })

  it.each(['Truncate', 'Replace'] as const)('puts the rows in the place of others under %s', async (mode) => {
    await sql('INSERT INTO copied.wide SELECT -i FROM generate_series(1, 10) i')
    for (let time = 0; time < 2; time += 1) await restored('wide', { connections, mode, runId: 'uid-1' })
    await same()
    expect(await sql(`SELECT relname FROM pg_class WHERE relname LIKE 'pgpack_shadow%' AND relkind = 'r'`)).toEqual([])
  })

  it('fills a partitioned, an append-only and a replicated table', async () => {
    await sql(`
      CREATE TABLE copied.parts (LIKE wide) DISTRIBUTED BY (id)
        PARTITION BY RANGE (id) (START (0) END (100000) EVERY (10000));
      CREATE TABLE copied.columns (LIKE wide) WITH (appendonly = true, orientation = column) DISTRIBUTED RANDOMLY;
      CREATE TABLE copied.everywhere (LIKE wide) DISTRIBUTED REPLICATED`)
    for (const mode of ['Append', 'Truncate', 'Replace'] as const) {
      for (const into of ['parts', 'columns', 'everywhere']) {
        const objects = [{ from: 'public.wide', to: { schema: 'copied', name: into } }]
        await restored('wide', { connections, mode, objects })
        await same(`copied.${into}`)
      }
    }
  })

  it('makes a missing table by its key, once for a run id', async () => {
    await sql('DROP TABLE copied.wide')
    for (let time = 0; time < 2; time += 1) {
      await restored('wide', { connections, mode: 'CreateIfMissing', runId: 'uid-1' })
    }
    await same()
    expect(await distribution('copied.wide')).toBe('DISTRIBUTED BY (id)')
    await expect(sql('INSERT INTO copied.wide VALUES (1)')).rejects.toThrow('copied.wide'.slice(7))
  })

  it.each(['cancelled', 'lost'] as const)(
    'that was %s keeps what it has committed, and goes on from there',
    async (how) => {
      const backends = () => sql(`SELECT pid, query FROM pg_stat_activity WHERE application_name = 'pgpack restore'`)
      // The first of several COPYs runs alone, too.
      const committedParts = async () => {
        if (connections === 1) return 0
        const [row] = await sql(`SELECT to_regclass('pgpack.ledger') IS NOT NULL AS made`)
        return row?.['made'] === true ? (await sql('SELECT part FROM pgpack.ledger')).length : 0
      }
      await sql(SLOW)
      const context = testContext()
      const failing = failureOf(restored('wide', { connections, runId: 'uid-1' }, context))
      const { pid } = await waitFor('the slow COPY runs alone', 30_000, async () => {
        const copying = (await backends()).filter(({ query }) => String(query).startsWith('COPY'))
        return copying.length === 1 && (await committedParts()) >= connections - 1 ? copying[0] : undefined
      })
      if (how === 'cancelled') context.abort()
      else await greenplum.query('SELECT pg_terminate_backend($1)', [pid])
      expect(await failing).toMatchObject(how === 'cancelled' ? { code: 'CANCELLED' } : { retryable: true })
      await waitFor('the backends are gone', 10_000, async () => (await backends()).length === 0 || undefined)
      const { rows } = await fingerprint(greenplum, 'copied.wide')
      expect(Number(rows) > 0).toBe(connections > 1)
      await sql('DROP TRIGGER slow ON copied.wide')
      await restored('wide', { connections, runId: 'uid-1' })
      await same()
    },
  )

  it('sets the sequence of a serial column behind the largest value', async () => {
    await sql('CREATE TABLE copied.counted (id serial, note text) DISTRIBUTED BY (id)')
    await restored('wide', {
      connections,
      objects: [{ from: 'public.wide', to: { schema: 'copied', name: 'counted' } }],
    })
    const [row] = await sql(`SELECT nextval('copied.counted_id_seq')::int AS id`)
    expect(Number(row?.['id'])).toBeGreaterThan(WIDE_ROWS)
  })

  it('that is only planned writes nothing', async () => {
    const changes = { connections, runMode: 'DryRun', mode: 'CreateIfMissing' } as const
    const objects = [{ from: 'public.wide', to: { schema: 'copied', name: 'later' } }]
    const { plan } = await restored('wide', { ...changes, objects })
    expect(plan).toContain('copied.later (new)')
    expect(await sql(`SELECT relname FROM pg_class WHERE relname = 'later'`)).toEqual([])
  })
})

describe('a restore that may leave out malformed rows', () => {
  it.each([{ logErrors: true }, {}])('counts them: %j', async (more) => {
    await sql(`CREATE TABLE copied.source AS SELECT CASE WHEN i % 1000 = 0 THEN 'y' ELSE i::text END AS id, CASE WHEN i % 100 = 0 THEN 'x' ELSE i::text END AS note
      FROM generate_series(1, ${ROWS}) i DISTRIBUTED BY (id);
      CREATE TABLE copied.numbers (id int, note int) DISTRIBUTED BY (id)`)
    await dumped([{ table: { schema: 'copied', name: 'source' } }], { format: 'CSV' })
    const { totals } = await restored('', {
      objects: [{ from: 'copied.source', to: { schema: 'copied', name: 'numbers' } }],
      copyOptions: { segmentRejectLimit: { count: 1000, unit: 'Rows' }, ...more },
    })
    expect(totals).toMatchObject({ rows: String(ROWS - ROWS / 100), rejectedRows: String(ROWS / 100) })
    expect(await sql(`SELECT count(*)::int AS logged FROM gp_read_error_log('copied.numbers')`)).toEqual([
      { logged: more.logErrors === true ? ROWS / 100 : 0 },
    ])
  })
})

describe('a user who is no administrator', () => {
  const role = `${greenplum.name}_user`
  const session = { settings: [{ name: 'role', value: role }] }
  beforeEach(() =>
    sql(`CREATE ROLE ${role}; GRANT SELECT ON wide, parted TO ${role}; GRANT CREATE ON DATABASE ${greenplum.name} TO ${role};
      GRANT ALL ON SCHEMA copied TO ${role}`),
  )
  afterEach(() => sql(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`))

  it.each([1, 3])('dumps and restores over %i connections', async (connections) => {
    await dumped([table('wide'), table('parted')], { connections, session })
    for (const mode of ['CreateIfMissing', 'Truncate', 'Replace'] as const) {
      for (const named of ['wide', 'parted']) {
        await restored(named, { connections, session, mode, runId: `uid-${named}-${mode}` })
        expect(await fingerprint(greenplum, `copied.${named}`)).toEqual(await fingerprint(greenplum, named))
      }
    }
  })

  it('is refused what it may not read, before a row moves', async () => {
    const error = await failureOf(dumped([table('hashed')], { connections: 3, session }))
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE' })
    expect(await keysIn(store)).toEqual([])
  })
})

describe('what is wrong with a target', () => {
  beforeEach(async () => {
    await dumped([table('hashed')])
  })

  it('is told at once, before a row moves', async () => {
    await sql('CREATE TABLE copied.hashed (id bigint, note varchar(3), extra int NOT NULL) DISTRIBUTED BY (id)')
    const error = await failureOf(restored('hashed'))
    expect(error.code).toBe('TARGET_MISMATCH')
    for (const column of ['id', 'note', 'at', 'amount', 'extra']) expect(error.message).toContain(`column "${column}"`)
  })

  it('is an external table that cannot be emptied', async () => {
    await sql(
      `CREATE EXTERNAL WEB TABLE copied.hashed (${COLUMNS.replace(' NOT NULL', '')}) EXECUTE 'true' FORMAT 'CSV'`,
    )
    expect(await failureOf(restored('hashed', { mode: 'Truncate' }))).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
  })
})

describe('rows of other files', () => {
  const load = (format: 'ndjson' | 'csv', copyOptions?: CopyOptions) => {
    const to = { schema: 'copied', name: 'given' }
    const request = { store, key: 'rows', format, table: to, target: greenplum.config, mode: 'Append' as const }
    return restoreRows({ ...request, copyOptions }, testContext())
  }
  beforeEach(() => sql('CREATE TABLE copied.given (id int, note text) DISTRIBUTED RANDOMLY'))

  it.each([
    ['ndjson', '{"id": 1, "note": "a"}\n{"id": 2, "note": null}\n', undefined],
    ['csv', '1,a\n2,\n', undefined],
    ['csv', '1,a\nx,b\n2,\n', { segmentRejectLimit: { count: 10 } }],
  ] as const)('go into a table: %s', async (format, rows, copyOptions) => {
    await writeFile(join(folder.path, 'rows'), rows)
    const { totals } = await load(format, copyOptions)
    expect(totals.rejectedRows).toBe(copyOptions === undefined ? undefined : '1')
    expect(await sql('SELECT * FROM copied.given ORDER BY id')).toEqual([
      { id: 1, note: 'a' },
      { id: 2, note: null },
    ])
  })
})

describe.each([1, 2])('a transfer over %i connections', (connections) => {
  type Changes = Partial<TransferRequest> & Pick<TransferRequest, 'source' | 'target'>
  const move = (changes: Changes) =>
    transfer({ mode: 'CreateIfMissing', connections, objects: [table('hashed')], ...changes }, testContext())
  const fromPostgres = () => ({ source: postgres.database.config, target: greenplum.config })
  const toPostgres = () => ({ source: greenplum.config, target: postgres.database.config })
  const copied = { toSchema: 'copied', tables: { schema: 'public', include: ['*'], exclude: [] } }

  it('brings tables of every kind from Greenplum to PostgreSQL', async () => {
    const include = TABLES.map(([named]) => named)
    await move({ ...toPostgres(), objects: [{ tables: { schema: 'public', include, exclude: [] } }] })
    for (const named of include) {
      expect(await fingerprint(postgres.database, named)).toEqual(await fingerprint(greenplum, named))
    }
  })

  it('brings tables of PostgreSQL to Greenplum, once for a run id', async () => {
    await postgres.database.query(`
      CREATE TABLE hashed (${COLUMNS}, PRIMARY KEY (id)); ${fill('hashed')}
      CREATE TABLE plain (${COLUMNS}, list int[], document jsonb, mark uuid); INSERT INTO plain SELECT h.*, ARRAY[id],
        json_build_object('id', id)::jsonb, md5(id::text)::uuid FROM hashed h; ANALYZE`)
    for (let time = 0; time < 2; time += 1) await move({ ...fromPostgres(), objects: [copied], runId: 'uid-1' })
    for (const named of ['hashed', 'plain']) {
      expect(await fingerprint(greenplum, `copied.${named}`)).toEqual(await fingerprint(postgres.database, named))
    }
    expect(await distribution('copied.hashed')).toBe('DISTRIBUTED BY (id)')
  })

  it.each(['Append', 'Truncate', 'Replace'] as const)('goes within Greenplum under %s', async (mode) => {
    await sql('CREATE TABLE copied.hashed (LIKE hashed) DISTRIBUTED RANDOMLY')
    const objects = [{ ...table('hashed'), to: { schema: 'copied', name: 'hashed' } }]
    await move({ source: greenplum.config, target: greenplum.config, mode, objects, runId: 'uid-1' })
    expect(await fingerprint(greenplum, 'copied.hashed')).toEqual(await fingerprint(greenplum, 'hashed'))
    const self = { source: greenplum.config, target: greenplum.config, mode }
    expect((await failureOf(move(self))).message).toContain('the same table')
  })

  it('that is only planned writes nothing', async () => {
    const { plan } = await move({ ...toPostgres(), runMode: 'DryRun' })
    expect(plan).toContain('public.hashed (new)')
    expect(await postgres.database.query(`SELECT to_regclass('public.hashed') AS found`)).toEqual([{ found: null }])
  })
})

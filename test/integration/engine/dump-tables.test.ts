import { describe, expect, it, jest } from '@jest/globals'
import type { RunContext } from '../../../src/engine/context.ts'
import { type ArtifactDumpRequest, dump } from '../../../src/engine/dump.ts'
import { findSource } from '../../../src/engine/source.ts'
import { silentLogger } from '../../../src/log.ts'
import { globToRegex } from '../../../src/postgres/catalog-patterns.ts'
import { connect } from '../../../src/postgres/connection.ts'
import type { DumpObject, SessionConfig } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { openArtifact } from '../../support/artifact.ts'
import { failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { startPostgres, usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'
import { itSince } from '../../support/since.ts'

jest.setTimeout(120_000)

const GENERATED_SINCE = 12

const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 300) i;
    CREATE TABLE orders_old (id int); INSERT INTO orders_old SELECT generate_series(1, 20);
    CREATE TABLE "Orders" (id int); CREATE TABLE "order.items" (id int); CREATE TABLE people (id int, name text);
    CREATE TABLE events (day int, what text) PARTITION BY RANGE (day);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (100) TO (1000) PARTITION BY RANGE (day);
    CREATE TABLE events_2_1 PARTITION OF events_2 FOR VALUES FROM (100) TO (1000);
    INSERT INTO events SELECT i, repeat('what ', 50) FROM generate_series(1, 999) i;
    CREATE VIEW orders_view AS SELECT * FROM orders WHERE id < 100;
    CREATE MATERIALIZED VIEW orders_mat AS SELECT id, repeat(note, 20) AS note FROM orders;
    CREATE SEQUENCE orders_seq;
    CREATE TABLE parent (a int${testedMajor >= GENERATED_SINCE ? ', twice int GENERATED ALWAYS AS (a * 2) STORED' : ''});
    CREATE TABLE child (b text) INHERITS (parent);
    INSERT INTO parent (a) SELECT generate_series(1, 500);
    INSERT INTO child (a, b) SELECT i, 'child ' || i FROM generate_series(501, 3000) i;
    CREATE SCHEMA "a.b"; CREATE SCHEMA a;
    CREATE TABLE "a.b".c AS SELECT 1 AS x; CREATE TABLE a."b.c" AS SELECT 2 AS x; CREATE TABLE a.b AS SELECT 3 AS x;
    CREATE TABLE secrets (owner text, secret text);
    INSERT INTO secrets VALUES ('visitor', 'mine'), ('other', 'not mine');
    CREATE ROLE visitor LOGIN PASSWORD 'v';
    GRANT SELECT ON secrets TO visitor;
    GRANT SELECT (id) ON orders TO visitor;
    ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON secrets FOR SELECT USING (owner = current_user);
    CREATE VIEW secrets_view AS SELECT secret FROM secrets;
    ALTER VIEW secrets_view OWNER TO visitor;
    CREATE SCHEMA far; CREATE TABLE far.source AS SELECT i AS a, 'far ' || i AS b FROM generate_series(1, 200) i;
    CREATE EXTENSION postgres_fdw;`,
})
const folder = useFolder()

interface Dumping extends Partial<ArtifactDumpRequest> {
  readonly objects: readonly DumpObject[]
}

async function dumped(changes: Dumping, context: RunContext = testContext()) {
  const store = new FilesystemStore(folder.path)
  const source = postgres.database.config
  const { artifact } = await dump(
    { source, connections: 1, compression: { method: 'None' }, store, path: 'run', ...changes },
    context,
  )
  return openArtifact(store, artifact.path)
}

const refusal = (changes: Dumping) => failureOf(dumped(changes))
const visitor = () => ({ ...postgres.database.config, user: 'visitor', password: 'v' })

const table = (name: string, more: object = {}): DumpObject => ({ table: { schema: 'public', name, ...more } })
const tables = (include: string[], exclude: string[] = [], schema = 'public'): DumpObject => ({
  tables: { schema, include, exclude },
})

async function namesOf(objects: DumpObject[]): Promise<string[]> {
  const { manifest } = await dumped({ objects })
  return manifest.objects.map(({ name }) => name)
}

describe('tables by their patterns', () => {
  it.each<[what: string, object: DumpObject, names: string[]]>([
    ['a beginning, sorted, without views and sequences', tables(['orders*']), ['public.orders', 'public.orders_old']],
    ['a set, where case counts', tables(['[oO]rders']), ['public.Orders', 'public.orders']],
    ['one that is left out', tables(['order*'], ['*_old', 'order.*']), ['public.orders']],
    ['a partitioned table, without its partitions', tables(['events*']), ['public.events']],
    ['parent and child, each for itself', tables(['parent', 'child']), ['public.child', 'public.parent']],
    ['a name with a dot', tables(['order.*']), ['public."order.items"']],
  ])('are those of %s', async (_, object, names) => {
    expect(await namesOf([object])).toEqual(names)
  })

  it('mean to the server what they mean to JavaScript', async () => {
    const names = [
      'a',
      'ab',
      'a.b',
      'a]b',
      'a[b',
      'a^b',
      'a-b',
      'a\\b',
      'A',
      'ä',
      '🐘',
      'a\nb',
      'a$',
      '*',
      'abc',
      '^',
      'a/b',
      'a|b',
    ]
    const globs = [
      'a',
      'a?b',
      'a[]]b',
      'a[[]b',
      'a[!b]b',
      'a[]^-]b',
      'a[a-z]',
      '[!a]',
      '[^]',
      '?',
      '*b',
      'a[\\]b',
      'a[+--]b',
      'a$',
      '[*]',
      'a[.-^]b',
      'a[/|]b',
      'a|b',
      '[🐀-🐘x]*',
    ]
    const sql = `SELECT g AS glob, json_agg(n ORDER BY p) FILTER (WHERE n ~ r) AS names
      FROM unnest($1::text[], $2::text[]) AS globs (g, r), unnest($3::text[]) WITH ORDINALITY AS names (n, p) GROUP BY g`
    const rows = await postgres.database.query<{ glob: string; names: string[] | null }>(sql, [
      globs,
      globs.map(globToRegex),
      names,
    ])
    for (const glob of globs) {
      const expected = names.filter((name) => new RegExp(globToRegex(glob), 'su').test(name))
      expect([glob, rows.find((row) => row.glob === glob)?.names ?? []]).toEqual([glob, expected])
    }
  })

  it.each<[what: string, object: DumpObject, message: RegExp]>([
    [
      'nothing, and the name that comes near',
      tables(['people', 'order']),
      /fits the pattern "order".*did you mean "orders"/,
    ],
    ['a view only', tables(['orders_v*']), /"orders_view" does, but is a view: name it in an object of its own/],
    ['a partition only', tables(['events_1']), /"events_1" does, but is a partition, which comes with its parent/],
    ['what is left out again', tables(['people'], ['p*']), /exclude all 1 tables that they include/],
    ['a schema that is not there', tables(['*'], [], 'nowhere'), /no such schema/],
  ])('that fit %s are refused', async (_, object, message) => {
    const error = await refusal({ objects: [object] })
    expect(error).toMatchObject({ code: 'POSTGRES_NO_RELATION', retryable: false })
    expect(error.message).toMatch(message)
  })

  it('must not fit a table that is asked for already', async () => {
    const error = await refusal({ objects: [table('orders'), tables(['order*'])] })
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(error.message).toMatch(/public\.orders is asked for twice.*order\*.*exclude it there/)
  })
})

describe('names with dots and quotes', () => {
  it('never collide, in the manifest and as files', async () => {
    const objects = [tables(['*'], [], 'a.b'), tables(['*'], [], 'a')]
    const artifact = await dumped({ objects })
    expect(artifact.manifest.objects.map(({ name }) => name)).toEqual(['"a.b".c', 'a.b', 'a."b.c"'])
    expect(new Set(artifact.manifest.objects.map(({ file }) => file)).size).toBe(3)
    await postgres.database.query('CREATE TABLE copied (x int)')
    for (const { name } of artifact.manifest.objects) await artifact.load(name, postgres.database, 'copied')
    expect(await postgres.database.query('SELECT x FROM copied')).toEqual([{ x: 1 }, { x: 3 }, { x: 2 }])
  })
})

describe.each([1, 3])('by %s connections', (connections) => {
  it.each<[what: string, object: DumpObject, from: string]>([
    [
      'a table with its children',
      table('parent', { descendants: 'Include', columns: ['a'] }),
      '(SELECT a FROM parent)',
    ],
    ['a table without its children', table('parent'), '(SELECT a FROM ONLY parent)'],
    ['a partitioned table of two levels', table('events'), 'events'],
    ['a partition by its own name', table('events_2'), 'events_2'],
    ['a view', table('orders_view'), 'orders_view'],
    ['a materialized view', table('orders_mat'), 'orders_mat'],
    ['a table with a generated column', table('child', { columns: ['a', 'b'] }), '(SELECT a, b FROM child)'],
    [
      'a part of a partitioned table',
      table('events', { where: 'day > 50 OR day = 3' }),
      '(SELECT * FROM events WHERE day > 50 OR day = 3)',
    ],
  ])('%s arrives as it is', async (_, object, from) => {
    const artifact = await dumped({ objects: [object], connections })
    const { name, columns } = artifact.manifest.objects[0] ?? { name: '', columns: [] }
    await postgres.database.query(
      `CREATE TABLE copied (${columns.map((column) => `${column.name} ${column.type}`).join(', ')})`,
    )
    await artifact.load(name, postgres.database, 'copied')
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, from))
    expect(artifact.object(name).rows).toBe((await fingerprint(postgres.database, from)).rows)
  })
})

describe('from PostgreSQL 14 on', () => {
  itSince(14)(
    'the parts of whatever has blocks are read by TID Range Scans, but where one holds a whole partition',
    async () => {
      const session = await connect(postgres.database.config)
      try {
        await session.query('BEGIN')
        for (const object of [
          { table: { schema: 'public', name: 'events' } },
          { table: { schema: 'public', name: 'orders_mat' } },
          { table: { schema: 'public', name: 'parent', columns: ['a'], descendants: 'Include' as const } },
        ]) {
          const { statements } = await findSource(session, object, 3)
          expect(statements.length).toBeGreaterThan(1)
          for (const statement of statements) {
            const select = /^COPY \((.*)\) TO STDOUT/s.exec(statement)?.[1]
            const plan = await session.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${select}`)
            const text = plan.map((line) => line['QUERY PLAN']).join('\n')
            expect(text).toContain('Tid Range Scan')
          }
        }
      } finally {
        await session.close()
      }
    },
  )
})

describe('foreign tables', () => {
  /** The server as a foreign server of itself: the database's name is known only now. */
  async function connectFar(): Promise<void> {
    const { database } = postgres
    const { port, socketDirectory } = postgres.server
    await database.query(`CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${socketDirectory}', port '${port}', dbname '${database.name}');
      CREATE USER MAPPING FOR PUBLIC SERVER self OPTIONS (user 'postgres');
      CREATE FOREIGN TABLE far.mirror (a int, b text) SERVER self OPTIONS (schema_name 'far', table_name 'source');
      CREATE TABLE far.mixed (a int, b text) PARTITION BY RANGE (a);
      CREATE TABLE far.near PARTITION OF far.mixed FOR VALUES FROM (1000) TO (2000);
      INSERT INTO far.mixed SELECT i, 'near ' || i FROM generate_series(1000, 1100) i;
      CREATE FOREIGN TABLE far.away PARTITION OF far.mixed FOR VALUES FROM (0) TO (1000) SERVER self
        OPTIONS (schema_name 'far', table_name 'source')`)
  }

  it('that a pattern finds are told to the log', async () => {
    await connectFar()
    const warned: object[] = []
    const context = { ...testContext(), log: { ...silentLogger, warn: (fields: object) => warned.push(fields) } }
    await dumped({ objects: [tables(['m*'], [], 'far')] }, context)
    expect(warned).toEqual([{ object: 'far.mirror' }])
    await dumped({ objects: [{ table: { schema: 'far', name: 'mirror' } }], path: 'named' }, context)
    expect(warned).toHaveLength(1)
  })

  it.each([1, 3])('and partitions that are foreign arrive as they are, by %s connections', async (connections) => {
    await connectFar()
    const artifact = await dumped({ objects: [tables(['m*'], [], 'far')], connections })
    expect(artifact.manifest.objects.map(({ name, rows }) => [name, rows])).toEqual([
      ['far.mirror', '200'],
      ['far.mixed', '301'],
    ])
    for (const name of ['far.mirror', 'far.mixed']) {
      await postgres.database.query('DROP TABLE IF EXISTS copied; CREATE TABLE copied (a int, b text)')
      await artifact.load(name, postgres.database, 'copied')
      expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, name))
    }
  })
})

describe('row-level security', () => {
  const allowed: SessionConfig = { settings: [{ name: 'row_security', value: 'on' }] }

  it.each<[string, DumpObject]>([
    ['a table', table('secrets')],
    ['a view', table('secrets_view')],
    ['a query', { query: { name: 'q', sql: 'SELECT secret FROM secrets' } }],
  ])('that hides rows of %s is said before one is dumped, with how to allow it', async (_, object) => {
    const error = await refusal({ objects: [object], source: visitor() })
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false })
    expect(error.message).toMatch(/row-level security would hide rows.*row_security = on/)
  })

  it.each<[string, DumpObject]>([
    ['public.secrets', table('secrets')],
    ['public.secrets_view', table('secrets_view')],
    ['q', { query: { name: 'q', sql: 'SELECT secret FROM secrets' } }],
  ])('that the user allows is noted in the manifest of %s', async (name, object) => {
    const artifact = await dumped({ objects: [object], source: visitor(), session: allowed })
    expect(artifact.object(name)).toMatchObject({ rows: '1', rowSecurity: true })
  })

  it('does not concern who sees all rows', async () => {
    const artifact = await dumped({ objects: [table('secrets')], session: allowed })
    expect(artifact.object('public.secrets')).toMatchObject({ rows: '2' })
    expect(artifact.object('public.secrets')).not.toHaveProperty('rowSecurity')
  })
})

describe('privileges', () => {
  it('are checked before a row moves, of the columns that are read', async () => {
    const error = await refusal({ objects: [table('orders')], source: visitor() })
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false })
    expect(error.message).toContain('public.orders')
  })

  it.each([1, 3])('to some columns are enough to read those, by %s connections', async (connections) => {
    const objects = [table('orders', { columns: ['id'] })]
    const artifact = await dumped({ objects, source: visitor(), connections })
    expect(artifact.object('public.orders').rows).toBe('300')
  })
})

describe('a server without TID range scans', () => {
  const SETUP = `
    CREATE TABLE orders (id int8 PRIMARY KEY, note text);
    INSERT INTO orders SELECT i * i - 1000, 'note ' || i FROM generate_series(1, 3000) i;
    CREATE TABLE people (name text PRIMARY KEY, id int UNIQUE); INSERT INTO people SELECT 'p' || i, i FROM generate_series(1, 50) i;
    CREATE TABLE parts (id int NOT NULL, note text) PARTITION BY HASH (id);
    CREATE UNIQUE INDEX ON parts (id);
    CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO parts SELECT i, 'n' || i FROM generate_series(1, 500) i;`

  it('reads a table in ranges of its key, each row once', async () => {
    const server = await startPostgres({ major: 13 })
    try {
      const database = await server.createDatabase()
      await database.query(SETUP)
      const session = await connect(database.config)
      await session.query('BEGIN')
      const statementsOf = async (name: string) =>
        (await findSource(session, { table: { schema: 'public', name } }, 4)).statements
      expect(await statementsOf('orders')).toHaveLength(4)
      expect(await statementsOf('parts')).toHaveLength(4)
      // Its only whole number may be null.
      expect(await statementsOf('people')).toEqual(['COPY "public"."people" ("name", "id") TO STDOUT (FORMAT binary)'])
      await session.close()
      for (const [index, object] of [table('orders', { where: 'id <> 0 OR true' }), table('parts')].entries()) {
        const request = { source: database.config, connections: 4, path: `run/${index}` }
        const artifact = await dumped({ ...request, objects: [object] })
        const [{ name } = { name: '' }] = artifact.manifest.objects
        await database.query(`DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE ${name})`)
        await artifact.load(name, database, 'copied')
        expect(await fingerprint(database, 'copied')).toEqual(await fingerprint(database, name))
      }
    } finally {
      await server.stop()
    }
  })
})

import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dump } from '../../../src/engine/dump.ts'
import { modifierFits } from '../../../src/engine/preflight-type.ts'
import { type ArtifactRestoreRequest, restore } from '../../../src/engine/restore.ts'
import type { PgpackError } from '../../../src/errors.ts'
import { describeTable } from '../../../src/postgres/catalog.ts'
import { connect } from '../../../src/postgres/connection.ts'
import type { ConnectionConfig } from '../../../src/postgres/types.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { copyIn, copyOut } from '../../support/copy.ts'
import { failureOf, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(60_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int, note text);
    INSERT INTO orders VALUES (1, 'one');
    CREATE TABLE customers (id int PRIMARY KEY);
    INSERT INTO customers VALUES (1);`,
})
const folder = useFolder()
let store: FilesystemStore
const sql = (text: string) => postgres.database.query(text)

beforeEach(async () => {
  store = new FilesystemStore(folder.path)
  const objects = ['orders', 'customers'].map((name) => ({ table: { schema: 'public', name } }))
  const request = { source: postgres.database.config, objects, connections: 1, store, path: 'p' }
  await dump({ ...request, compression: { method: 'None' } }, testContext())
})

type Changes = Partial<ArtifactRestoreRequest>

/** What a restore of `[object, table]` pairs says before a row moves; it leaves no trace of a try. */
async function refusal(pairs: readonly (readonly [string, string])[], changes: Changes = {}): Promise<PgpackError> {
  const objects = pairs.map(([from, name]) => ({ from: `public.${from}`, to: { schema: 'public', name } }))
  const target = postgres.database.config
  const context = testContext()
  const error = await failureOf(restore({ store, path: 'p', target, mode: 'Append', objects, ...changes }, context))
  expect(context.reports).toEqual([])
  return error
}

const plainUser = (): ConnectionConfig => ({ ...postgres.database.config, user: 'plain' })

beforeEach(async () => {
  const [role] = await sql(`SELECT FROM pg_roles WHERE rolname = 'plain'`)
  if (role === undefined) await postgres.server.query('CREATE ROLE plain LOGIN')
})

describe('a restore says before a row moves', () => {
  it('all that is wrong with all tables, each with its code', async () => {
    await sql('CREATE TABLE one (id text, extra int NOT NULL); CREATE TABLE pointing (id int REFERENCES customers)')
    const error = await refusal(
      [
        ['orders', 'one'],
        ['customers', 'customers'],
        ['orders', 'nothing'],
      ],
      { mode: 'Truncate' },
    )
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH', retryable: false })
    expect(error.message).toContain('public.orders does not fit table public.one')
    for (const column of ['id', 'note', 'extra']) expect(error.message).toContain(`column "${column}"`)
    expect(error.message).toMatch(/foreign keys of pointing point at it.*\[TARGET_REFERENCED\]/)
    expect(error.message).toMatch(/has no relation "public"."nothing".*\[POSTGRES_NO_RELATION\]/)
  })

  it.each([
    ['INSERT on public.mine', 'Append', 'GRANT SELECT ON mine TO plain'],
    ['TRUNCATE on public.mine', 'Truncate', 'GRANT SELECT, INSERT ON mine TO plain'],
    ['TRUNCATE on public.mine', 'Replace', 'GRANT SELECT, INSERT ON mine TO plain'],
  ] as const)('that the user lacks %s (%s)', async (privilege, mode, grant) => {
    await sql(`CREATE TABLE mine (LIKE orders); ${grant}`)
    const error = await refusal([['orders', 'mine']], { mode, target: plainUser() })
    expect(error).toMatchObject({ code: 'POSTGRES_PRIVILEGE', retryable: false })
    expect(error.message).toContain(`this user lacks ${privilege}`)
  })

  it('that the user may not create beside the table, or in the schema', async () => {
    await sql('REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO plain')
    await sql('CREATE TABLE mine (LIKE orders); GRANT ALL ON mine TO plain')
    const shadow = await refusal([['orders', 'mine']], { mode: 'Replace', connections: 2, target: plainUser() })
    expect(shadow.message).toContain('CREATE on schema public, where Replace loads first')
    const made = await refusal([['orders', 'made']], { mode: 'CreateIfMissing', target: plainUser() })
    expect(made).toMatchObject({ code: 'POSTGRES_PRIVILEGE' })
  })

  it('that INSERT on the columns is enough, and on some of them is not', async () => {
    await sql('CREATE TABLE mine (LIKE orders); GRANT INSERT (id) ON mine TO plain')
    expect((await refusal([['orders', 'mine']], { target: plainUser() })).message).toContain('INSERT on public.mine')
    await sql('GRANT INSERT (note) ON mine TO plain')
    const objects = [{ from: 'public.orders', to: { schema: 'public', name: 'mine' } }]
    const { totals } = await restore(
      { store, path: 'p', target: plainUser(), mode: 'Append', objects, analyze: 'Never' },
      testContext(),
    )
    expect(totals.rows).toBe('1')
  })

  it('that row-level security applies', async () => {
    await sql('CREATE TABLE mine (LIKE orders); ALTER TABLE mine ENABLE ROW LEVEL SECURITY; GRANT ALL ON mine TO plain')
    const error = await refusal([['orders', 'mine']], { target: plainUser() })
    expect(error.code).toBe('POSTGRES_PRIVILEGE')
    expect(error.message).toContain('row-level security applies')
  })

  it('that transactions are read-only, and that it may be worth a retry', async () => {
    await sql(`ALTER ROLE plain SET default_transaction_read_only = on`)
    try {
      const error = await refusal([['orders', 'orders']], { target: plainUser() })
      expect(error).toMatchObject({ code: 'POSTGRES_READ_ONLY', retryable: true, reason: 'DatabaseUnavailable' })
      const session = { settings: [{ name: 'default_transaction_read_only', value: 'off' }] }
      expect((await refusal([['orders', 'orders']], { target: plainUser(), session })).code).toBe('POSTGRES_PRIVILEGE')
    } finally {
      await sql('ALTER ROLE plain RESET ALL')
    }
  })

  it.each([
    ['a view', 'CREATE VIEW odd AS SELECT * FROM orders', 'without an INSTEAD OF INSERT trigger', 'Append'],
    ['a view to be emptied', 'CREATE VIEW odd AS SELECT * FROM orders', 'cannot be emptied', 'Truncate'],
    ['a materialized view', 'CREATE MATERIALIZED VIEW odd AS SELECT * FROM orders', 'materialized view', 'Append'],
    ['a sequence', 'CREATE SEQUENCE odd', 'relkind "S"', 'Append'],
  ] as const)('that the target is %s', async (_, definition, text, mode) => {
    await sql(definition)
    const error = await refusal([['orders', 'odd']], { mode })
    expect(['OBJECT_UNSUPPORTED', 'TARGET_MISMATCH']).toContain(error.code)
    expect(error.message).toContain(text)
  })

  it('that two objects would undo each other, or one is named twice', async () => {
    await sql('CREATE TABLE both_of (id int, note text)')
    const twice = await refusal([
      ['orders', 'both_of'],
      ['orders', 'both_of'],
    ])
    expect(twice.message).toContain('the same object goes into it twice')
    const pairs = [
      ['orders', 'both_of'],
      ['customers', 'both_of'],
    ] as const
    for (const changes of [{ mode: 'Replace' }, { mode: 'Truncate', transaction: 'PerObject' }] as const) {
      const error = await refusal(pairs, changes)
      expect(error.code).toBe('CONFIG_INVALID')
      expect(error.message).toContain('each would remove the rows of the other')
    }
  })

  it('that tables which point at each other cannot be emptied one by one', async () => {
    await sql('CREATE TABLE pointing (id int REFERENCES customers)')
    const pairs = [
      ['customers', 'customers'],
      ['customers', 'pointing'],
    ] as const
    const error = await refusal(pairs, { mode: 'Truncate', transaction: 'PerObject' })
    expect(error).toMatchObject({ code: 'TARGET_REFERENCED', retryable: false })
  })
})

describe('a restore into what takes rows by other means', () => {
  const into = (name: string, changes: Changes = {}) => {
    const objects = [{ from: 'public.orders', to: { schema: 'public', name } }]
    const target = postgres.database.config
    return restore({ store, path: 'p', target, mode: 'Append', objects, analyze: 'Never', ...changes }, testContext())
  }

  it.each(['Append', 'Truncate', 'Replace'] as const)('fills the partitions of a table (%s)', async (mode) => {
    await sql(`CREATE TABLE parts (id int, note text) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100)`)
    for (const connections of [1, 2]) await into('parts', { mode, connections })
    expect(await sql('SELECT count(*)::int AS rows FROM low')).toEqual([{ rows: mode === 'Append' ? 2 : 1 }])
  })

  it('lets the trigger of a view do what it does', async () => {
    await sql(`CREATE TABLE behind (id int, note text); CREATE VIEW before_it AS SELECT * FROM behind;
      CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO behind VALUES (NEW.id, 'by trigger'); RETURN NEW; END $$;
      CREATE TRIGGER pass INSTEAD OF INSERT ON before_it FOR EACH ROW EXECUTE PROCEDURE pass()`)
    await into('before_it')
    expect(await sql('SELECT * FROM behind')).toEqual([{ id: 1, note: 'by trigger' }])
  })
})

/** What modifiers do to a value that uses all of what its type can say. */
describe.each([
  [
    'intervals',
    `'1 year 2 months 3 days 04:05:06.123456'`,
    ['interval', 'interval(3)', 'interval(2)', 'interval year', 'interval year to month', 'interval month'],
  ],
  [
    'intervals of days and times',
    `'1 year 2 months 3 days 04:05:06.123456'`,
    ['interval', 'interval day', 'interval day to hour', 'interval hour to minute', 'interval minute to second(2)'],
  ],
  ['arrays of numbers', `'{1234.5678}'`, ['numeric(7,3)[]', 'numeric(6,2)[]', 'numeric(5,1)[]', 'numeric[]']],
  ['arrays of text', `'{abcdefghij}'`, ['varchar(5)[]', 'varchar(6)[]', 'varchar[]']],
  ['arrays of times', `'{12:00:00.123456}'`, ['time[]', 'time(3)[]', 'time(4)[]']],
  ['arrays of intervals', `'{1 day 04:05:06.123456}'`, ['interval[]', 'interval(3)[]', 'interval day[]']],
  ['arrays of bits', `'{1010101010}'`, ['varbit(5)[]', 'varbit(7)[]', 'varbit[]']],
])('the modifiers of %s', (_, value, types) => {
  it('fit just where the server takes the value as it is', async () => {
    const session = await connect(postgres.database.config)
    try {
      for (const [index, type] of types.entries()) await sql(`CREATE TABLE type_${index} (v ${type})`)
      for (const [from, source] of types.entries()) {
        await sql(`INSERT INTO type_${from} VALUES (${value}::${source})`)
        const bytes = await copyOut(postgres.database, `COPY type_${from} TO STDOUT (FORMAT binary)`)
        const [sourceColumn] = (await describeTable(session, { schema: 'public', name: `type_${from}` })).columns
        for (const [to, target] of types.entries()) {
          const [targetColumn] = (await describeTable(session, { schema: 'public', name: `type_${to}` })).columns
          if (sourceColumn === undefined || targetColumn === undefined) throw new Error('no column')
          if (sourceColumn.typeOid !== targetColumn.typeOid) continue
          const fits = modifierFits(sourceColumn, targetColumn)
          expect({ source, target, fits }).toEqual({ source, target, fits: await isTakenAsItIs(bytes, from, target) })
        }
      }
    } finally {
      await session.close()
    }
  })
})

async function isTakenAsItIs(bytes: Buffer, from: number, target: string): Promise<boolean> {
  await sql(`DROP TABLE IF EXISTS taken; CREATE TABLE taken (v ${target})`)
  try {
    await copyIn(postgres.database, 'COPY taken FROM STDIN (FORMAT binary)', bytes)
  } catch {
    return false
  }
  const comparable = target.startsWith('interval') ? 'v::text' : 'v'
  const [row] = await sql(`SELECT (SELECT ${comparable} FROM taken) = (SELECT ${comparable} FROM type_${from}) AS same`)
  return row?.['same'] === true
}

import { describe, expect, it, jest } from '@jest/globals'
import { type ArtifactDumpRequest, dump } from '../../../src/engine/dump.ts'
import type { ErrorCode } from '../../../src/errors.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { failureOf, keysIn, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const postgres = usePostgres({
  setup: `CREATE TABLE orders (id int, note text); INSERT INTO orders VALUES (1, 'a'); CREATE SEQUENCE counter;
    CREATE TABLE hollow (); CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS a WITH NO DATA;
    CREATE TABLE rights (id int, acl aclitem, acls aclitem[]);`,
})
const folder = useFolder()

const table = (name: string, more: object = {}): DumpObject => ({ table: { schema: 'public', name, ...more } })
const query = (sql: string): DumpObject => ({ query: { name: 'totals', sql } })
const csv = (copyOptions: NonNullable<ArtifactDumpRequest['copyOptions']>) =>
  ({ objects: [table('orders')], format: 'CSV', copyOptions }) as const

type Case = [what: string, request: Partial<ArtifactDumpRequest>, code: ErrorCode, message: RegExp]

const CASES: readonly Case[] = [
  [
    'an unknown table',
    { objects: [table('order')] },
    'POSTGRES_NO_RELATION',
    /"public"\."order"; did you mean "public"\."orders"/,
  ],
  [
    'an unknown schema',
    { objects: [{ table: { schema: 'nope', name: 'orders' } }] },
    'POSTGRES_NO_RELATION',
    /did you mean "public"\."orders"/,
  ],
  [
    'an unknown column',
    { objects: [table('orders', { columns: ['note', 'no'] })] },
    'POSTGRES_NO_COLUMN',
    /public\.orders has no column "no".*id, note/,
  ],
  [
    'a column twice',
    { objects: [table('orders', { columns: ['id', 'id'] })] },
    'CONFIG_INVALID',
    /public\.orders: column "id" is asked for twice/,
  ],
  [
    'a condition with an unknown column',
    { objects: [table('orders', { where: 'nope > 1' })] },
    'POSTGRES_NO_COLUMN',
    /^public\.orders: .*nope/,
  ],
  [
    'a condition with a second statement',
    { objects: [table('orders', { where: 'true); DELETE FROM orders; SELECT (1' })] },
    'POSTGRES_STATEMENT',
    /^public\.orders: /,
  ],
  [
    'a sequence',
    { objects: [table('counter')] },
    'OBJECT_UNSUPPORTED',
    /^public\.counter: .*relkind "S".*materialized view/,
  ],
  ['a table without columns', { objects: [table('hollow')] }, 'OBJECT_UNSUPPORTED', /public\.hollow has no columns/],
  [
    'a materialized view without rows yet',
    { objects: [table('orders'), table('unfilled')] },
    'OBJECT_UNSUPPORTED',
    /^public\.unfilled: .*REFRESH MATERIALIZED VIEW/,
  ],
  [
    'types without a binary form',
    { objects: [table('orders'), table('rights')] },
    'OBJECT_UNSUPPORTED',
    /^public\.rights: columns "acl" \(aclitem\), "acls" \(aclitem\[\]\) .*Text or CSV/,
  ],
  [
    'a query of such a type',
    { objects: [{ query: { name: 'totals', sql: 'SELECT id, acl FROM rights' } }] },
    'OBJECT_UNSUPPORTED',
    /^query "totals": column "acl" \(aclitem\) .*cast/,
  ],
  [
    'a pattern that nothing fits',
    { objects: [{ tables: { schema: 'public', include: ['x*'], exclude: [] } }] },
    'POSTGRES_NO_RELATION',
    /fits the pattern "x\*"/,
  ],
  [
    'a pattern that is none',
    { objects: [{ tables: { schema: 'public', include: ['[z-a]'], exclude: [] } }] },
    'CONFIG_INVALID',
    /\[z-a\].*runs backwards/,
  ],
  [
    'a query of two statements',
    { objects: [query('SELECT 1 AS a; SELECT 2 AS b')] },
    'POSTGRES_STATEMENT',
    /^query "totals": .*expected one SELECT/,
  ],
  [
    'a second statement behind a comment',
    { objects: [query('SELECT 1 AS a; -- done\nDELETE FROM orders')] },
    'POSTGRES_STATEMENT',
    /expected one SELECT/,
  ],
  [
    'a comment that is never closed',
    { objects: [query('SELECT 1 AS a /* and so on')] },
    'POSTGRES_STATEMENT',
    /expected one SELECT/,
  ],
  [
    'a query that leaves its parentheses',
    { objects: [query("SELECT 1 AS a) TO '/tmp/pgpack-stolen' --")] },
    'POSTGRES_STATEMENT',
    /expected one SELECT/,
  ],
  [
    'two queries that look like one',
    { objects: [query('SELECT 1 AS a) UNION (SELECT 2 AS a')] },
    'POSTGRES_STATEMENT',
    /expected one SELECT/,
  ],
  ['a DELETE', { objects: [query('DELETE FROM orders RETURNING id')] }, 'POSTGRES_STATEMENT', /expected one SELECT/],
  [
    'a DELETE in a WITH',
    { objects: [query('WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone')] },
    'CONFIG_INVALID',
    /^query "totals": the query changes data/,
  ],
  [
    'a SELECT INTO',
    { objects: [query('SELECT 1 AS a INTO copied')] },
    'CONFIG_INVALID',
    /^query "totals": .*expected a SELECT/,
  ],
  ['an EXPLAIN', { objects: [query('EXPLAIN SELECT 1')] }, 'POSTGRES_STATEMENT', /expected one SELECT/],
  ['a statement without rows', { objects: [query('VACUUM')] }, 'CONFIG_INVALID', /expected a SELECT, VALUES or TABLE/],
  [
    'a column without a name',
    { objects: [query('SELECT id, id + 1 FROM orders')] },
    'CONFIG_INVALID',
    /^query "totals": column 2 of the query has no name/,
  ],
  [
    'two columns of one name',
    { objects: [query('SELECT id, note AS id FROM orders')] },
    'CONFIG_INVALID',
    /two columns "id"/,
  ],
  [
    'options of COPY for a PGPack file',
    { objects: [table('orders')], copyOptions: { delimiter: ';' } },
    'CONFIG_INVALID',
    /copyOptions go with format/,
  ],
  [
    'an option of another format',
    { ...csv({ delimiter: ';' }), format: 'Binary' },
    'CONFIG_INVALID',
    /delimiter \(DELIMITER\) needs/,
  ],
  [
    'an option of the other direction',
    csv({ freeze: true }),
    'CONFIG_INVALID',
    /freeze \(FREEZE\) .*needs .*COPY FROM/,
  ],
  ['an option of another server', csv({ newline: 'CRLF' }), 'CONFIG_INVALID', /newline \(NEWLINE\).*Greenplum/],
  ['files that no store would get', csv({ onSegment: '/tmp/<SEGID>' }), 'CONFIG_INVALID', /ON SEGMENT/],
  [
    'a level that the method does not have',
    { objects: [table('orders')], compression: { method: 'LZ4', level: 3 } },
    'CONFIG_INVALID',
    /level 3 does not fit LZ4/,
  ],
  [
    'an object twice',
    { objects: [query('SELECT 1 AS a'), query('SELECT 2 AS a')] },
    'CONFIG_INVALID',
    /totals is asked for twice/,
  ],
  [
    'a setting that is none',
    { objects: [table('orders')], session: { settings: [{ name: 'no_such_thing', value: '1' }] } },
    'CONFIG_INVALID',
    /no_such_thing/,
  ],
]

describe('before a row moves, a dump refuses', () => {
  it.each(CASES)('%s', async (_, changes, code, message) => {
    const store = new FilesystemStore(folder.path)
    const context = testContext()
    const request = { connections: 2, compression: { method: 'None' }, store, path: 'run', objects: [] } as const
    const error = await failureOf(dump({ source: postgres.database.config, ...request, ...changes }, context))
    expect(error.message).toMatch(message)
    expect(error).toMatchObject({ code, retryable: false })
    expect(context.reports.every(({ rows }) => rows === '0')).toBe(true)
    expect(await keysIn(store)).toEqual([])
    expect(await postgres.database.query('SELECT count(*)::int AS rows FROM orders')).toEqual([{ rows: 1 }])
  })
})

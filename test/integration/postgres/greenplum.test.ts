import { pipeline } from 'node:stream/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { copyFrom, copyFromSegments, copyTableTo, copyTableToSegments } from '../../../src/postgres/copy.ts'
import type { CopyOptions } from '../../../src/postgres/copy-options/schema.ts'
import { COPY_FEATURES, type CopyFormat, type CopyTarget } from '../../../src/postgres/copy-options/table.ts'
import { checkCopyOptions, copyOptionProblems } from '../../../src/postgres/copy-options/validate.ts'
import { collect } from '../../support/bytes.ts'
import { allowedOf, aroundServersRules } from '../../support/copy-arbitraries.ts'
import {
  BINARY_TRAILER,
  binaryHeader,
  CELL_COLUMNS,
  CELL_TABLE,
  createCellTable,
  expectedCells,
  foundCells,
  int32,
  isTaken,
} from '../../support/copy-cells.ts'
import { useGreenplum } from '../../support/greenplum.ts'
import type { TestDatabase } from '../../support/postgres.ts'

describe('COPY on a real Greenplum', () => {
  // Before the database is dropped, which the next line asks for.
  afterAll(() => removeSegmentFiles(database))
  const database = useGreenplum()
  let server: Pick<CopyTarget, 'versionNumber' | 'flavour'>
  let client: pg.Client

  beforeAll(async () => {
    const [row] = await database.query<{ version: string }>("select current_setting('server_version_num') as version")
    server = { versionNumber: Number(row?.version), flavour: 'Greenplum' }
  })
  beforeEach(async () => {
    client = new pg.Client({ connectionString: database.dsn })
    await client.connect()
    await client.query(`drop table if exists t; ${createCellTable(server)} distributed by (id)`)
  })
  afterEach(() => client.end())

  const select = async (sql = 'select id, name from t order by id') =>
    (await client.query({ text: sql, rowMode: 'array' })).rows
  const checked = (options: CopyOptions, format: CopyFormat, direction: 'From' | 'To') => {
    checkCopyOptions(options, { format, direction, ...server })
    return { format, options }
  }
  const load = (rows: string, options: CopyOptions, format: CopyFormat = 'Text') => {
    const sql = copyFrom(CELL_TABLE, CELL_COLUMNS, checked(options, format, 'From'))
    return pipeline([Buffer.from(rows)], client.query(from(sql)))
  }

  it.each(COPY_FEATURES.map((feature) => ({ feature, sql: feature.keyword })))(
    'has $sql just where the table says so',
    async ({ feature }) => {
      expect(await foundCells(client, feature)).toEqual(expectedCells(feature, server))
    },
  )

  it('takes the values that the rules pass, and refuses those that they refuse', async () => {
    await fc.assert(
      fc.asyncProperty(aroundServersRules, async ({ format, direction, options: wished }) => {
        const copy = { format, direction, columns: CELL_COLUMNS, ...server }
        const options = allowedOf(wished, copy)
        const problems = copyOptionProblems(options, copy)
        const taken = await isTaken(client, { format, options }, direction)
        expect({ problems, taken }).toEqual({ problems, taken: problems.length === 0 })
      }),
      { numRuns: 150 },
    )
  }, 300_000)

  it.each([{ keywords: false }, { keywords: true }])(
    'gets the very characters that were set, in keywords: $keywords',
    async ({ keywords }) => {
      await client.query('insert into t values (null, null)')
      await fc.assert(
        fc.asyncProperty(aroundServersRules, async ({ format, options: { delimiter = '|', null: nothing = '\\' } }) => {
          const options = { delimiter, null: nothing, ignoreExternalPartitions: keywords }
          fc.pre(copyOptionProblems(options, { format, direction: 'To', ...server }).length === 0)
          const rows = await collect(client.query(to(copyTableTo(CELL_TABLE, CELL_COLUMNS, { format, options }))))
          expect(rows.toString()).toBe(`${nothing}${delimiter}${nothing}\n`)
        }),
        { numRuns: 40 },
      )
    },
    300_000,
  )

  it.each<[CopyFormat, CopyOptions, CopyOptions]>([
    ['Binary', {}, {}],
    ['Text', { delimiter: '|', null: '\\null' }, { delimiter: '|', null: '\\null' }],
    ['CSV', { header: 'Present', forceQuote: ['*'] }, { header: 'Present', forceNotNull: ['name'] }],
  ])('writes a file on each segment and loads them again: %s', async (format, out, back) => {
    await client.query("insert into t select n, 'it''s ' || n from generate_series(1, 1000) n")
    const before = await select()
    const onSegment = segmentFile(database.name)
    checkCopyOptions({ ...out, onSegment }, { format, direction: 'To', ...server })
    checkCopyOptions({ ...back, onSegment }, { format, direction: 'From', ...server })
    const written = await client.query(
      copyTableToSegments(CELL_TABLE, CELL_COLUMNS, { format, options: { ...out, onSegment } }),
    )
    expect(written.rowCount).toBe(1000)
    await client.query('truncate t')
    await client.query(copyFromSegments(CELL_TABLE, CELL_COLUMNS, { format, options: { ...back, onSegment } }))
    expect(await select()).toEqual(before)
  })

  it('leaves out malformed rows up to the limit, and keeps them in the error log', async () => {
    await load('1\ta\nx\tb\n2\tc\nonly one\n3\td\n', { segmentRejectLimit: { count: 10 }, logErrors: true })
    expect(await select()).toEqual([
      [1, 'a'],
      [2, 'c'],
      [3, 'd'],
    ])
    const log = await select("select rawdata from gp_read_error_log('t') order by linenum")
    expect(log).toEqual([['x\tb'], ['only one']])
  })

  it('leaves out rows of a binary COPY whose values do not convert', async () => {
    await client.query('create table numbers (id int, n int) distributed by (id)')
    const table = { ...CELL_TABLE, name: 'numbers' }
    try {
      const how = checked({ segmentRejectLimit: { count: 10 } }, 'Binary', 'From')
      const rows = [binaryRow(int32(1), int32(1)), binaryRow(int32(2), Buffer.alloc(5)), binaryRow(int32(3), int32(3))]
      await pipeline([binaryHeader(), ...rows, BINARY_TRAILER], client.query(from(copyFrom(table, ['id', 'n'], how))))
      expect(await select('select id, n from numbers order by id')).toEqual([
        [1, 1],
        [3, 3],
      ])
    } finally {
      await client.query('drop table numbers')
    }
  })

  it.each<[CopyOptions, 'From' | 'To', RegExp]>([
    [{ onSegment: 'relative<SEGID>' }, 'To', /relative path not allowed/],
    [{ onSegment: '<SEG_DATA_DIR>/same' }, 'To', /<SEGID> is required/],
    [{ segmentRejectLimit: { count: 1 } }, 'From', /Should be 2 or larger/],
    [{ segmentRejectLimit: { count: 101, unit: 'Percent' } }, 'From', /Should be \(1 - 100\)/],
  ])('refuses %j in COPY %s as we do', async (options, direction, message) => {
    expect(copyOptionProblems(options, { format: 'Text', direction, ...server })).not.toEqual([])
    const { onSegment } = options
    const sql =
      onSegment === undefined
        ? copyFrom(CELL_TABLE, CELL_COLUMNS, { format: 'Text', options })
        : copyTableToSegments(CELL_TABLE, CELL_COLUMNS, { format: 'Text', options: { ...options, onSegment } })
    await expect(client.query(sql)).rejects.toThrow(message)
  })

  it('fails at the limit', async () => {
    const limits: CopyOptions[] = [
      { segmentRejectLimit: { count: 2 } },
      { segmentRejectLimit: { count: 2, unit: 'Rows' } },
    ]
    for (const options of limits) {
      await expect(load('x\ta\n'.repeat(50), options)).rejects.toThrow(/reject limit/i)
    }
  })

  it('fills missing fields, and reads lines that end as was said', async () => {
    await load('1,a\r\n2\r\n', { fillMissingFields: true, newline: 'CRLF' }, 'CSV')
    expect(await select()).toEqual([
      [1, 'a'],
      [2, null],
    ])
  })

  it('reads text without escapes', async () => {
    await load('1|a\\tb\n', { delimiter: '|', escape: 'OFF' })
    expect(await select()).toEqual([[1, 'a\\tb']])
  })

  it('reads text with a header line', async () => {
    await load('id\tname\n1\ta\n', { header: 'Present' })
    expect(await select()).toEqual([[1, 'a']])
  })

  it('leaves out partitions that are external tables', async () => {
    await client.query(`
      create table parts (id int, name text) distributed by (id)
        partition by range (id) (partition low start (0) end (10), partition high start (10) end (20));
      create external web table outside (id int, name text) execute 'echo 15,out' on master format 'csv';
      insert into parts values (1, 'in');
      alter table parts exchange partition high with table outside without validation`)
    const parts = { ...CELL_TABLE, name: 'parts', kind: server.versionNumber < 120000 ? 'r' : 'p' }
    try {
      const sql = copyTableTo(parts, CELL_COLUMNS, checked({ ignoreExternalPartitions: true }, 'CSV', 'To'))
      expect((await collect(client.query(to(sql)))).toString()).toBe('1,in\n')
    } finally {
      await client.query('drop table parts, outside')
    }
  })
})

function segmentFile(name: string): string {
  return `<SEG_DATA_DIR>/${name}_<SEGID>`
}

/** The files that COPY TO left on the segments' hosts: the cells' one and that of the round trips. */
async function removeSegmentFiles({ name, query }: TestDatabase): Promise<void> {
  const files = [segmentFile(name), ...COPY_FEATURES.map(({ example }) => example.onSegment ?? '')].join(' ')
  await query(`copy t to program 'cat > /dev/null; rm -f ${files}' on segment`)
}

function binaryRow(...values: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0, values.length]), ...values.flatMap((value) => [int32(value.length), value])])
}

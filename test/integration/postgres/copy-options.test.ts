import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import pg from 'pg'
import { to } from 'pg-copy-streams'
import { copyFrom, copyQueryTo, copyTableTo } from '../../../src/postgres/copy.ts'
import { isEncodingName } from '../../../src/postgres/copy-options/encodings.ts'
import type { CheckedCopy } from '../../../src/postgres/copy-options/rules.ts'
import type { CopyOptions } from '../../../src/postgres/copy-options/schema.ts'
import { COPY_FEATURES } from '../../../src/postgres/copy-options/table.ts'
import { copyOptionProblems } from '../../../src/postgres/copy-options/validate.ts'
import { collect } from '../../support/bytes.ts'
import { copyIn, copyOut } from '../../support/copy.ts'
import { allowedOf, aroundServersRules } from '../../support/copy-arbitraries.ts'
import {
  CELL_COLUMNS,
  CELL_TABLE,
  createCellTable,
  expectedCells,
  foundCells,
  isTaken,
} from '../../support/copy-cells.ts'
import { usePostgres } from '../../support/postgres.ts'

/** Everything is asked of the server that is connected to: the matrix runs this file on each major. */
describe('options of COPY on a real server', () => {
  let client: pg.Client
  // Before usePostgres, whose own hook drops the database and would end the connection the hard way.
  afterEach(() => client.end())
  const postgres = usePostgres()
  let server: Pick<CheckedCopy, 'versionNumber' | 'flavour'>

  beforeEach(async () => {
    client = new pg.Client({ connectionString: postgres.database.dsn })
    await client.connect()
    const { rows } = await client.query<{ version: string }>("select current_setting('server_version_num') as version")
    server = { versionNumber: Number(rows[0]?.version), flavour: 'PostgreSQL' }
    await client.query(createCellTable(server))
  })

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
        expect({ problems, taken: await isTaken(client, { format, options }, direction) }).toEqual({
          problems,
          taken: problems.length === 0,
        })
      }),
      { numRuns: 400 },
    )
  }, 60_000)

  it('knows encodings by the names that we know them by', async () => {
    const names = [
      'UTF8',
      'utf-8',
      'ISO 8859-15',
      'Windows_1252',
      'sjis',
      'EUC_JIS_2004',
      'mskanji',
      'latin11',
      'win1',
      '',
    ]
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.constantFrom(...names), nearEncodings), async (name) => {
        const { rows } = await client.query<{ known: boolean }>('select pg_char_to_encoding($1) >= 0 as known', [name])
        expect({ name, known: rows[0]?.known }).toEqual({ name, known: isEncodingName(name) })
      }),
      { numRuns: 300 },
    )
  }, 60_000)

  it.each(['on', 'off'])(
    'gets the very characters that were set, with standard_conforming_strings %s',
    async (conforming) => {
      await client.query(`set standard_conforming_strings = ${conforming}; set escape_string_warning = off`)
      await fc.assert(
        fc.asyncProperty(
          aroundServersRules,
          async ({ format, options: { delimiter = '|', null: nullString = '\\' } }) => {
            const how = { format, options: { delimiter, null: nullString } }
            fc.pre(copyOptionProblems(how.options, { format, direction: 'To', ...server }).length === 0)
            const rows = await collect(client.query(to(copyQueryTo('select null::int, null::int', how))))
            expect(rows.toString()).toBe(`${nullString}${delimiter}${nullString}\n`)
          },
        ),
        { numRuns: 100 },
      )
    },
    60_000,
  )

  it.each<{ name: string; format: 'Text' | 'CSV'; options: CopyOptions }>([
    { name: 'plain text', format: 'Text', options: {} },
    {
      name: 'text with another delimiter and null',
      format: 'Text',
      options: { delimiter: "'", null: '\\null' },
    },
    { name: 'plain CSV', format: 'CSV', options: {} },
    {
      name: 'CSV with everything set',
      format: 'CSV',
      options: { delimiter: ';', null: '\\null', quote: "'", escape: '\\', header: 'Present', encoding: 'LATIN1' },
    },
  ])('brings back what it took out: $name', async ({ format, options }) => {
    const rows = [
      { id: 1, name: 'a;b,c\td|e' },
      { id: 2, name: '' },
      { id: 3, name: null },
      { id: 4, name: `it's "quoted" \\ é\r\nline` },
      { id: 5, name: '\\N' },
    ]
    await client.query('insert into t select * from json_populate_recordset(null::t, $1)', [JSON.stringify(rows)])
    const bytes = await copyOut(postgres.database, copyTableTo(CELL_TABLE, CELL_COLUMNS, { format, options }))
    await client.query('truncate t')
    await copyIn(postgres.database, copyFrom(CELL_TABLE, CELL_COLUMNS, { format, options }), bytes)
    expect((await client.query('select id, name from t order by id')).rows).toEqual(rows)
  })
})

/** Encoding names with a character changed. */
const nearEncodings = fc
  .tuple(fc.constantFrom('latin', 'win', 'windows', 'iso8859', 'koi8', 'euc', 'win125'), fc.string({ maxLength: 3 }))
  .map(([name, rest]) => `${name}${rest.replaceAll('\0', '')}`)

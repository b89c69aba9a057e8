import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it, jest } from '@jest/globals'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { repositoryDirectory } from '../../cluster/settings.ts'
import { readCSV } from '../../support/csv.ts'
import { keysIn, useFolder } from '../../support/engine.ts'
import { useExamples } from '../../support/examples.ts'
import { removeSegmentFiles, useGreenplum } from '../../support/greenplum.ts'

jest.setTimeout(180_000)

// Before the database is dropped, which the next line asks for.
afterAll(() => removeSegmentFiles(greenplum, 'orders', 'pgpack_public.'))
const greenplum = useGreenplum(`
  CREATE TABLE orders (id int, amount int) DISTRIBUTED BY (id);
  CREATE TABLE lines (id int, number int) DISTRIBUTED RANDOMLY;
  INSERT INTO lines SELECT i, i % 7 FROM generate_series(1, 100) i`)
const folder = useFolder()
const example = useExamples('greenplum', folder, () => ({ GREENPLUM_DSN: greenplum.dsn }))

describe('the examples for Greenplum', () => {
  it('are named on its page, all of them', async () => {
    const page = await readFile(join(repositoryDirectory, 'docs/greenplum.md'), 'utf8')
    for (const file of await readdir(join(repositoryDirectory, 'examples/greenplum'))) expect(page).toContain(file)
  })

  it('bring back the row that does not fit, and load the others once', async () => {
    for (let time = 0; time < 2; time += 1) {
      expect(await example('rejects.sh')).toMatch(
        /1 rows rejected in file:\/\/.*\/rejected\/orders\.csv\.rejects\.csv\n/,
      )
    }
    const rejected = await readFile(join(folder.path, 'rejected/orders.csv.rejects.csv'), 'utf8')
    expect(readCSV(rejected)).toMatchObject([{ filename: 'orders.csv', linenum: '3', rawdata: '2,ten' }])
    expect(await greenplum.query('SELECT id, amount FROM orders ORDER BY id')).toEqual([
      { id: 1, amount: 10 },
      { id: 3, amount: 30 },
    ])
  })

  it('leave the rows on the segments, and read them from there', async () => {
    await greenplum.query('TRUNCATE orders; INSERT INTO orders SELECT i, i FROM generate_series(1, 50) i')
    await example('on-segment.sh')
    expect(await keysIn(new FilesystemStore(join(folder.path, 'dump')))).toEqual(['manifest.json'])
    expect(
      await greenplum.query(
        'SELECT (SELECT count(*)::int FROM orders) AS orders, (SELECT count(*)::int FROM lines) AS lines',
      ),
    ).toEqual([{ orders: 50, lines: 100 }])
  })
})

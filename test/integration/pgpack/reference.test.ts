import { readFile, writeFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { fromText, toText } from '../../../src/pgpack/convert/convert.ts'
import { RowReader } from '../../../src/pgpack/rows/row-reader.ts'
import { fromRows } from '../../../src/pgpack/rows/row-writer.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { toArray } from '../../support/bytes.ts'
import { inPieces, join } from '../../support/chunks.ts'
import { copyOut } from '../../support/copy.ts'
import { useFolder } from '../../support/engine.ts'
import { MemorySink } from '../../support/pgpack.ts'
import { usePostgres } from '../../support/postgres.ts'
import { REFERENCE_METHODS, referenceServer, resultOf, runReference } from '../../support/reference.ts'
import { allTypes } from '../interop/tables.ts'

jest.setTimeout(300_000)

const METHODS = ['None', 'LZ4', 'Zstd'] as const
const postgres = usePostgres({
  authentication: 'scram-sha-256',
  settings: { TimeZone: 'UTC' },
  setup: `${allTypes('all_types')}
    CREATE TABLE damaged (n numeric, span interval, at timestamp);
    INSERT INTO damaged VALUES ('1.5', '1 year 24:00', '2026-11-21 12:00:00.123456'), ('NaN', '14 mons', 'infinity');`,
})
const folder = useFolder()
const path = (name: string) => joinPath(folder.path, name)
const csv = async (table: string) =>
  (await copyOut(postgres.database, `COPY ${table} TO STDOUT (FORMAT csv)`)).toString()

/** Files of a table by the reference, one for each method. */
async function dumpByReference(table: string): Promise<Buffer[]> {
  const server = referenceServer(postgres.database)
  const steps = METHODS.map((method) => {
    return { do: 'read_dump' as const, server, table, path: path(method), method: REFERENCE_METHODS[method] }
  })
  for (const result of await runReference(steps)) resultOf(result)
  return Promise.all(METHODS.map((method) => readFile(path(method))))
}

/** Lets the reference load files into copies of a table; the CSV of each. */
async function loadByReference(table: string, files: readonly Buffer[]): Promise<string[]> {
  const server = referenceServer(postgres.database)
  const copies = files.map((_, index) => `copy_${index}`)
  for (const [index, file] of files.entries()) {
    await postgres.database.query(`CREATE TABLE copy_${index} (LIKE ${table})`)
    await writeFile(path(`copy_${index}`), file)
  }
  const steps = copies.map((copy) => ({ do: 'write_dump' as const, server, table: copy, path: path(copy) }))
  for (const result of await runReference(steps)) resultOf(result)
  return Promise.all(copies.map(csv))
}

describe('typed rows', () => {
  it('of the files of the reference are the text that COPY writes, for each method and all its types', async () => {
    const expected = await csv('all_types')
    for (const file of await dumpByReference('all_types')) {
      expect((await join(toText(bufferSource(file), { format: 'csv' }))).toString()).toBe(expected)
    }
  })

  it('written by us, as values and from text, are loaded by the reference', async () => {
    const [dump = Buffer.alloc(0)] = await dumpByReference('all_types')
    const files: Buffer[] = []
    for (const method of METHODS) {
      const reader = await RowReader.open(bufferSource(dump))
      const sink = new MemorySink()
      await fromRows(sink, { columns: reader.columns, compression: { method } }, reader)
      files.push(sink.file ?? Buffer.alloc(0))
      for (const format of ['csv', 'ndjson'] as const) {
        const text = await join(toText(bufferSource(dump), { format }))
        const textSink = new MemorySink()
        await fromText(inPieces(text, [1000]), textSink, { format, columns: reader.columns, compression: { method } })
        files.push(textSink.file ?? Buffer.alloc(0))
      }
    }
    const expected = await csv('all_types')
    for (const loaded of await loadByReference('all_types', files)) expect(loaded).toBe(expected)
  })

  it('are right where those of the reference are damaged', async () => {
    const [file = Buffer.alloc(0)] = await dumpByReference('damaged')
    expect(await toArray(await RowReader.open(bufferSource(file)))).toEqual([
      ['1.5', { months: 12, days: 0, microseconds: 86_400_000_000n }, '2026-11-21 12:00:00.123456'],
      ['NaN', { months: 14, days: 0, microseconds: 0n }, 'infinity'],
    ])
    const [theirs] = await runReference([{ do: 'to_rows', path: path('None') }])
    expect(theirs).toEqual({ error: expect.stringContaining('OverflowError') })
  })
})

import { describe, expect, it } from '@jest/globals'
import { PGPackReader } from '../../../../src/pgpack/reader.ts'
import { RowReader } from '../../../../src/pgpack/rows/row-reader.ts'
import { fromRows, RowEncoder, RowWriter } from '../../../../src/pgpack/rows/row-writer.ts'
import { columnsOf } from '../../../../src/pgpack/rows/schema.ts'
import { bufferSource } from '../../../../src/pgpack/source.ts'
import { toArray } from '../../../support/bytes.ts'
import { faultOf, inPieces, join } from '../../../support/chunks.ts'
import { COLUMNS, MemorySink, rows as makeRows, tuple, writeFile } from '../../../support/pgpack.ts'

const options = { columns: COLUMNS, compression: { method: 'Zstd' } } as const

async function write(
  rows: Parameters<typeof fromRows>[2],
  more: Partial<Parameters<typeof fromRows>[1]> = {},
): Promise<Buffer> {
  const sink = new MemorySink()
  await fromRows(sink, { ...options, ...more }, rows)
  return sink.file ?? Buffer.alloc(0)
}

describe('a row reader', () => {
  it('gives batches of the asked-for size, across frames, and all rows', async () => {
    const { file } = await writeFile(options, [
      [makeRows(7), 7],
      [makeRows(8, 7), 8],
    ])
    const reader = await RowReader.open(bufferSource(file), { batchRows: 4 })
    const batches = await toArray(reader.batches())
    expect(batches.map((batch) => batch.length)).toEqual([4, 4, 4, 3])
    expect(batches.flat().map(([id]) => id)).toEqual(Array.from({ length: 15 }, (_, index) => index))
  })

  it('reads a stream as well as a file, row by row', async () => {
    const { file } = await writeFile(options, [[makeRows(3), 3]])
    const reader = await RowReader.open(inPieces(file, [11]))
    expect(await toArray(reader)).toEqual([
      [0, 'row number 0'],
      [1, 'row number 1'],
      [2, 'row number 2'],
    ])
  })

  it('gives objects, typed by the shape that is asked for', async () => {
    const { file } = await writeFile(options, [[makeRows(1), 1]])
    const reader = await RowReader.objects(bufferSource(file), { shape: { id: 'int4', name: 'text' } })
    for await (const row of reader) {
      const id: number | null = row.id
      const name: string | null = row.name
      expect([id, name]).toEqual([0, 'row number 0'])
    }
  })

  it('refuses a file that is not of the shape, before a row', async () => {
    const { file } = await writeFile(options, [[makeRows(1), 1]])
    const open = (shape: Record<string, string>) => RowReader.objects(bufferSource(file), { shape })
    expect(await faultOf(open({ id: 'int8' }))).toMatchObject({
      code: 'TARGET_MISMATCH',
      message: expect.stringMatching(/"id".*type OID 23.*int8/),
    })
    expect(await faultOf(open({ other: 'int8' }))).toMatchObject({ message: expect.stringContaining('no such column') })
    expect(await faultOf(open({ id: 'nonsense' }))).toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('makes a property of a column that is called __proto__', async () => {
    const columns = columnsOf({ id: 'int4' }).map((column) => ({ ...column, name: '__proto__' }))
    const { file } = await writeFile({ ...options, columns }, [[tuple(5), 1]])
    const [row] = await toArray(await RowReader.objects(bufferSource(file)))
    expect(Object.entries(row ?? {})).toEqual([['__proto__', 5]])
  })

  it('reads bodies that lack generated columns when it is told which columns they have', async () => {
    const { file } = await writeFile(options, [[tuple('only the name'), 1]])
    const rows = async (more: object) => toArray(await RowReader.open(bufferSource(file), more))
    expect(await faultOf(rows({}))).toMatchObject({ code: 'PGPACK_ROW_MALFORMED' })
    expect(await rows({ bodyColumns: ['name'] })).toEqual([['only the name']])
    expect(await faultOf(rows({ bodyColumns: ['none'] }))).toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('gives no rows of a file without any', async () => {
    expect(await toArray(await RowReader.open(bufferSource(await write([]))))).toEqual([])
  })
})

describe('a row writer', () => {
  it('takes arrays and objects, text for any value, and undefined for NULL', async () => {
    const file = await write([[1, 'a'], { name: 'b', id: '2' }, { id: 3 }, [undefined, null]])
    expect(await toArray(await RowReader.open(bufferSource(file)))).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, null],
      [null, null],
    ])
  })

  it('makes a frame of each so many bytes', async () => {
    const sink = new MemorySink()
    const rows = Array.from({ length: 100 }, (_, index) => [index, 'x'.repeat(50)])
    const summary = await fromRows(sink, { ...options, frameBytes: 700 }, rows)
    expect(summary.rows).toBe(100n)
    expect(summary.frames.entries).toHaveLength(10)
    const reader = await PGPackReader.open(bufferSource(sink.file ?? Buffer.alloc(0)))
    await join(reader.body())
    expect(reader.rows).toBe(100)
  })

  it.each([
    [[1, 'a', 'more'], /row 2: the row has 3 values, there are 2 columns/],
    [['x', 'a'], /row 2: column "id": 'x' is not a value of type int4/],
    [[1, 5], /row 2: column "name": 5 is not a value of type text/],
  ])('names row and column of what it cannot write, and aborts the sink: %j', async (row, message) => {
    const sink = new MemorySink()
    const error = await faultOf(fromRows(sink, options, [[1, 'good'], row]))
    expect(error).toMatchObject({ code: 'PGPACK_VALUE', message: expect.stringMatching(message) })
    expect(sink).toMatchObject({ aborted: true, file: undefined })
  })

  it('can go on behind a row that it refused', () => {
    const encoder = new RowEncoder(COLUMNS)
    encoder.add([1, 'a'])
    expect(() => encoder.add([2, 5])).toThrow()
    encoder.add([3, 'c'])
    expect(encoder.rows).toBe(2)
    expect(encoder.take()).toEqual(Buffer.concat([tuple(1, 'a'), tuple(3, 'c')]))
    expect([encoder.rows, encoder.bytes]).toEqual([0, 0])
  })

  it('passes an error of its rows on and aborts the sink', async () => {
    const sink = new MemorySink()
    async function* failing() {
      yield [1, 'a']
      throw new Error('the source broke')
    }
    await expect(fromRows(sink, options, failing())).rejects.toThrow('the source broke')
    expect(sink.aborted).toBe(true)
  })

  it('writes rows that are larger than its buffer byte for byte', async () => {
    const text = 'ü'.repeat(300_000)
    const sink = new MemorySink()
    const writer = new RowWriter(sink, options)
    for (let id = 0; id < 5; id++) await writer.write([id, text])
    await writer.finish()
    const rows = await toArray(await RowReader.open(bufferSource(sink.file ?? Buffer.alloc(0))))
    expect(rows.every(([, value]) => value === text)).toBe(true)
  })
})

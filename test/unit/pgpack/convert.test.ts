import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { fromText, repack, type ToTextOptions, toText } from '../../../src/pgpack/convert/convert.ts'
import { CSVParser, type CSVRecord } from '../../../src/pgpack/convert/csv.ts'
import { splitArray, splitObject } from '../../../src/pgpack/rows/json.ts'
import { RowReader } from '../../../src/pgpack/rows/row-reader.ts'
import { columnsOf } from '../../../src/pgpack/rows/schema.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { toArray } from '../../support/bytes.ts'
import { faultOf, inPieces, join, pieceSizes } from '../../support/chunks.ts'
import { MemorySink, tuple, writeFile } from '../../support/pgpack.ts'

const columns = columnsOf({ id: 'int8', note: 'text', data: 'jsonb' })
const compression = { method: 'Zstd' } as const

async function textFile(format: 'csv' | 'ndjson', text: string | Buffer, more: object = {}): Promise<Buffer> {
  const sink = new MemorySink()
  await fromText(inPieces(Buffer.from(text), [3]), sink, { format, columns, compression, ...more })
  return sink.file ?? Buffer.alloc(0)
}

const rowsOf = async (file: Buffer) => toArray(await RowReader.open(bufferSource(file)))
const textOf = async (file: Buffer, options: ToTextOptions) =>
  (await join(toText(bufferSource(file), options))).toString()

describe('CSV', () => {
  it('comes back the same', async () => {
    const text = '1,"a,b",{}\n-2,"",\n,,"{""x"": ""\\n""}"\n3,"line\nbreak and ""quote""",null\n'
    const file = await textFile('csv', text)
    expect(await rowsOf(file)).toEqual([
      [1n, 'a,b', '{}'],
      [-2n, '', null],
      [null, null, '{"x": "\\n"}'],
      [3n, 'line\nbreak and "quote"', 'null'],
    ])
    expect(await textOf(file, { format: 'csv' })).toBe(text)
  })

  it('has a header where it is asked for, whose names may stand in another order', async () => {
    const file = await textFile('csv', 'note,data,id\r\nx,,7\r\n', { header: true })
    expect(await rowsOf(file)).toEqual([[7n, 'x', null]])
    expect(await textOf(file, { format: 'csv', header: true })).toBe('id,note,data\n7,x,\n')
    expect(await faultOf(textFile('csv', 'id,note\n', { header: true }))).toMatchObject({ code: 'PGPACK_VALUE' })
    expect(await faultOf(textFile('csv', 'id,note,other\n', { header: true }))).toMatchObject({
      details: { found: 'id, note, other' },
    })
  })

  it('quotes \\. alone on its line, and reads it as data', async () => {
    const alone = columnsOf({ note: 'text' })
    const file = await textFile('csv', '\\.\nx\n', { columns: alone })
    expect(await rowsOf(file)).toEqual([['\\.'], ['x']])
    expect(await textOf(file, { format: 'csv' })).toBe('"\\."\nx\n')
    expect(await rowsOf(await textFile('csv', '1,\\.,\n'))).toEqual([[1n, '\\.', null]])
  })

  it.each([
    ['1,2\n', /row 1: found 2 fields, expected 3 fields/],
    ['1,a,{}\n2,b,{},x\n', /row 2: found 4 fields/],
    ['1,a,{}\nx,b,{}\n', /row 2: column "id": 'x' is not a value of type int8/],
    ['1,"open', /a quote is not closed/],
  ])('that does not fit is refused: %j', async (text, message) => {
    expect(await faultOf(textFile('csv', text))).toMatchObject({
      code: 'PGPACK_VALUE',
      message: expect.stringMatching(message),
    })
  })

  it('that is not UTF-8 is refused, also where it is cut', async () => {
    expect(await faultOf(textFile('csv', Buffer.from('1,na\xefve,\n', 'latin1')))).toMatchObject({
      details: { expected: 'UTF-8' },
    })
    expect(await faultOf(textFile('csv', Buffer.from('1,ü').subarray(0, 3)))).toMatchObject({
      details: { expected: 'UTF-8' },
    })
  })

  it('whose record has no end is refused at the limit', async () => {
    const error = await faultOf(textFile('csv', `1,"${'x'.repeat(5000)}`, { maxRowBytes: 1000 }))
    expect(error.code).toBe('PGPACK_LIMIT')
  })

  it('is read the same in pieces of any size, with any line ends', () => {
    const field = fc.oneof(fc.constant(null), fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'ü') }))
    const record = fc.array(field, { minLength: 2, maxLength: 4 })
    fc.assert(
      fc.property(
        fc.array(record),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.boolean(),
        pieceSizes,
        (records, lineEnd, last, sizes) => {
          const lines = records.map((fields) =>
            fields.map((text) => (text === null ? '' : `"${text.replaceAll('"', '""')}"`)).join(','),
          )
          const text = lines.join(lineEnd) + (last && lines.length > 0 ? lineEnd : '')
          expect(parse(text, sizes)).toEqual(records)
        },
      ),
    )
  })

  it('has quotes in the middle of fields, as COPY reads them', () => {
    expect(parse('a"b,c"d,"x"y\n"",\n', [1])).toEqual([
      ['ab,cd', 'xy'],
      ['', null],
    ])
    expect(parse('\n', [])).toEqual([[null]])
    expect(parse('', [])).toEqual([])
  })
})

function parse(text: string, sizes: readonly number[]): CSVRecord[] {
  const parser = new CSVParser(1_000_000)
  const records: CSVRecord[] = []
  for (let at = 0, index = 0; at < text.length; index++) {
    const size = sizes.length === 0 ? text.length : (sizes[index % sizes.length] ?? 1)
    records.push(...parser.push(text.slice(at, at + size)))
    at += size
  }
  records.push(...parser.end())
  return records
}

describe('NDJSON', () => {
  it('comes back the same, and tells NULL from the JSON null', async () => {
    const text =
      '{"id":1,"note":"a\\"b","data":{"x": 1.10}}\n{"id":"9223372036854775807","note":null}\n{"id":null,"note":"","data":null}\n'
    const file = await textFile('ndjson', text)
    expect(await rowsOf(file)).toEqual([
      [1n, 'a"b', '{"x": 1.10}'],
      [9223372036854775807n, null, null],
      [null, '', 'null'],
    ])
    expect(await textOf(file, { format: 'ndjson' })).toBe(text)
  })

  it('takes keys in any order, spaces, empty lines and a last line without an end', async () => {
    const file = await textFile('ndjson', '\n { "note" : "x" , "id" : 9007199254740993 } \r\n\n{}')
    expect(await rowsOf(file)).toEqual([
      [9007199254740993n, 'x', null],
      [null, null, null],
    ])
  })

  it.each([
    ['{"id":1}\n{"id":', /row 2: not JSON/],
    ['[1]', /row 1: found '\[1\]', expected a JSON object/],
    ['{"unknown":1}', /row 1: found "unknown", expected the name of a column/],
    ['{"id":"x"}', /is not a value of type int8/],
    ['{"id":{}}', /is not a value of type int8/],
  ])('that does not fit is refused: %s', async (text, message) => {
    expect(await faultOf(textFile('ndjson', text))).toMatchObject({
      code: 'PGPACK_VALUE',
      message: expect.stringMatching(message),
    })
  })

  it('whose line has no end is refused at the limit', async () => {
    const error = await faultOf(textFile('ndjson', `{"note":"${'x'.repeat(5000)}`, { maxRowBytes: 1000 }))
    expect(error.code).toBe('PGPACK_LIMIT')
  })

  it('is taken apart without a change to any value', () => {
    fc.assert(
      fc.property(fc.json(), fc.json(), (first, second) => {
        expect(splitArray(`[ ${first} ,${second}]`)).toEqual([first.trim(), second.trim()])
        expect(splitObject(`{"a\\"}" : ${first},"":${second} }`)).toEqual([
          ['a"}', first.trim()],
          ['', second.trim()],
        ])
      }),
    )
    expect([splitArray('[]'), splitObject(' { } ')]).toEqual([[], []])
  })
})

describe('a conversion', () => {
  it('reads no further than its text is taken', async () => {
    const ids = columnsOf({ id: 'int4' })
    const chunks = Array.from({ length: 200 }, () => [Buffer.concat(Array(5000).fill(tuple(1234567))), 5000] as const)
    const { file } = await writeFile({ columns: ids, compression: { method: 'None' } }, chunks)
    let read = 0
    async function* source() {
      for (let at = 0; at < file.length; at += 16_384) {
        read++
        yield file.subarray(at, at + 16_384)
      }
    }
    const text = toText(source(), { format: 'csv' })
    await text.next()
    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThan(file.length / 16_384 / 5)
    await text.return(undefined)
  })

  it('of a damaged file ends in its error and aborts what it writes', async () => {
    const file = await textFile('csv', '1,a,{}\n')
    const damaged = Buffer.from(file.subarray(0, -1))
    expect((await faultOf(textOf(damaged, { format: 'csv' }))).code).toBe('PGPACK_TRUNCATED')
    const sink = new MemorySink()
    expect((await faultOf(repack(bufferSource(damaged), sink, { compression }))).code).toBe('PGPACK_TRUNCATED')
    expect(sink.aborted).toBe(true)
  })

  it('to another compression keeps every byte of the rows, of unknown types too', async () => {
    const unknown = columns.map((column) => ({ ...column, oid: 99999 }))
    const { file } = await writeFile({ columns: unknown }, [[tuple('x', null, Buffer.of(0, 255)), 1]])
    const sink = new MemorySink()
    expect((await repack(bufferSource(file), sink, { compression: { method: 'LZ4' } })).rows).toBe(1n)
    const again = sink.file ?? Buffer.alloc(0)
    const reader = await RowReader.open(bufferSource(again))
    expect(reader.file.method).toBe('LZ4')
    expect(reader.columns).toEqual(unknown)
    expect(await toArray(reader)).toEqual([[Buffer.from('x'), null, Buffer.of(0, 255)]])
  })

  it('of rows with OIDs to PGPack is refused, because they would be lost', async () => {
    const { file } = await writeFile({ columns }, [[tuple(Buffer.alloc(8), 'x', null), 1]])
    const body = file.indexOf('PGCOPY')
    file.writeInt32BE(1 << 16, body + 11)
    const row = body + 19
    const withOid = Buffer.concat([
      file.subarray(0, row + 2),
      Buffer.from('0000000400004000', 'hex'),
      file.subarray(row + 2),
    ])
    for (const at of [body - 16, body - 8]) withOid.writeBigUInt64BE(withOid.readBigUInt64BE(at) + 8n, at)
    expect(await rowsOf(withOid)).toEqual([[0n, 'x', null]])
    expect(await faultOf(repack(bufferSource(withOid), new MemorySink(), { compression }))).toMatchObject({
      code: 'OBJECT_UNSUPPORTED',
    })
  })
})

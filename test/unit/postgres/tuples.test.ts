import { describe, expect, it } from '@jest/globals'
import { copyHeaderLength, countTuples, tuplesOnly } from '../../../src/postgres/tuples.ts'
import type { CopyChunk, CopyOut } from '../../../src/postgres/types.ts'

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const HEADER = Buffer.concat([SIGNATURE, Buffer.alloc(8)])
const TRAILER = Buffer.of(0xff, 0xff)

function header(flags: number, extension = Buffer.alloc(0)): Buffer {
  const numbers = Buffer.alloc(8)
  numbers.writeUInt32BE(flags >>> 0, 0)
  numbers.writeUInt32BE(extension.length, 4)
  return Buffer.concat([SIGNATURE, numbers, extension])
}

function copyOf(...parts: Buffer[]): CopyOut {
  return {
    format: 1,
    columnFormats: [1],
    rowCount: 0n,
    async *[Symbol.asyncIterator]() {
      for (const [index, data] of parts.entries()) {
        const trailer = index === parts.length - 1 && data.subarray(-2).equals(TRAILER)
        yield { data, rows: 1, trailer, release: () => undefined }
      }
    },
  }
}

async function bodies(copy: CopyOut): Promise<string[]> {
  const found: CopyChunk[] = []
  for await (const chunk of tuplesOnly(copy)) found.push(chunk)
  return found.map((chunk) => chunk.data.toString('latin1'))
}

describe('tuplesOnly', () => {
  it('takes header and trailer off, wherever the chunks are cut', async () => {
    const [a, b] = [Buffer.from('row a'), Buffer.from('row b')]
    expect(await bodies(copyOf(Buffer.concat([HEADER, a, b, TRAILER])))).toEqual(['row arow b'])
    expect(await bodies(copyOf(Buffer.concat([HEADER, a]), Buffer.concat([b, TRAILER])))).toEqual(['row a', 'row b'])
    expect(await bodies(copyOf(HEADER, a, b, TRAILER))).toEqual(['row a', 'row b'])
  })

  it('never gives an empty chunk', async () => {
    expect(await bodies(copyOf(Buffer.concat([HEADER, TRAILER])))).toEqual([])
    expect(await bodies(copyOf(HEADER, TRAILER))).toEqual([])
  })

  it('keeps what looks like a trailer in the middle', async () => {
    const row = Buffer.of(0, 1, 0, 0, 0, 2, 0xff, 0xff)
    expect(await bodies(copyOf(Buffer.concat([HEADER, row]), Buffer.concat([row, TRAILER])))).toHaveLength(2)
  })

  it('holds no chunk back, and releases what is header or trailer alone', async () => {
    const events: string[] = []
    const chunk = (data: Buffer, trailer: boolean) => ({
      data,
      rows: 0,
      trailer,
      release: () => events.push('released'),
    })
    async function* chunks() {
      yield chunk(HEADER, false)
      yield chunk(Buffer.from('row'), false)
      events.push('asked on')
      yield chunk(TRAILER, true)
    }
    const copy = { ...copyOf(), [Symbol.asyncIterator]: chunks }
    for await (const { data } of tuplesOnly(copy)) events.push(data.toString())
    expect(events).toEqual(['released', 'row', 'asked on', 'released'])
  })

  it('skips a header extension', async () => {
    expect(await bodies(copyOf(header(0, Buffer.from('extra')), Buffer.from('row'), TRAILER))).toEqual(['row'])
    expect(copyHeaderLength(header(0xffff, Buffer.from('extra')))).toBe(24)
  })

  it.each<[string, Buffer[]]>([
    ['no bytes at all', []],
    ['text', [Buffer.from('1\tone\n2\ttwo and more\n')]],
    ['half a header', [HEADER.subarray(0, 12), TRAILER]],
    ['an extension that is cut', [header(0, Buffer.from('extra')).subarray(0, 21), TRAILER]],
    ['rows with OIDs', [header(1 << 16), TRAILER]],
    ['flags not yet invented', [header(1 << 31), TRAILER]],
    ['no trailer', [HEADER, Buffer.from('row')]],
    ['a header alone', [HEADER]],
  ])('refuses %s', async (_, parts) => {
    await expect(bodies(copyOf(...parts))).rejects.toMatchObject({ code: 'POSTGRES_PROTOCOL' })
  })
})

describe('countTuples', () => {
  it('walks fields, NULLs and rows without columns up to the trailer', () => {
    const row = Buffer.from([0, 3, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])
    expect(countTuples(Buffer.alloc(0))).toEqual({ rows: 0, trailer: false })
    expect(countTuples(row)).toEqual({ rows: 1, trailer: false })
    expect(countTuples(Buffer.concat([row, Buffer.of(0, 0), row, TRAILER]))).toEqual({ rows: 3, trailer: true })
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type CopyDataOptions, CopyDataReader } from '../../../src/postgres/copy-data-reader.ts'
import type { CopyChunk } from '../../../src/postgres/types.ts'

const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const TRAILER = Buffer.of(0xff, 0xff)

function message(type: string, payload: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}
const data = (payload: Buffer) => message('d', payload)
const agreement = (format: 0 | 1) => message('H', Buffer.of(format, 0, 2, 0, format, 0, format))
const NOTICE = message('N', Buffer.from('SNOTICE\0Mdddd\0\0'))
const END = Buffer.concat([
  message('c', Buffer.alloc(0)),
  message('C', Buffer.from('COPY 1\0')),
  message('Z', Buffer.from('I')),
])

interface Seen {
  readonly chunks: CopyChunk[]
  readonly asides: Buffer[]
  readonly responses: unknown[]
  rest: Buffer | undefined
  error: unknown
}

/** Feeds a stream in pieces of the given lengths, the last one over and over. */
function read(stream: Buffer, pieces: readonly number[], options: Partial<CopyDataOptions> = {}): Seen {
  const seen: Seen = { chunks: [], asides: [], responses: [], rest: undefined, error: undefined }
  const reader = new CopyDataReader(
    {
      response: (response) => seen.responses.push(response),
      // Copies, because a reader that wrote into what it has handed over must be found out.
      chunk: (chunk) => seen.chunks.push(chunk),
      aside: (aside) => seen.asides.push(Buffer.from(aside)),
      done: (rest) => {
        seen.rest = Buffer.from(rest)
      },
      fail: (error) => {
        seen.error = error
      },
      wantsMore: () => true,
    },
    { chunkSize: 64, maxRowBytes: 1 << 20, manyRowsPerMessage: false, ...options },
  )
  let piece = 0
  for (let offset = 0; offset < stream.length && seen.rest === undefined && seen.error === undefined; ) {
    const wanted = pieces[Math.min(piece, pieces.length - 1)] ?? stream.length
    const length = stream.copy(reader.target(), 0, offset, offset + wanted)
    if (length === 0) throw new Error('the reader has no room for the next byte')
    reader.taken(length)
    offset += length
    piece += 1
    if (seen.rest !== undefined) seen.rest = Buffer.concat([seen.rest, stream.subarray(offset)])
  }
  return seen
}

const bodyOf = ({ chunks }: Seen) => Buffer.concat(chunks.map((chunk) => chunk.data))
const rowsOf = ({ chunks }: Seen) => chunks.reduce((sum, chunk) => sum + chunk.rows, 0)
const rows = fc.array(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 60 },
)
const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })

describe('CopyDataReader', () => {
  it('gives the same payloads however the network cuts the stream', () => {
    fc.assert(
      fc.property(rows, pieces, fc.integer({ min: 1, max: 500 }), (payloads, cuts, chunkSize) => {
        const stream = Buffer.concat([agreement(0), ...payloads.map(data), END])
        const seen = read(stream, cuts, { chunkSize })
        expect(seen.error).toBeUndefined()
        expect(bodyOf(seen).equals(Buffer.concat(payloads))).toBe(true)
        expect(seen.rest?.equals(END)).toBe(true)
      }),
    )
  })

  it('ends each chunk on a message, and counts its messages', () => {
    fc.assert(
      fc.property(rows, pieces, fc.integer({ min: 1, max: 500 }), (payloads, cuts, chunkSize) => {
        const lines = payloads.map((_, index) => Buffer.from(`${index}${'x'.repeat(index * 3)}\n`))
        const seen = read(Buffer.concat([agreement(0), ...lines.map(data), END]), cuts, { chunkSize })
        for (const chunk of seen.chunks) {
          expect(chunk.data.toString().endsWith('\n')).toBe(true)
          expect(chunk.data.toString().split('\n').length - 1).toBe(chunk.rows)
        }
        expect(rowsOf(seen)).toBe(lines.length)
      }),
    )
  })

  it('survives a cut at every byte', () => {
    const payloads = ['first row', '', 'd', 'a row that is longer than a whole chunk '.repeat(4), 'last'].map((text) =>
      Buffer.from(text),
    )
    const stream = Buffer.concat([agreement(0), NOTICE, ...payloads.map(data), NOTICE, data(Buffer.from('!')), END])
    const expected = Buffer.concat([...payloads, Buffer.from('!')])
    for (let first = 1; first < stream.length; first += 1) {
      for (const rest of [1, 7, 64, stream.length]) {
        const seen = read(stream, [first, rest], { chunkSize: 32 })
        expect([seen.error, bodyOf(seen).equals(expected), rowsOf(seen)]).toEqual([undefined, true, 6])
        expect(seen.asides).toEqual([NOTICE, NOTICE])
      }
    }
  })

  it('counts neither header nor trailer as rows, whichever messages they come in', () => {
    const row = Buffer.of(0, 1, 0xff, 0xff, 0xff, 0xff)
    const cases: [Buffer[], number][] = [
      [[Buffer.concat([HEADER, row]), row, TRAILER], 2],
      [[HEADER, row, row, TRAILER], 2],
      [[Buffer.concat([HEADER, TRAILER])], 0],
      [[HEADER, TRAILER], 0],
    ]
    for (const [payloads, count] of cases) {
      for (const chunkSize of [1, 19, 25, 64]) {
        for (const piece of [1, 3, 1000]) {
          const stream = Buffer.concat([agreement(1), ...payloads.map(data), END])
          const seen = read(stream, [piece], { chunkSize })
          expect([rowsOf(seen), bodyOf(seen).equals(Buffer.concat(payloads))]).toEqual([count, true])
        }
      }
    }
  })

  it('counts the rows within a message where a server puts several', () => {
    const row = Buffer.from([0, 2, 0, 0, 0, 1, 65, 0xff, 0xff, 0xff, 0xff])
    const many = Buffer.concat([row, row, row])
    const stream = Buffer.concat([agreement(1), data(HEADER), data(many), data(Buffer.concat([row, TRAILER])), END])
    for (const chunkSize of [1, 40, 1000]) {
      expect(rowsOf(read(stream, [9], { chunkSize, manyRowsPerMessage: true }))).toBe(4)
    }
  })

  it('tells formats before data', () => {
    expect(read(Buffer.concat([agreement(1), END]), [2]).responses).toEqual([{ format: 1, columnFormats: [1, 1] }])
    expect(read(Buffer.concat([agreement(0), END]), [2]).responses).toEqual([{ format: 0, columnFormats: [0, 0] }])
  })

  it('hands an error over with all that follows, after the good rows', () => {
    const failure = Buffer.concat([message('E', Buffer.from('SERROR\0\0')), message('Z', Buffer.from('E'))])
    for (const piece of [1, 1000]) {
      const seen = read(Buffer.concat([agreement(0), data(Buffer.from('good\n')), failure]), [piece])
      expect([bodyOf(seen).toString(), seen.rest]).toEqual(['good\n', failure])
    }
  })

  it('grows for a long row as far as the limit, and by no byte more', () => {
    const long = Buffer.alloc(5000, 'x')
    const stream = Buffer.concat([agreement(0), data(Buffer.from('a')), data(long), data(Buffer.from('b')), END])
    const allowed = read(stream, [100], { maxRowBytes: 5000 })
    expect(allowed.chunks.some((chunk) => chunk.data.length >= 5000)).toBe(true)
    expect(bodyOf(allowed).length).toBe(5002)
    expect(read(stream, [100], { maxRowBytes: 4999 }).error).toMatchObject({ code: 'ROW_TOO_LARGE' })
  })

  it.each([0, 3, -1])('refuses a message that claims %d bytes', (length) => {
    const broken = data(Buffer.from('row'))
    broken.writeInt32BE(length, 1)
    const seen = read(Buffer.concat([agreement(0), broken, END]), [1000])
    expect(seen.error).toMatchObject({ code: 'POSTGRES_PROTOCOL' })
  })

  it('refuses a binary stream without a PGCOPY header', () => {
    const seen = read(Buffer.concat([agreement(1), data(Buffer.alloc(30)), END]), [1000])
    expect(seen.error).toMatchObject({ code: 'POSTGRES_PROTOCOL' })
  })

  it('does not touch a chunk that it has handed over', () => {
    const payloads = Array.from({ length: 200 }, (_, index) => Buffer.from(`${index};`.repeat(5)))
    const copies: Buffer[] = []
    const seen = read(Buffer.concat([agreement(0), ...payloads.map(data), END]), [33], { chunkSize: 50 })
    for (const chunk of seen.chunks) copies.push(Buffer.from(chunk.data))
    expect(Buffer.concat(copies).equals(Buffer.concat(payloads))).toBe(true)
    const memories = new Set(seen.chunks.map((chunk) => chunk.data.buffer))
    expect(memories.size).toBe(seen.chunks.length)
  })
})

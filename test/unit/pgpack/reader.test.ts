import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { WRITABLE_METHODS } from '../../../src/compression/method.ts'
import { encodeHeader } from '../../../src/pgpack/header.ts'
import { encodeMetadata } from '../../../src/pgpack/metadata.ts'
import { PGCOPY_HEADER } from '../../../src/pgpack/pgcopy.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource, type PGPackSource } from '../../../src/pgpack/source.ts'
import { faultOf, inPieces, join, pieceSizes } from '../../support/chunks.ts'
import { COLUMNS, pgcopy, rows, tuple, writeFile } from '../../support/pgpack.ts'

async function readAll(source: PGPackSource): Promise<Buffer> {
  return join((await PGPackReader.open(source)).body())
}

const sources = [
  ['a file', (file: Buffer) => bufferSource(file)],
  ['a stream', (file: Buffer) => inPieces(file, [13])],
] as const
const layouts = ['header', 'stream'] as const

/** A file of the given body, uncompressed, with lengths that are told apart from it. */
function fileOf(body: Buffer, stored: number | bigint = body.length, raw: number | bigint = body.length): Buffer {
  const lengths = { stored: BigInt(stored), raw: BigInt(raw) }
  return Buffer.concat([encodeHeader(encodeMetadata(COLUMNS, 'released'), 'None', lengths), body])
}

describe.each(sources)('PGPackReader of %s', (kind, open) => {
  it.each(WRITABLE_METHODS.flatMap((method) => layouts.map((layout) => ({ method, layout }))))(
    'reads a file of $method in the $layout layout whatever the pieces',
    async ({ method, layout }) => {
      const spelling = layout === 'stream' ? 'development' : 'released'
      const options = { compression: { method }, layout, spelling } as const
      const { file, summary } = await writeFile(options, [
        [rows(40), 40],
        [rows(30, 40), 30],
      ])
      await fc.assert(
        fc.asyncProperty(pieceSizes, async (sizes) => {
          const reader = await PGPackReader.open(kind === 'a file' ? bufferSource(file) : inPieces(file, sizes))
          expect(reader).toMatchObject({ columns: COLUMNS, spelling, method, layout, bodyOffset: summary.bodyOffset })
          expect(await join(reader.body())).toEqual(pgcopy(rows(70)))
          expect(reader).toMatchObject({
            rows: 70,
            fields: 2,
            storedLength: summary.storedBytes,
            rawLength: summary.rawBytes,
          })
        }),
        { numRuns: 15 },
      )
    },
  )

  it.each(layouts)('ends with a coded error when a file of the %s layout is cut at any byte', async (layout) => {
    for (const method of WRITABLE_METHODS) {
      const { file } = await writeFile({ compression: { method }, layout }, [
        [rows(2), 2],
        [rows(2), 2],
      ])
      for (let end = 0; end < file.length; end++) {
        const fault = await faultOf(readAll(open(file.subarray(0, end))))
        // In the stream layout the 16 bytes before the cut are taken for the lengths, and do not fit.
        const codes =
          layout === 'stream'
            ? /^PGPACK_(TRUNCATED|LENGTH_MISMATCH|SIGNATURE|FRAME_CORRUPT)$/
            : /^PGPACK_(TRUNCATED|SIGNATURE)$/
        expect(fault.code).toMatch(codes)
        expect(fault.message).toMatch(end === 0 ? /empty/ : /\d/)
      }
    }
  })

  it('ends in a coded error or the right rows for any flipped bit', async () => {
    for (const method of ['Zstd', 'LZ4'] as const) {
      const { file } = await writeFile({ compression: { method } }, [
        [tuple(1, 'one'), 1],
        [tuple(2, 'two'), 1],
      ])
      for (let bit = 0; bit < file.length * 8; bit++) {
        const bad = Buffer.from(file)
        bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
        const result = await readAll(open(bad)).catch((error: unknown) => error)
        // Without checksums a bit of a value can change unseen: the manifest's SHA-256 is there for that.
        if (Buffer.isBuffer(result)) expect(result.length).toBe(pgcopy(tuple(1, 'one'), tuple(2, 'two')).length)
        else expect(result).toMatchObject({ code: expect.stringMatching(/^PGPACK_/) })
      }
    }
  })

  it.each([
    ['a byte behind the body', Buffer.concat([fileOf(pgcopy()), Buffer.of(0)]), 'PGPACK_TRAILING_DATA'],
    ['a stored length that is too small', fileOf(pgcopy(rows(1)), 20), 'PGPACK_TRAILING_DATA'],
    ['a stored length that is too large', fileOf(pgcopy(rows(1)), 1000), 'PGPACK_TRUNCATED'],
    ['the largest stored length', fileOf(pgcopy(rows(1)), 2n ** 64n - 1n), 'PGPACK_TRUNCATED'],
    ['lengths that the writer did not fill in', fileOf(pgcopy(rows(1)), 0, 0), 'PGPACK_TRUNCATED'],
    ['no body at all', fileOf(Buffer.alloc(0)), 'PGPACK_TRUNCATED'],
    ['a raw length that is wrong', fileOf(pgcopy(rows(1)), pgcopy(rows(1)).length, 7), 'PGPACK_LENGTH_MISMATCH'],
    ['no trailer', fileOf(pgcopy(rows(2)).subarray(0, -2)), 'PGPACK_TRUNCATED'],
    ['half a trailer', fileOf(pgcopy(rows(2)).subarray(0, -1)), 'PGPACK_TRUNCATED'],
    ['two trailers', fileOf(Buffer.concat([pgcopy(rows(2)), Buffer.of(255, 255)])), 'PGPACK_TRAILING_DATA'],
    ['rows behind the trailer', fileOf(Buffer.concat([pgcopy(rows(2)), rows(1)])), 'PGPACK_TRAILING_DATA'],
    ['more fields than columns', fileOf(pgcopy(tuple(1, 'a', 'b'))), 'PGPACK_ROW_MALFORMED'],
    [
      'a body that is no PGCOPY stream',
      fileOf(Buffer.from('id,name\n1,one\n2,two\n3,three\n')),
      'PGPACK_ROW_MALFORMED',
    ],
    ['nothing', Buffer.alloc(0), 'PGPACK_SIGNATURE'],
    ['another kind of file', Buffer.from('PGDMP\u0001\u000e\u0000 and so on'), 'PGPACK_SIGNATURE'],
  ])('refuses a file with %s', async (_name, file, code) => {
    expect((await faultOf(readAll(open(file)))).code).toBe(code)
  })

  it('refuses wrong metadata, their checksum, and an unknown method', async () => {
    const file = fileOf(pgcopy())
    const at = (offset: number) => {
      const bad = Buffer.from(file)
      bad.writeUInt8(bad.readUInt8(offset) ^ 0x40, offset)
      return faultOf(readAll(open(bad)))
    }
    expect(await at(8)).toMatchObject({ code: 'PGPACK_METADATA_CRC', details: { offset: 8 } })
    expect(await at(20)).toMatchObject({ code: 'PGPACK_METADATA_CRC' })
    const method = file.readUInt32BE(12) + 16
    expect(await at(method)).toMatchObject({
      code: 'PGPACK_UNKNOWN_METHOD',
      details: { offset: method, found: '0x42' },
    })
  })

  it('refuses metadata above the limit before reading them', async () => {
    const huge = Buffer.concat([fileOf(pgcopy()).subarray(0, 12), Buffer.from('7fffffff', 'hex')])
    expect(await faultOf(PGPackReader.open(open(huge)))).toMatchObject({
      code: 'PGPACK_LIMIT',
      details: { offset: 12 },
    })
  })

  it.each(['Zstd', 'LZ4'] as const)('refuses a %s body that is not as long as the header says', async (method) => {
    const { file, summary } = await writeFile({ compression: { method } }, [[rows(40), 40]])
    for (const wrong of [summary.rawBytes - 1n, summary.rawBytes + 1n, 0n, 2n ** 64n - 1n]) {
      file.writeBigUInt64BE(wrong, summary.bodyOffset - 8)
      expect(await faultOf(readAll(open(file)))).toMatchObject({
        code: 'PGPACK_LENGTH_MISMATCH',
        details: { expected: `${wrong} bytes`, found: `${summary.rawBytes} bytes` },
      })
    }
  })

  it('reads a gzip body', async () => {
    const raw = pgcopy(rows(20))
    const body = gzipSync(raw)
    const lengths = { stored: BigInt(body.length), raw: BigInt(raw.length) }
    const head = encodeHeader(encodeMetadata(COLUMNS, 'development'), 'Gzip', lengths)
    expect(await readAll(open(Buffer.concat([head, body])))).toEqual(raw)
  })

  it('shows the stored bytes to whoever wants to hash them', async () => {
    const { file, summary } = await writeFile({ compression: { method: 'Zstd' } }, [[rows(40), 40]])
    const stored: Buffer[] = []
    const reader = await PGPackReader.open(open(file))
    await join(reader.body({ onStored: (bytes) => stored.push(bytes) }))
    expect(Buffer.concat(stored)).toEqual(file.subarray(summary.bodyOffset))
  })
})

describe('PGPackReader', () => {
  it('finds a cut in a file of known size before it hands anything out', async () => {
    const { file } = await writeFile({ compression: { method: 'None' } }, [[rows(1000), 1000]])
    const fault = await faultOf(PGPackReader.open(bufferSource(file.subarray(0, -100))))
    expect(fault).toMatchObject({ code: 'PGPACK_TRUNCATED', details: { offset: file.length - 100 } })
  })

  it('reads a head larger than the first request', async () => {
    const columns = Array.from({ length: 1600 }, (_, index) => ({
      ...COLUMNS[1],
      name: `column ${index} ${Math.sin(index)}${Math.cos(index)}${Math.tan(index)} ${Math.sqrt(index)} `.repeat(5),
    }))
    const { file } = await writeFile({ columns }, [])
    expect(file.length).toBeGreaterThan(65_536)
    expect((await PGPackReader.open(bufferSource(file))).columns).toEqual(columns)
  })

  it('closes a stream that is left early, and one whose head is wrong', async () => {
    const { file } = await writeFile({}, [[rows(1000), 1000]])
    for (const bytes of [file, Buffer.from('something else altogether')]) {
      let ended = false
      const source = async function* () {
        try {
          yield* inPieces(bytes, [500])
        } finally {
          ended = true
        }
      }
      const reader = await PGPackReader.open(source()).catch((error: unknown) => error)
      if (reader instanceof PGPackReader) for await (const _ of reader.body()) break
      expect(ended).toBe(true)
    }
  })

  it('reads a stream of the Web', async () => {
    const { file } = await writeFile({ compression: { method: 'LZ4' } }, [[rows(100), 100]])
    const web = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(file))
        controller.close()
      },
    })
    expect(await readAll(web)).toEqual(pgcopy(rows(100)))
  })

  it('gives parts of a file only', async () => {
    const { file } = await writeFile({}, [])
    const reader = await PGPackReader.open(inPieces(file))
    expect(() => reader.part({ storedOffset: 0, storedLength: 21 })).toThrow(/random access/)
  })
})

describe('a body longer than its length says', () => {
  it('is given up as soon as it is: a small file cannot go on decompressing for long', async () => {
    const zeros = zstdCompressSync(Buffer.alloc(8 * 1024 * 1024))
    const frames = [zstdCompressSync(PGCOPY_HEADER), ...Array<Buffer>(50).fill(zeros)]
    const body = Buffer.concat(frames)
    const lengths = { stored: BigInt(body.length), raw: 1000n }
    const file = Buffer.concat([encodeHeader(encodeMetadata(COLUMNS, 'released'), 'Zstd', lengths), body])
    const reader = await PGPackReader.open(bufferSource(file))
    let seen = 0
    const read = async () => {
      for await (const piece of reader.body()) seen += piece.length
    }
    expect(await faultOf(read())).toMatchObject({
      code: 'PGPACK_LENGTH_MISMATCH',
      details: { expected: '1000 bytes' },
    })
    expect(seen).toBeLessThanOrEqual(1000)
  })
})

describe('peek()', () => {
  const withoutId = [...Array(3).keys()].map((at) => tuple(`row ${at}`))

  it.each(WRITABLE_METHODS.flatMap((method) => layouts.map((layout) => ({ method, layout }))))(
    'tells the fields of the rows and leaves the body as it is: $method, $layout layout',
    async ({ method, layout }) => {
      const { file } = await writeFile({ compression: { method }, layout }, [[Buffer.concat(withoutId), 3]])
      const reader = await PGPackReader.open(bufferSource(file))
      expect(await reader.peek()).toEqual({ fields: 1, hasOids: false })
      expect(reader.rows).toBe(0)
      expect(await join(reader.body())).toEqual(pgcopy(...withoutId))
      expect(await reader.peek()).toEqual({ fields: 1, hasOids: false })
    },
  )

  it('tells of OIDs, and of no rows', async () => {
    const empty = pgcopy()
    empty.writeUInt32BE(1 << 16, 11)
    const reader = await PGPackReader.open(bufferSource(fileOf(empty)))
    expect(await reader.peek()).toEqual({ fields: undefined, hasOids: true })
  })

  it('reads no more than the first row needs', async () => {
    const frames = [...Array(40).keys()].map((at) => [rows(1000, at * 1000), 1000] as const)
    const { file } = await writeFile({ compression: { method: 'Zstd' } }, frames)
    let read = 0
    const source = {
      size: file.length,
      async *read({ offset, length }: { offset: number; length: number }) {
        for await (const piece of inPieces(file.subarray(offset, offset + length), [1000])) {
          read += piece.length
          yield piece
        }
      },
    }
    const reader = await PGPackReader.open(source)
    read = 0
    await reader.peek()
    expect(read).toBeLessThan(file.length / 10)
  })

  it('finds a damaged start, and needs random access', async () => {
    const bad = await PGPackReader.open(bufferSource(fileOf(Buffer.alloc(40))))
    expect((await faultOf(bad.peek())).code).toBe('PGPACK_ROW_MALFORMED')
    const { file } = await writeFile({}, [[rows(1), 1]])
    const stream = await PGPackReader.open(inPieces(file))
    expect(await faultOf(stream.peek())).toMatchObject({ code: 'INTERNAL', retryable: false })
  })
})

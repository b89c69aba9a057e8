import { describe, expect, it } from '@jest/globals'
import { crc32c } from '../../../src/compression/crc32c.ts'
import { decompress } from '../../../src/compression/decompress.ts'
import { decodeSnappyBlock } from '../../../src/compression/snappy-block.ts'
import { faultOf, inPieces, join, sample } from '../../support/chunks.ts'

const IDENTIFIER = Buffer.from('ff060000734e61507059', 'hex')

function chunk(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt8(type)
  header.writeUIntLE(body.length, 1, 3)
  return Buffer.concat([header, body])
}

function masked(content: Buffer): Buffer {
  const crc = crc32c(content)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0)
  return bytes
}

const compressed = (content: Buffer, block: Buffer) => chunk(0, Buffer.concat([masked(content), block]))
const uncompressed = (content: Buffer) => chunk(1, Buffer.concat([masked(content), content]))

function read(file: Buffer, sizes: readonly number[] = []): Promise<Buffer> {
  return join(decompress('Snappy', inPieces(file, sizes)))
}

describe('crc32c', () => {
  // RFC 3720, section B.4
  it.each([
    [Buffer.alloc(32), 0x8a9136aa],
    [Buffer.alloc(32, 0xff), 0x62a8ab43],
    [Buffer.from('123456789'), 0xe3069283],
  ])('is the checksum of RFC 3720', (bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected)
  })
})

describe('decodeSnappyBlock', () => {
  it.each([
    ['an empty block', '00', ''],
    ['a literal', '0308616263', 'abc'],
    ['a literal with its length in one byte', `46f045${'61'.repeat(70)}`, 'a'.repeat(70)],
    ['a literal with its length in two bytes', `ac02f42b01${'62'.repeat(300)}`, 'b'.repeat(300)],
    ['a copy with a one-byte offset', '0a086162630d03', 'abcabcabca'],
    ['a copy with a two-byte offset', '0a086162631a0300', 'abcabcabca'],
    ['a copy with a four-byte offset', '0a086162631b03000000', 'abcabcabca'],
    ['a copy that does not overlap', '0a106162636465120500', 'abcdeabcde'],
  ])('reads %s', (_name, block, expected) => {
    expect(decodeSnappyBlock(Buffer.from(block, 'hex'), 65_536).toString()).toBe(expected)
  })

  it.each([
    ['no length', '', /no length/],
    ['a length that does not end', 'ffffffffff', /no length/],
    ['more than the limit', '808004', /more than 65535/],
    ['a literal beyond the end', '030861', /beyond the end/],
    ['an element beyond the end', '0af0', /beyond the end/],
    ['a copy from before the start', '0a08616263190400', /before the start|more output/],
    ['a copy with offset 0', '0a086162631a0000', /offset 0/],
    ['more output than declared', '02086162630d03', /more output/],
    ['less output than declared', '0408616263', /3 bytes of output where the block declares 4/],
  ])('refuses %s', (_name, block, message) => {
    expect(() => decodeSnappyBlock(Buffer.from(block, 'hex'), 65_535)).toThrow(message)
  })
})

describe('decompress Snappy', () => {
  const abc = Buffer.from('abcabcabca')
  const block = Buffer.from('0a086162631a0300', 'hex')
  const noise = sample(60_000)

  it('reads compressed, uncompressed, padding and skippable chunks and repeated identifiers', async () => {
    const file = Buffer.concat([
      IDENTIFIER,
      compressed(abc, block),
      chunk(0xfe, Buffer.alloc(30)),
      uncompressed(noise),
      IDENTIFIER,
      chunk(0x80, Buffer.from('skip me')),
      compressed(abc, block),
    ])
    expect(await read(file, [13])).toEqual(Buffer.concat([abc, noise, abc]))
  })

  it('reads a file of the identifier alone as empty', async () => {
    expect(await read(IDENTIFIER)).toHaveLength(0)
  })

  it('ends with a coded error when the file is cut at any byte', async () => {
    const file = Buffer.concat([IDENTIFIER, compressed(abc, block), uncompressed(abc)])
    const ends = new Set([0, 10, 10 + 8 + block.length])
    for (let end = 0; end < file.length; end++) {
      if (!ends.has(end)) expect((await faultOf(read(file.subarray(0, end)))).code).toBe('PGPACK_TRUNCATED')
    }
  })

  const wrongSum = compressed(abc, block)
  wrongSum.writeUInt8(wrongSum.readUInt8(4) ^ 1, 4)
  it.each([
    ['no stream identifier', compressed(abc, block), /expected the stream identifier/],
    ['another identifier', chunk(0xff, Buffer.from('sNaPpy')), /expected the stream identifier sNaPpY/],
    ['an unknown chunk that may not be skipped', Buffer.concat([IDENTIFIER, chunk(2, abc)]), /found type 2/],
    ['a wrong checksum', Buffer.concat([IDENTIFIER, wrongSum]), /chunk checksum/],
    ['a damaged block', Buffer.concat([IDENTIFIER, compressed(abc, Buffer.of(9, 9))]), /damaged at byte 10/],
    ['a chunk above 64 KiB', Buffer.concat([IDENTIFIER, uncompressed(sample(65_537))]), /found 65541 bytes/],
    ['a chunk without checksum', Buffer.concat([IDENTIFIER, chunk(1, Buffer.of(1))]), /found 1 bytes/],
  ])('refuses %s', async (_name, file, message) => {
    const fault = await faultOf(read(file))
    expect(fault.code).toBe('PGPACK_FRAME_CORRUPT')
    expect(fault.message).toMatch(message)
  })
})

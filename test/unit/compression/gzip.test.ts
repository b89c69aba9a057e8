import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { decompress } from '../../../src/compression/decompress.ts'
import { faultOf, inPieces, join, sample } from '../../support/chunks.ts'

const content = sample(200_000)

function read(file: Buffer, sizes: readonly number[] = [], offset = 0): Promise<Buffer> {
  return join(decompress('Gzip', inPieces(file, sizes), { offset }))
}

describe('decompress Gzip', () => {
  it('reads one member and several, empty ones among them', async () => {
    const members = [content.subarray(0, 100), Buffer.alloc(0), content, content.subarray(7)]
    const file = Buffer.concat(members.map((member) => gzipSync(member)))
    expect(await read(file, [977])).toEqual(Buffer.concat(members))
    expect(await read(gzipSync(content))).toEqual(content)
  })

  it('ends with a coded error when a member is cut at any byte', async () => {
    const file = gzipSync(content.subarray(0, 150))
    for (let end = 1; end < file.length; end++) {
      expect((await faultOf(read(file.subarray(0, end)))).code).toBe('PGPACK_TRUNCATED')
    }
  })

  it.each([Buffer.from('garbage'), Buffer.alloc(16), Buffer.of(0x1f)])(
    'refuses what follows the last member instead of leaving it out (%j)',
    async (garbage) => {
      const member = gzipSync(content.subarray(0, 1000))
      const fault = await faultOf(read(Buffer.concat([member, garbage]), [], 500))
      expect(fault).toMatchObject({ code: expect.stringMatching(/^PGPACK_(FRAME_CORRUPT|TRUNCATED)$/) })
    },
  )

  it('refuses a wrong checksum and bytes that are no member', async () => {
    const bad = gzipSync(content.subarray(0, 1000))
    bad.writeUInt8(bad.readUInt8(bad.length - 8) ^ 1, bad.length - 8)
    expect((await faultOf(read(bad))).code).toBe('PGPACK_FRAME_CORRUPT')
    expect(await faultOf(read(Buffer.from('PGCOPY'), [], 40))).toMatchObject({
      code: 'PGPACK_FRAME_CORRUPT',
      details: { offset: 40 },
    })
  })

  it('passes on the error of its source', async () => {
    async function* source(): AsyncGenerator<Buffer> {
      yield gzipSync(content).subarray(0, 1000)
      throw new Error('the store is gone')
    }
    await expect(join(decompress('Gzip', source()))).rejects.toThrow('the store is gone')
  })
})

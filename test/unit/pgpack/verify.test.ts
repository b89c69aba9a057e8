import { describe, expect, it } from '@jest/globals'
import { inspect } from '../../../src/pgpack/inspect.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { verify } from '../../../src/pgpack/verify.ts'
import { faultOf, inPieces } from '../../support/chunks.ts'
import { COLUMNS, rows, writeFile } from '../../support/pgpack.ts'

const chunks = [
  [rows(100), 100],
  [rows(100, 100), 100],
] as const

describe('verify', () => {
  it.each(['Zstd', 'LZ4', 'None'] as const)(
    'finds nothing wrong with a good %s file, and what the writer said of it',
    async (method) => {
      const { file, summary } = await writeFile({ compression: { method } }, chunks)
      const { rows, rawBytes, storedBytes, headSHA256, bodySHA256 } = summary
      const expected = { fault: undefined, columns: COLUMNS, rows, rawBytes, storedBytes, headSHA256, bodySHA256 }
      expect(await verify(bufferSource(file))).toEqual({ ...expected, frames: method === 'None' ? 0 : 2 })
      expect(await verify(inPieces(file, [100]))).toMatchObject(expected)
    },
  )

  it('says where the first fault is and how far it came', async () => {
    const { file, summary } = await writeFile({ compression: { method: 'Zstd' } }, chunks)
    const second = summary.bodyOffset + (summary.frames.entries[1]?.[0] ?? 0)
    file.writeUInt8(0, second)
    expect(await verify(bufferSource(file))).toMatchObject({
      fault: { code: 'PGPACK_FRAME_CORRUPT', offset: second, found: '0x00b52ffd', expected: 'a frame (0x28b52ffd)' },
      frames: 1,
      columns: COLUMNS,
      headSHA256: undefined,
      bodySHA256: undefined,
    })
  })

  it('reports a head that cannot be read', async () => {
    expect(await verify(bufferSource(Buffer.from('no such thing')))).toMatchObject({
      fault: { code: 'PGPACK_SIGNATURE', offset: 0 },
      columns: undefined,
      rows: 0n,
    })
  })

  it('throws what the source throws', async () => {
    const source = {
      size: 1000,
      // biome-ignore lint/correctness/useYield: a source that fails before its first byte
      async *read(): AsyncGenerator<Buffer> {
        throw new Error('the store is gone')
      },
    }
    await expect(verify(source)).rejects.toThrow('the store is gone')
  })
})

describe('inspect', () => {
  it('tells what the head says without reading the body', async () => {
    const { file, summary } = await writeFile(
      { compression: { method: 'LZ4' }, layout: 'stream', spelling: 'development' },
      chunks,
    )
    let read = 0
    const source = bufferSource(file)
    const counting = {
      size: file.length,
      read: (range: { offset: number; length: number }) => {
        read += range.length
        return source.read(range)
      },
    }
    expect(await inspect(counting)).toEqual({
      columns: COLUMNS,
      spelling: 'development',
      method: 'LZ4',
      layout: 'stream',
      fileBytes: file.length,
      bodyOffset: summary.bodyOffset,
      storedBytes: summary.storedBytes,
      rawBytes: summary.rawBytes,
    })
    expect(read).toBeLessThanOrEqual(65_536 + 16)
  })

  it('finds a cut file', async () => {
    const { file } = await writeFile({}, chunks)
    expect((await faultOf(inspect(bufferSource(file.subarray(0, -1))))).code).toBe('PGPACK_TRUNCATED')
  })
})

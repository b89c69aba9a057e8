import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { decompress } from '../../../src/compression/decompress.ts'
import { WRITABLE_METHODS } from '../../../src/compression/method.ts'
import { own } from '../../../src/memory.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { PGPackWriter } from '../../../src/pgpack/writer.ts'
import { faultOf, inPieces, join } from '../../support/chunks.ts'
import { COLUMNS, MemorySink, pgcopy, rows, tuple, writeFile } from '../../support/pgpack.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('PGPackWriter', () => {
  it.each(
    WRITABLE_METHODS.flatMap((method) => [
      { method, layout: 'header' } as const,
      { method, layout: 'stream' } as const,
    ]),
  )('writes a file of $method in the $layout layout that tells its lengths and hashes', async ({ method, layout }) => {
    const chunks = [
      [rows(100), 100],
      [rows(50, 100), 50],
      [rows(7, 150), 7],
    ] as const
    const { file, summary } = await writeFile({ compression: { method }, layout }, chunks)
    const raw = pgcopy(rows(157))
    const tail = layout === 'stream' ? 16 : 0
    const body = file.subarray(summary.bodyOffset, file.length - tail)
    expect(summary).toMatchObject({
      rows: 157n,
      rawBytes: BigInt(raw.length),
      storedBytes: BigInt(body.length),
      fileBytes: BigInt(file.length),
      headSHA256: sha256(file.subarray(0, summary.bodyOffset)),
      bodySHA256: sha256(body),
      bodyOffset: PGPackWriter.headLength({ columns: COLUMNS }),
    })
    const lengths = tail > 0 ? file.subarray(-16) : file.subarray(summary.bodyOffset - 16, summary.bodyOffset)
    expect(lengths.readBigUInt64BE(0)).toBe(summary.storedBytes)
    expect(lengths.readBigUInt64BE(8)).toBe(summary.rawBytes)
    expect(await join(decompress(method, inPieces(body)))).toEqual(raw)
  })

  it.each(WRITABLE_METHODS)('releases each chunk of %s once, when it is not looked at any more', async (method) => {
    const sink = new MemorySink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method } })
    const released: number[] = []
    for (let index = 0; index < 30; index++) {
      const chunk = rows(1000, index * 1000)
      await writer.writeRows(chunk, 1000, () => {
        released.push(index)
        chunk.fill(0xff)
      })
    }
    const { bodyOffset } = await writer.finish()
    expect(released.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index))
    const body = sink.file?.subarray(bodyOffset) ?? Buffer.alloc(0)
    expect(await join(decompress(method, inPieces(body)))).toEqual(pgcopy(rows(30_000)))
  })

  it('leaves memory to the caller that it writes as it is: another chunk may lie in the same', async () => {
    const sink = new MemorySink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'None' } })
    const chunks = Array.from({ length: 30 }, (_, index) => rows(10, index * 10))
    const all = Buffer.concat(chunks)
    const counted = own(Buffer.allocUnsafeSlow(all.length))
    all.copy(counted)
    let at = 0
    for (const { length } of chunks) {
      await writer.writeRows(counted.subarray(at, at + length), 10)
      at += length
    }
    const { bodyOffset } = await writer.finish()
    const body = sink.file?.subarray(bodyOffset) ?? Buffer.alloc(0)
    expect(body.equals(pgcopy(all))).toBe(true)
  })

  it('writes and releases a chunk of many megabytes without waiting for another', async () => {
    const sink = new MemorySink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'Zstd' } })
    const chunks = [rows(10), tuple(10, 'x'.repeat(9 << 20)), tuple(11, 'y'.repeat(9 << 20))]
    for (const chunk of chunks.slice(0, -1)) await writer.writeRows(chunk, chunk === chunks[0] ? 10 : 1)
    await new Promise<void>((resolve) => {
      void writer.writeRows(chunks.at(-1) ?? Buffer.alloc(0), 1, resolve)
    })
    const { bodyOffset, frames, rows: written } = await writer.finish()
    expect(written).toBe(12n)
    // The trailer's frame is its own.
    expect(frames.entries).toHaveLength(4)
    const body = sink.file?.subarray(bodyOffset) ?? Buffer.alloc(0)
    expect((await join(decompress('Zstd', inPieces(body)))).equals(pgcopy(Buffer.concat(chunks)))).toBe(true)
  })

  it('lets no chunk of many megabytes wait beside another', async () => {
    const gate = Promise.withResolvers<void>()
    const sink = new (class extends MemorySink {
      override async write(chunk: Buffer): Promise<void> {
        await gate.promise
        await super.write(chunk)
      }
    })()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'None' }, inFlight: 4 })
    const large = () => tuple(1, 'x'.repeat(20 << 20))
    await writer.writeRows(large(), 1)
    let taken = false
    const second = writer.writeRows(large(), 1).then(() => {
      taken = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(taken).toBe(false)
    gate.resolve()
    await second
    expect((await writer.finish()).rows).toBe(2n)
  })

  it('has the bytes that the format demands', async () => {
    const { file } = await writeFile({}, [[tuple(1, 'a'), 1]])
    expect(file.subarray(0, 8).toString('latin1')).toBe('PGPACK\n\0')
    expect(file.readUInt8(file.readUInt32BE(12) + 16)).toBe(0x02)
    expect(file.subarray(file.readUInt32BE(12) + 33)).toEqual(pgcopy(tuple(1, 'a')))
  })

  it('marks the stream layout in place of the lengths', async () => {
    const { file, summary } = await writeFile({ layout: 'stream' }, [])
    expect(file.subarray(summary.bodyOffset - 16, summary.bodyOffset).toString('latin1')).toBe('S3\0Stream\0Object')
  })

  it.each(WRITABLE_METHODS)('indexes %s frames so that each entry can be entered', async (method) => {
    const chunks = [10, 20, 30, 40].map((count, index) => [rows(count, [0, 10, 30, 60][index] ?? 0), count] as const)
    const { file, summary } = await writeFile({ compression: { method } }, chunks)
    const reader = await PGPackReader.open(bufferSource(file))
    const raw = pgcopy(rows(100))
    const { every, entries } = summary.frames
    expect(every).toBe(1)
    expect(entries.map(([, before]) => before)).toEqual([0, 10, 30, 60])
    for (const [index, [storedOffset, , rawBytes]] of entries.entries()) {
      const [end, , rawEnd] = entries[index + 1] ?? [Number(summary.storedBytes), 100, raw.length]
      const part = await join(reader.part({ storedOffset, storedLength: end - storedOffset }))
      expect(part).toEqual(raw.subarray(rawBytes, rawEnd))
    }
  })

  it('never ends the first frame at byte 19 to 21, which the reference cannot load', async () => {
    const noColumns = tuple()
    for (const chunks of [
      [[noColumns, 1]],
      [
        [noColumns, 1],
        [noColumns, 1],
        [noColumns, 1],
      ],
      [
        [Buffer.alloc(0), 0],
        [tuple(1, 'a'), 1],
        [tuple(2, 'b'), 1],
      ],
    ] as const) {
      const { summary } = await writeFile({ compression: { method: 'Zstd' } }, chunks)
      const [, second] = summary.frames.entries
      if (second !== undefined) expect(second[2]).toBeGreaterThanOrEqual(22)
      expect(summary.rows).toBe(BigInt(chunks.reduce((sum, [, count]) => sum + count, 0)))
    }
  })

  it('writes a table without rows as one frame of header and trailer', async () => {
    const { file, summary } = await writeFile({ compression: { method: 'LZ4' } }, [])
    expect(summary).toMatchObject({ rows: 0n, rawBytes: 21n })
    expect(summary.frames.entries).toEqual([[0, 0, 0]])
    expect(await join((await PGPackReader.open(bufferSource(file))).body())).toEqual(pgcopy())
  })

  it('puts the trailer into the last frame', async () => {
    const { summary } = await writeFile({ compression: { method: 'Zstd' } }, [
      [rows(10), 10],
      [rows(10), 10],
    ])
    expect(summary.frames.entries).toHaveLength(2)
  })

  it.each([
    { method: 'None', most: 3 },
    // What is compressed already does not keep the next one from being compressed, up to as many again.
    { method: 'Zstd', most: 6 },
  ] as const)('lets no more than $most frames of $method wait for a slow sink', async ({ method, most }) => {
    const gate = Promise.withResolvers<void>()
    class SlowSink extends MemorySink {
      override async write(chunk: Buffer): Promise<void> {
        await gate.promise
        await super.write(chunk)
      }
    }
    const sink = new SlowSink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method }, inFlight: 3 })
    let taken = 0
    const producing = (async () => {
      for (; taken < 20; taken++) await writer.writeRows(rows(5), 5)
    })()
    // No compression ends before the event loop has had a turn: three run, and one chunk is held back.
    for (let step = 0; step < 200; step++) await Promise.resolve()
    expect(taken).toBe(4)
    // Each compression is done after some turns of the event loop; the sink has let none pass.
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
    // And one is held back.
    expect(taken).toBe(most + 1)
    gate.resolve()
    await producing
    expect((await writer.finish()).rows).toBe(100n)
  })

  it('takes rows of several producers at once without mixing or losing any', async () => {
    const sink = new MemorySink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'Zstd', level: 1 }, inFlight: 2 })
    const producer = async (from: number) => {
      for (let at = 0; at < 100; at += 10) await writer.writeRows(rows(10, from + at), 10)
    }
    await Promise.all([producer(1000), producer(2000), producer(3000)])
    await writer.finish()
    const raw = await join((await PGPackReader.open(bufferSource(sink.file ?? Buffer.alloc(0)))).body())
    for (const from of [1000, 2000, 3000]) {
      let before = -1
      for (let at = 0; at < 100; at += 10) {
        const found = raw.indexOf(rows(10, from + at))
        expect(found).toBeGreaterThan(before)
        before = found
      }
    }
  })

  it('gives the sink its chunks in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        async (counts, inFlight) => {
          const chunks = counts.map((count, index) => [rows(count, index * 1000), count] as const)
          const { file, summary } = await writeFile({ compression: { method: 'Zstd', level: 1 }, inFlight }, chunks)
          const reader = await PGPackReader.open(bufferSource(file))
          expect(await join(reader.body())).toEqual(pgcopy(...chunks.map(([bytes]) => bytes)))
          expect(BigInt(reader.rows)).toBe(summary.rows)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('throws the error of its sink from every later call', async () => {
    class FullSink extends MemorySink {
      override async write(): Promise<void> {
        throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
      }
    }
    const sink = new FullSink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'None' }, inFlight: 1 })
    const failing = (async () => {
      for (let chunk = 0; chunk < 10; chunk++) await writer.writeRows(rows(10), 10)
    })()
    expect((await faultOf(failing)).message).toMatch(/no space left/)
    expect((await faultOf(writer.writeRows(rows(1), 1))).message).toMatch(/no space left/)
    expect((await faultOf(writer.finish())).message).toMatch(/no space left/)
    await writer.abort()
    expect(sink.aborted).toBe(true)
    expect(sink.file).toBeUndefined()
  })

  it('gives its sink nothing more after a failure', async () => {
    let writes = 0
    class FailingSink extends MemorySink {
      override async write(): Promise<void> {
        writes++
        if (writes === 2) throw new Error('lost the connection')
      }
    }
    const writer = new PGPackWriter(new FailingSink(), { columns: COLUMNS, compression: { method: 'Zstd' } })
    for (let chunk = 0; chunk < 4; chunk++) await writer.writeRows(rows(10), 10)
    await faultOf(writer.finish())
    expect(writes).toBe(2)
  })

  it('takes nothing after it was aborted or finished', async () => {
    const sink = new MemorySink()
    const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'Zstd' } })
    await writer.writeRows(rows(10), 10)
    await writer.abort()
    expect(sink.aborted).toBe(true)
    expect((await faultOf(writer.writeRows(rows(1), 1))).code).toBe('CANCELLED')
    expect((await faultOf(writer.finish())).code).toBe('CANCELLED')
    const finished = new PGPackWriter(new MemorySink(), { columns: COLUMNS, compression: { method: 'None' } })
    await finished.finish()
    expect((await faultOf(finished.writeRows(rows(1), 1))).message).toMatch(/finished already/)
  })

  it('refuses a level that its method does not have', () => {
    const build = () =>
      new PGPackWriter(new MemorySink(), { columns: COLUMNS, compression: { method: 'Zstd', level: 99 } })
    expect(build).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

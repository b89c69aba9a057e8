import { readFile } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { assembleStrip } from '../../../scripts/wasm.ts'
import { plainBuffer, type ReceiveBuffer, ReceiveBuffers } from '../../../src/postgres/receive-buffers.ts'
import type { StripCursor } from '../../../src/postgres/strip.ts'

const KIB = 1024

function message(type: string, length: number, fill: number): Buffer {
  const bytes = Buffer.alloc(5 + length, fill)
  bytes.write(type, 'latin1')
  bytes.writeInt32BE(length + 4, 1)
  // So that bytes that end up in another place are noticed.
  for (let at = 5; at < bytes.length; at += 7) bytes[at] = (fill + at) & 0xff
  return bytes
}

const lengths = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 70 }) },
  { weight: 2, arbitrary: fc.integer({ min: 490, max: 540 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1000, max: 20_000 }) },
)
const messages = fc.array(
  fc.record({
    type: fc.constantFrom(...Array<string>(12).fill('d'), 'N', 'S'),
    length: lengths,
    fill: fc.integer({ min: 0, max: 255 }),
  }),
  { maxLength: 60 },
)

/** Strips what has come so far after each piece, and passes over messages of other types as a reader does. */
function strip(buffer: ReceiveBuffer, stream: Buffer, ends: readonly number[]): { cursor: StripCursor; data: string } {
  const cursor = { read: 0, write: 0, messages: 0, last: 0 }
  let received = 0
  for (const end of [...ends, stream.length]) {
    if (end <= received) continue
    stream.copy(buffer.bytes, received, received, end)
    received = end
    for (;;) {
      buffer.strip(cursor, end)
      const { read } = cursor
      if (end - read < 5 || buffer.bytes[read] === 0x64) break
      const next = read + 1 + buffer.view.getInt32(read + 1)
      if (next > end) break
      cursor.read = next
    }
  }
  return { cursor, data: buffer.bytes.toString('latin1', 0, cursor.write) }
}

describe('stripping in WebAssembly', () => {
  it('does what its twin in TypeScript does, whatever the messages and the pieces', () => {
    const buffers = new ReceiveBuffers()
    fc.assert(
      fc.property(messages, fc.array(fc.nat(60_000)), (list, cuts) => {
        const stream = Buffer.concat(list.map(({ type, length, fill }) => message(type, length, fill)))
        const ends = cuts.map((cut) => cut % (stream.length + 1)).sort((a, b) => a - b)
        const buffer = buffers.take(stream.length)
        expect(strip(buffer, stream, ends)).toEqual(strip(plainBuffer(stream.length), stream, ends))
        buffer.release()
      }),
    )
  })

  it('does so when the stream is cut at each single byte', () => {
    const buffers = new ReceiveBuffers()
    const rows = [0, 1, 15, 16, 17, 31, 32, 100, 511, 512, 513].map((length) => message('d', length, length & 0xff))
    const stream = Buffer.concat([...rows, message('N', 9, 7), ...rows])
    const buffer = buffers.take(stream.length)
    const expected = strip(plainBuffer(stream.length), stream, [])
    for (let cut = 0; cut <= stream.length; cut++) expect(strip(buffer, stream, [cut])).toEqual(expected)
    const each = Array.from({ length: stream.length }, (_, index) => index)
    expect(strip(buffer, stream, each)).toEqual(expected)
  })

  it.each([-1, 0, 3, 0x7fffffff, -0x80000000])('stops where its twin does at a length of %i', (length) => {
    const stream = Buffer.concat([message('d', 20, 1), message('d', 20, 2), message('d', 30, 3)])
    stream.writeInt32BE(length, 25 + 1)
    const wasm = strip(new ReceiveBuffers().take(stream.length), stream, [])
    expect(wasm).toEqual(strip(plainBuffer(stream.length), stream, []))
    expect(wasm.cursor).toEqual({ read: 25, write: 20, messages: 1, last: 20 })
  })

  it('writes nothing outside its buffer, though its blocks overshoot', () => {
    const buffers = new ReceiveBuffers()
    const slots = Array.from({ length: 8 }, () => buffers.take(1024 * KIB + 64 * KIB))
    for (const { bytes } of slots) bytes.fill(0xaa)
    const full = slots[3]
    const stream = Buffer.concat(Array.from({ length: 20_000 }, (_, index) => message('d', 50, index & 0xff)))
    expect(full && strip(full, stream, []).cursor.messages).toBe(20_000)
    const others = slots.filter((slot) => slot !== full)
    expect(others.every(({ bytes }) => bytes.every((byte) => byte === 0xaa))).toBe(true)
  })

  it('is what strip.wat says', async () => {
    const checkedIn = await readFile(new URL('../../../src/postgres/strip-wasm.ts', import.meta.url), 'utf8')
    expect(checkedIn).toBe(await assembleStrip())
  })
})

describe('ReceiveBuffers', () => {
  it('gives out the memory that was released last', () => {
    const buffers = new ReceiveBuffers()
    const [first, second] = [buffers.take(KIB), buffers.take(KIB)]
    first.bytes.fill(1)
    second.bytes.fill(2)
    second.release()
    first.release()
    expect(buffers.take(KIB).bytes[0]).toBe(1)
    expect(buffers.take(KIB).bytes[0]).toBe(2)
  })

  it('gives memory out once, however often it was released', () => {
    const buffers = new ReceiveBuffers()
    const one = buffers.take(KIB)
    one.release()
    one.release()
    const [again, other] = [buffers.take(KIB), buffers.take(KIB)]
    again.bytes.fill(1)
    other.bytes.fill(2)
    expect(again.bytes[0]).toBe(1)
  })

  it('lets nobody who was slow to release take away what was taken again', () => {
    const buffers = new ReceiveBuffers()
    const one = buffers.take(KIB)
    one.release()
    const again = buffers.take(KIB)
    one.release()
    buffers.take(KIB).bytes.fill(3)
    again.bytes.fill(1)
    expect(again.bytes.every((byte) => byte === 1)).toBe(true)
  })

  it('gives memory of its own to each of very many, released or not', () => {
    const buffers = new ReceiveBuffers()
    const taken = Array.from({ length: 100 }, () => buffers.take(KIB))
    for (const [index, { bytes }] of taken.entries()) bytes.fill(index)
    expect(taken.every(({ bytes }, index) => bytes.every((byte) => byte === index))).toBe(true)
  })

  it('has room for a row of any size', () => {
    const { bytes } = new ReceiveBuffers().take(5 * KIB * KIB)
    expect(bytes.length).toBe(5 * KIB * KIB)
  })
})

import { crc32c } from '../../src/compression/crc32c.ts'

export const snappyIdentifier = Buffer.from('ff060000734e61507059', 'hex')

/** A chunk of the framing format with `content`, of 64 KiB at most. */
export function snappyChunk(content: Buffer, compressed: boolean): Buffer {
  const data = compressed ? encodeBlock(content) : content
  const crc = crc32c(content)
  const head = Buffer.alloc(8)
  head.writeUInt8(compressed ? 0 : 1)
  head.writeUIntLE(data.length + 4, 1, 3)
  head.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0, 4)
  return Buffer.concat([head, data])
}

/** A greedy compressor: copies of 4 to 64 bytes, with two-byte offsets, and literals of up to 60. */
function encodeBlock(content: Buffer): Buffer {
  const parts: Buffer[] = [varint(content.length)]
  const seen = new Map<number, number>()
  let literal = 0
  let at = 0
  const flush = (end: number) => {
    for (; literal < end; literal += Math.min(60, end - literal)) {
      const piece = content.subarray(literal, Math.min(literal + 60, end))
      parts.push(Buffer.of((piece.length - 1) << 2), piece)
    }
  }
  while (at + 4 <= content.length) {
    const key = content.readUInt32LE(at)
    const from = seen.get(key)
    seen.set(key, at)
    if (from === undefined) {
      at++
      continue
    }
    let length = 4
    while (length < 64 && at + length < content.length && content[from + length] === content[at + length]) length++
    flush(at)
    const offset = at - from
    parts.push(Buffer.of(((length - 1) << 2) | 2, offset & 0xff, offset >> 8))
    at += length
    literal = at
  }
  flush(content.length)
  return Buffer.concat(parts)
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return Buffer.from([...bytes, left])
    bytes.push((left & 0x7f) | 0x80)
  }
}

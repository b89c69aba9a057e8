import { gunzipSync, zstdDecompressSync } from 'node:zlib'

/** A raw body is never let grow beyond this by the decoders below. */
const MAX_BYTES = 512 * 1024 * 1024

/**
 * The raw body of a file by decoders that share nothing with ours: Node's zlib, and the plainest ones for LZ4 and Snappy.
 * Undefined where the file's own lengths do not fit, or it does not hold whole rows of `columns` fields at most.
 */
export function independentBody(file: Buffer, columns: number): Buffer | undefined {
  const suffix = 16 + file.readUInt32BE(12)
  const stream = file.subarray(suffix + 1, suffix + 17).equals(Buffer.from('S3\0Stream\0Object'))
  const body = file.subarray(suffix + 17, stream ? file.length - 16 : file.length)
  const lengthsAt = stream ? file.length - 16 : suffix + 1
  const raw = decode(file.readUInt8(suffix), body)
  const fits = file.readBigUInt64BE(lengthsAt) === BigInt(body.length)
  const fitsRaw = file.readBigUInt64BE(lengthsAt + 8) === BigInt(raw.length)
  return fits && fitsRaw && isPGCopy(raw, columns) ? raw : undefined
}

function decode(method: number, body: Buffer): Buffer {
  if (method === 0x02) return body
  if (method === 0x90) return zstdFrames(body)
  if (method === 0x99) return gunzipSync(body, { maxOutputLength: MAX_BYTES })
  return method === 0x82 ? lz4Frames(body) : snappyChunks(body)
}

/** Header, rows of one and the same field count, trailer, and nothing else. */
function isPGCopy(raw: Buffer, columns: number): boolean {
  if (raw.subarray(0, 11).toString('latin1') !== 'PGCOPY\n\xff\r\n\0') return false
  const flags = raw.readUInt32BE(11)
  const oid = (flags >> 16) & 1
  if (flags >>> 17 !== 0) return false
  let at = 19 + raw.readInt32BE(15)
  let first: number | undefined
  for (;;) {
    const count = raw.readInt16BE(at)
    at += 2
    if (count === -1) return at === raw.length
    first ??= count
    if (count !== first || count < 0 || count > columns) return false
    for (let field = 0; field < count + oid; field++) {
      const length = raw.readInt32BE(at)
      if (length < -1) return false
      at += 4 + Math.max(0, length)
    }
  }
}

/** Node's decoder ends with the first frame, and says where that was when it is asked for `info`. */
function zstdFrames(body: Buffer): Buffer {
  const parts: Buffer[] = []
  let at = 0
  while (at < body.length) {
    const options = { maxOutputLength: MAX_BYTES, info: true }
    const { buffer, engine } = zstdDecompressSync(body.subarray(at), options) as unknown as DecompressInfo
    parts.push(buffer)
    at += engine.bytesWritten
  }
  return Buffer.concat(parts)
}

interface DecompressInfo {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

function lz4Frames(body: Buffer): Buffer {
  const out: number[] = []
  let at = 0
  while (at < body.length) {
    const magic = body.readUInt32LE(at)
    if (magic >>> 4 === 0x184d2a5) {
      at += 8 + body.readUInt32LE(at + 4)
      continue
    }
    const flags = body.readUInt8(at + 4)
    at += 7 + (flags & 8)
    for (;;) {
      const size = body.readUInt32LE(at)
      at += 4
      if (size === 0) break
      const block = body.subarray(at, at + (size & 0x7fffffff))
      if (size >= 0x80000000) for (const byte of block) out.push(byte)
      else lz4Block(block, out)
      at += block.length + ((flags & 0x10) === 0 ? 0 : 4)
    }
    if ((flags & 4) !== 0) at += 4
  }
  return Buffer.from(out)
}

function lz4Block(block: Buffer, out: number[]): void {
  let at = 0
  const extended = (length: number) => {
    let sum = length
    for (let more = length === 15 ? 255 : 0; more === 255; sum += more) more = block.readUInt8(at++)
    return sum
  }
  for (;;) {
    const token = block.readUInt8(at++)
    for (let left = extended(token >> 4); left > 0; left--) out.push(block.readUInt8(at++))
    if (at >= block.length) return
    const offset = block.readUInt16LE(at)
    at += 2
    for (let left = extended(token & 15) + 4; left > 0; left--) out.push(out[out.length - offset] ?? 0)
  }
}

function snappyChunks(body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length; at += 4 + body.readUIntLE(at + 1, 3)) {
    const type = body.readUInt8(at)
    const data = body.subarray(at + 8, at + 4 + body.readUIntLE(at + 1, 3))
    if (type === 1) parts.push(data)
    if (type === 0) parts.push(snappyBlock(data))
  }
  return Buffer.concat(parts)
}

function snappyBlock(block: Buffer): Buffer {
  const out: number[] = []
  let at = 0
  while (block.readUInt8(at++) >= 0x80);
  while (at < block.length) {
    const tag = block.readUInt8(at++)
    const type = tag & 3
    if (type === 0) {
      const width = Math.max(0, (tag >> 2) - 59)
      let left = 1 + (width === 0 ? tag >> 2 : block.readUIntLE(at, width))
      for (at += width; left > 0; left--) out.push(block.readUInt8(at++))
    } else {
      const width = type === 3 ? 4 : type
      const offset = block.readUIntLE(at, width) + (type === 1 ? (tag >> 5) << 8 : 0)
      at += width
      const length = type === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
      for (let left = length; left > 0; left--) out.push(out[out.length - offset] ?? 0)
    }
  }
  return Buffer.from(out)
}

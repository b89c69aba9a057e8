import { compressSync } from 'lz4-napi'
import { xxh32 } from '../../src/compression/xxh32.ts'

export interface LZ4FrameOptions {
  /** 4 to 7: blocks of 64 KiB, 256 KiB, 1 MiB, 4 MiB. */
  readonly blockCode?: number
  readonly linked?: boolean
  readonly blockChecksums?: boolean
  readonly contentChecksum?: boolean
  readonly contentSize?: boolean
  /** Bytes of content in a block; as many as may be when not given. */
  readonly blockBytes?: number
  /** Store each second block as it is. */
  readonly someUncompressed?: boolean
}

const HISTORY_BYTES = 65_536

/** An LZ4 frame with the features asked for: what the package itself cannot write. */
export function lz4Frame(content: Buffer, options: LZ4FrameOptions = {}): Buffer {
  const {
    blockCode = 4,
    linked = false,
    blockChecksums = false,
    contentChecksum = false,
    contentSize = false,
  } = options
  const blockBytes = options.blockBytes ?? 2 ** (8 + 2 * blockCode)
  const flags =
    0x40 | (linked ? 0 : 0x20) | (blockChecksums ? 0x10 : 0) | (contentSize ? 0x08 : 0) | (contentChecksum ? 0x04 : 0)
  const size = Buffer.alloc(contentSize ? 8 : 0)
  if (contentSize) size.writeBigUInt64LE(BigInt(content.length))
  const descriptor = Buffer.concat([Buffer.of(flags, blockCode << 4), size])
  const parts: Buffer[] = [Buffer.from('04224d18', 'hex'), descriptor, Buffer.of((xxh32(descriptor) >>> 8) & 0xff)]
  for (let at = 0, index = 0; at < content.length; at += blockBytes, index++) {
    const raw = content.subarray(at, at + blockBytes)
    const history = linked && at > 0 ? content.subarray(Math.max(0, at - HISTORY_BYTES), at) : undefined
    const stored =
      options.someUncompressed === true && index % 2 === 1 ? undefined : compressSync(raw, history).subarray(4)
    parts.push(u32(stored?.length ?? raw.length + 0x80000000), stored ?? raw)
    if (blockChecksums) parts.push(u32(xxh32(stored ?? raw)))
  }
  parts.push(u32(0))
  if (contentChecksum) parts.push(u32(xxh32(content)))
  return Buffer.concat(parts)
}

export function lz4Skippable(length: number): Buffer {
  return Buffer.concat([u32(0x184d2a5f), u32(length), Buffer.alloc(length, 0x04)])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

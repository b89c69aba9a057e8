import { gzipSync, constants as zlib, zstdCompressSync } from 'node:zlib'
import type { CompressionMethod } from '../../src/compression/method.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../../src/pgpack/pgcopy.ts'
import { lz4Frame } from '../support/lz4.ts'
import { pgcopy } from '../support/pgpack.ts'
import { assemble, corpus, type Sample } from './corpus.ts'
import type { Random } from './random.ts'
import { snappyChunk, snappyIdentifier } from './snappy.ts'

interface Bomb {
  readonly method: CompressionMethod
  /** Bytes of zeros when decompressed. */
  readonly raw: number
  readonly stored: Buffer
}

const ZSTD_MAGIC = Buffer.from('28b52ffd', 'hex')
const MIB = 1024 * 1024

/** RLE blocks of 128 KiB, 4 bytes each, in a frame of the given descriptor and what belongs to it. */
function zstdBomb(header: Buffer, blocks: number): Bomb {
  const block = (last: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUIntLE(((128 * 1024) << 3) | 2 | last, 0, 3)
    return bytes
  }
  const body = Array.from({ length: blocks }, (_, at) => block(at === blocks - 1 ? 1 : 0))
  return { method: 'Zstd', raw: blocks * 128 * 1024, stored: Buffer.concat([ZSTD_MAGIC, header, ...body]) }
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
  return bytes
}

const lz4Zeros = lz4Frame(Buffer.alloc(4 * MIB), { blockCode: 7 })
const gzipZeros = gzipSync(Buffer.alloc(16 * MIB))
const snappyZeros = snappyChunk(Buffer.alloc(65_536), true)
/** A window of 64 MiB, declared and used. */
const wideWindow = zstdCompressSync(Buffer.alloc(MIB), { params: { [zlib.ZSTD_c_windowLog]: 26 } })

const BOMBS: readonly ((random: Random) => Bomb)[] = [
  // Descriptors: window 128 KiB; single segments and content sizes that promise up to 2^64 - 1 bytes; large windows.
  () => zstdBomb(Buffer.of(0x00, 0x38), 250),
  (random) => zstdBomb(Buffer.concat([Buffer.of(0xc0, 0x38), u64(1n << BigInt(20 + random.below(44)))]), 2),
  (random) => zstdBomb(Buffer.concat([Buffer.of(0xe0), u64(1n << BigInt(20 + random.below(44)))]), 8),
  (random) => zstdBomb(Buffer.concat([Buffer.of(0xc0, 0x38), u64(-1n - BigInt(random.below(9)))]), 2),
  (random) => zstdBomb(Buffer.concat([Buffer.of(0xa0), Buffer.alloc(4, random.below(256))]), 1000),
  (random) => zstdBomb(Buffer.of(0x00, random.below(256)), 100),
  () => ({ method: 'Zstd', raw: MIB, stored: wideWindow }),
  () => ({ method: 'LZ4', raw: 4 * MIB, stored: lz4Zeros }),
  () => ({ method: 'Gzip', raw: 16 * MIB, stored: gzipZeros }),
  () => ({
    method: 'Snappy',
    raw: 4 * MIB,
    stored: Buffer.concat([snappyIdentifier, ...Array(64).fill(snappyZeros)]),
  }),
]

/** What a bomb's zeros are taken for: no body at all, what follows a trailer, rows without fields, one giant field. */
function starts(sample: Sample, raw: number): readonly Buffer[] {
  const field = Buffer.from('000140000000', 'hex')
  field.writeUInt32BE(raw, 2)
  return [Buffer.alloc(0), sample.raw, PGCOPY_HEADER, Buffer.concat([PGCOPY_HEADER, field])]
}

/** A body that is much larger than it is stored, with or without a trailer; its raw length told, hidden or made up. */
export function bombs(_sample: Sample, random: Random): Buffer {
  const { method, raw, stored } = random.pick(BOMBS)(random)
  const sample = random.pick(corpus.filter((one) => one.method === method))
  const start = random.pick(starts(sample, raw))
  const end = random.chance(3) ? Buffer.alloc(0) : PGCOPY_TRAILER
  const told = start.length + raw + end.length
  const rawLength = random.pick([told, told, told, pgcopy().length, 2 ** 40])
  return assemble({ ...sample, frames: [...sample.encode(start), stored, ...sample.encode(end)], rawLength })
}

import { gzipSync, constants as zlib, zstdCompressSync } from 'node:zlib'
import type { CompressionMethod } from '../../src/compression/method.ts'
import type { Layout, MetadataSpelling, PGPackColumn } from '../../src/pgpack/columns.ts'
import { encodeHeader, encodeLengths } from '../../src/pgpack/header.ts'
import { encodeMetadata } from '../../src/pgpack/metadata.ts'
import { lz4Frame, lz4Skippable } from '../support/lz4.ts'
import { COLUMNS, pgcopy, rows, tuple } from '../support/pgpack.ts'
import type { Random } from './random.ts'
import { snappyChunk, snappyIdentifier } from './snappy.ts'

export interface FileParts {
  /** As it is stored. */
  readonly metadata: Buffer
  readonly method: CompressionMethod
  readonly layout: Layout
  /** The stored body: one piece for each frame, skippable ones included. */
  readonly frames: readonly Buffer[]
  /** Bytes of the raw body. */
  readonly rawLength: number | bigint
}

/** A valid file, and what it is made of. */
export interface Sample extends FileParts {
  readonly name: string
  readonly spelling: MetadataSpelling
  readonly columns: readonly PGPackColumn[]
  readonly raw: Buffer
  readonly file: Buffer
  /** Stores another raw body in the same way. */
  readonly encode: (raw: Buffer) => Buffer[]
}

export function assemble({ metadata, method, layout, frames, rawLength }: FileParts): Buffer {
  const body = Buffer.concat(frames)
  const lengths = { stored: BigInt(body.length), raw: BigInt(rawLength) }
  const head = encodeHeader(metadata, method, layout === 'header' ? lengths : undefined)
  return Buffer.concat([head, body, ...(layout === 'stream' ? [encodeLengths(lengths)] : [])])
}

/** What comes out of a body's encoder for some bytes: frames in their order. */
type Encoder = (raw: Buffer) => Buffer[]

function split(raw: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(raw.length / size) }, (_, at) => raw.subarray(at * size, (at + 1) * size))
}

const each =
  (size: number, frame: (piece: Buffer) => Buffer): Encoder =>
  (raw) =>
    split(raw, size).map(frame)

const zstdChecked = (piece: Buffer) => zstdCompressSync(piece, { params: { [zlib.ZSTD_c_checksumFlag]: 1 } })

const ENCODERS: Readonly<Record<string, { method: CompressionMethod; encode: Encoder }>> = {
  none: { method: 'None', encode: each(512, (piece) => piece) },
  'zstd, one frame': { method: 'Zstd', encode: each(Number.MAX_SAFE_INTEGER, (piece) => zstdCompressSync(piece)) },
  'zstd, many frames': {
    method: 'Zstd',
    encode: (raw) => split(raw, 700).flatMap((piece) => [zstdCompressSync(piece), lz4Skippable(5)]),
  },
  'zstd, checksums': { method: 'Zstd', encode: each(900, zstdChecked) },
  'lz4, linked blocks': { method: 'LZ4', encode: (raw) => [lz4Frame(raw, { linked: true, blockBytes: 400 })] },
  'lz4, many frames': {
    method: 'LZ4',
    encode: (raw) => split(raw, 800).flatMap((piece) => [lz4Frame(piece, { contentSize: true }), lz4Skippable(9)]),
  },
  'lz4, checksums': {
    method: 'LZ4',
    encode: each(900, (piece) =>
      lz4Frame(piece, { blockChecksums: true, contentChecksum: true, someUncompressed: true, blockBytes: 300 }),
    ),
  },
  gzip: { method: 'Gzip', encode: each(1000, (piece) => gzipSync(piece)) },
  snappy: {
    method: 'Snappy',
    encode: (raw) => [snappyIdentifier, ...split(raw, 600).map((piece, at) => snappyChunk(piece, at % 3 !== 2))],
  },
}

const withOids = (raw: Buffer) => {
  const header = Buffer.from(raw.subarray(0, 19))
  header.writeUInt32BE(1 << 16, 11)
  header.writeUInt32BE(7, 15)
  return Buffer.concat([header, Buffer.from('abcdefg'), oidRows, raw.subarray(-2)])
}
const oidRows = Buffer.concat(
  [1, 2, 3].map((id) => {
    const row = tuple(id, id, `row ${id}`)
    // The count leaves the OID out.
    row.writeInt16BE(2)
    return row
  }),
)

const BODIES: Readonly<Record<string, Buffer>> = {
  'some rows': pgcopy(rows(60), tuple(null, null), tuple(7, '')),
  'no rows': pgcopy(),
  oids: withOids(pgcopy()),
  'larger than a block': pgcopy(rows(5000)),
}

/** Valid files of every method, layout and spelling. */
export const corpus: readonly Sample[] = Object.entries(BODIES).flatMap(([body, raw]) =>
  Object.entries(ENCODERS).map(([encoder, { method, encode }], index): Sample => {
    const layout = (index + body.length) % 2 === 0 ? 'header' : 'stream'
    const spelling = (index + body.length) % 3 === 0 ? 'development' : 'released'
    const metadata = encodeMetadata(COLUMNS, spelling)
    const parts: FileParts = { metadata, method, layout, frames: encode(raw), rawLength: raw.length }
    const name = `${encoder}; ${body}; ${layout} layout, ${spelling} metadata`
    return { ...parts, name, spelling, columns: COLUMNS, raw, encode, file: assemble(parts) }
  }),
)

const LARGE_BYTES = 10_000
const small = corpus.filter(({ file }) => file.length < LARGE_BYTES)
const LARGE_ONE_IN = 16

/** A sample: seldom a large one, which takes fifty times as long. */
export function pickSample(random: Random): Sample {
  return random.pick(random.chance(LARGE_ONE_IN) ? corpus : small)
}

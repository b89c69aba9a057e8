import { ByteReader } from '../compression/byte-reader.ts'

/** A file whose parts can be read in any order: an object of a store, a file on disk, a buffer. */
export interface RandomAccessSource {
  /** Bytes of the whole file. */
  readonly size: number
  /** The bytes from `offset`, `length` of them, in order. */
  read(range: { readonly offset: number; readonly length: number }): AsyncIterable<Uint8Array>
}

/** What a reader reads: a file, or a stream (Node's or the Web's) that starts with one and ends with it. */
export type PGPackSource = RandomAccessSource | AsyncIterable<Uint8Array>

export function isRandomAccess(source: PGPackSource): source is RandomAccessSource {
  return 'read' in source && 'size' in source
}

/** A file in memory as a source. */
export function bufferSource(file: Buffer): RandomAccessSource {
  return {
    size: file.length,
    async *read({ offset, length }) {
      yield file.subarray(offset, offset + length)
    },
  }
}

/** `length` bytes from `offset`; fewer at the end of the file. */
export async function readRange(source: RandomAccessSource, offset: number, length: number): Promise<Buffer> {
  const available = Math.max(0, Math.min(length, source.size - offset))
  const reader = new ByteReader(source.read({ offset, length: available }))
  try {
    return await reader.read(available)
  } finally {
    await reader.close()
  }
}

/** Passes everything on but the last `length` bytes, which the returned function gives when the stream has ended. */
export function holdBack(
  source: AsyncIterable<Buffer>,
  length: number,
): { body: AsyncIterable<Buffer>; tail: () => Buffer } {
  let held: Buffer = Buffer.alloc(0)
  async function* body(): AsyncGenerator<Buffer> {
    for await (const piece of source) {
      const bytes = held.length === 0 ? piece : Buffer.concat([held, piece])
      const passed = Math.max(0, bytes.length - length)
      held = bytes.subarray(passed)
      if (passed > 0) yield bytes.subarray(0, passed)
    }
  }
  return { body: body(), tail: () => held }
}

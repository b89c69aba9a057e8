import type { PGPackColumn } from '../../src/pgpack/columns.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../../src/pgpack/pgcopy.ts'
import type { PGPackSink, PGPackSummary } from '../../src/pgpack/writer.ts'
import { PGPackWriter, type PGPackWriterOptions } from '../../src/pgpack/writer.ts'

export const ID: PGPackColumn = { name: 'id', oid: 23, length: 4, scale: 0, nested: 0 }
export const NAME: PGPackColumn = { name: 'name', oid: 25, length: -1, scale: 0, nested: 0 }
export const COLUMNS = [ID, NAME] as const

/** One tuple of binary COPY; null is NULL. */
export function tuple(...values: readonly (Buffer | string | number | null)[]): Buffer {
  const fields = values.flatMap((value) => {
    if (value === null) return [Buffer.from('ffffffff', 'hex')]
    const bytes = typeof value === 'number' ? int4(value) : Buffer.from(value)
    return [int4(bytes.length), bytes]
  })
  const count = Buffer.alloc(2)
  count.writeInt16BE(values.length)
  return Buffer.concat([count, ...fields])
}

export function int4(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** Rows of COLUMNS. */
export function rows(count: number, from = 0): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => tuple(from + index, `row number ${from + index}`)))
}

/** The raw body of these rows. */
export function pgcopy(...tuples: readonly Buffer[]): Buffer {
  return Buffer.concat([PGCOPY_HEADER, ...tuples, PGCOPY_TRAILER])
}

/** A sink in memory that, as a store's upload, puts the head in front when it is complete. */
export class MemorySink implements PGPackSink {
  readonly written: Buffer[] = []
  file: Buffer | undefined
  aborted = false

  async write(chunk: Buffer): Promise<void> {
    // Once this resolves the chunk's memory may be used again.
    this.written.push(Buffer.from(chunk))
  }

  async complete(head: Buffer = Buffer.alloc(0)): Promise<void> {
    this.file = Buffer.concat([head, ...this.written])
  }

  async abort(): Promise<void> {
    this.aborted = true
  }
}

/** Writes a whole file; `chunks` are [tuples, number of rows]. */
export async function writeFile(
  options: Partial<PGPackWriterOptions>,
  chunks: readonly (readonly [tuples: Buffer, count: number])[],
): Promise<{ file: Buffer; summary: PGPackSummary }> {
  const sink = new MemorySink()
  const writer = new PGPackWriter(sink, { columns: COLUMNS, compression: { method: 'None' }, ...options })
  for (const [tuples, count] of chunks) await writer.writeRows(Buffer.from(tuples), count)
  const summary = await writer.finish()
  if (sink.file === undefined) throw new Error('the writer did not complete its sink')
  return { file: sink.file, summary }
}

/** The tuples of a raw body without header extension, one by one. */
export function* tuplesOf(body: Buffer): Generator<Buffer> {
  let at = PGCOPY_HEADER.length
  while (body.readInt16BE(at) !== -1) {
    const start = at
    const fields = body.readInt16BE(at)
    at += 2
    for (let field = 0; field < fields; field++) at += 4 + Math.max(0, body.readInt32BE(at))
    yield body.subarray(start, at)
  }
}

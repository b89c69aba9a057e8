import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Part } from '../../../src/engine/load.ts'
import { projectPart, TupleProjection } from '../../../src/engine/load-projection.ts'
import { PgpackError } from '../../../src/errors.ts'
import { PGCOPY_HEADER, PGCOPY_TRAILER } from '../../../src/pgpack/pgcopy.ts'

type Row = readonly (Buffer | null)[]

function field(value: Buffer | null): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(value?.length ?? -1)
  return Buffer.concat([length, value ?? Buffer.alloc(0)])
}

function encode(rows: readonly Row[], header: Buffer = PGCOPY_HEADER): Buffer {
  const tuples = rows.map((row) => {
    const count = Buffer.alloc(2)
    count.writeInt16BE(row.length)
    return Buffer.concat([count, ...row.map(field)])
  })
  return Buffer.concat([header, ...tuples, PGCOPY_TRAILER])
}

/** What is left of a stream that comes in pieces cut at these places. */
function project(stream: Buffer, keep: readonly boolean[], cuts: readonly number[] = []): Buffer {
  const projection = new TupleProjection(keep)
  const places = [0, ...[...cuts].sort((one, other) => one - other), stream.length]
  // The pieces are overwritten, so each is a copy.
  const pieces = places.slice(1).map((end, index) => Buffer.from(stream.subarray(places[index], end)))
  return Buffer.concat(pieces.map((piece) => Buffer.from(projection.update(piece))))
}

const values = fc.option(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)))
const tables = fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }).chain((keep) =>
  fc.record({
    keep: fc.constant(keep),
    rows: fc.array(fc.array(values, { minLength: keep.length, maxLength: keep.length }), { maxLength: 12 }),
    cuts: fc.array(fc.nat({ max: 600 }), { maxLength: 12 }),
  }),
)

describe('a projection', () => {
  it('leaves the same rows with the kept fields alone, wherever the stream is cut into pieces', () => {
    fc.assert(
      fc.property(tables, ({ keep, rows, cuts }) => {
        const stream = encode(rows)
        const expected = encode(rows.map((row) => row.filter((_, index) => keep[index])))
        const inside = cuts.filter((cut) => cut <= stream.length)
        expect(project(stream, keep, inside).equals(expected)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('survives a piece for each byte', () => {
    const rows: Row[] = [
      [Buffer.from('one'), null, Buffer.from('three')],
      [null, Buffer.alloc(0), Buffer.from('x')],
    ]
    const stream = encode(rows)
    const cuts = Array.from({ length: stream.length - 1 }, (_, index) => index + 1)
    expect(project(stream, [false, true, true], cuts)).toEqual(encode(rows.map((row) => row.slice(1))))
  })

  it('keeps the extension of the header', () => {
    const header = Buffer.concat([PGCOPY_HEADER, Buffer.from('extra')])
    header.writeInt32BE(5, 15)
    const stream = encode([[Buffer.from('a'), Buffer.from('b')]], header)
    for (let cut = 1; cut < stream.length; cut += 1) {
      expect(project(stream, [true, false], [cut])).toEqual(encode([[Buffer.from('a')]], header))
    }
  })

  it('may keep no field at all', () => {
    expect(project(encode([[Buffer.from('a')], [null]]), [false])).toEqual(encode([[], []]))
  })

  it('refuses rows of another number of fields', () => {
    const error = caught(() => project(encode([[null, null]]), [true, false, true]))
    expect(error).toMatchObject({ code: 'PGPACK_ROW_MALFORMED', details: { expected: '3 fields', found: '2 fields' } })
  })

  it('refuses rows that begin with an OID', () => {
    const header = Buffer.from(PGCOPY_HEADER)
    header.writeInt32BE(1 << 16, 11)
    expect(caught(() => project(encode([], header), [true]))).toMatchObject({ code: 'OBJECT_UNSUPPORTED' })
  })
})

describe('a projected part', () => {
  it('passes on how many rows each piece holds, and what it stands for in the store', async () => {
    const part: Part = {
      storedBytes: 7n,
      async *read() {
        yield { data: encode([[null, Buffer.from('b')]]), rows: 1 }
      },
    }
    const projected = projectPart(part, [false, true])
    expect(projected.storedBytes).toBe(7n)
    const lane = { number: 0, signal: new AbortController().signal }
    for await (const piece of projected.read(lane)) {
      expect(piece).toMatchObject({ rows: 1, data: encode([[Buffer.from('b')]]) })
    }
  })
})

function caught(work: () => unknown): PgpackError {
  try {
    work()
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error('it did not fail')
}

import { isNativeError } from 'node:util/types'
import fc from 'fast-check'
import { PgpackError } from '../../src/errors.ts'

/** The bytes in pieces of the given sizes, over and over; in one piece when there are none. */
export async function* inPieces(bytes: Buffer, sizes: readonly number[] = []): AsyncGenerator<Buffer> {
  if (sizes.length === 0) {
    yield bytes
    return
  }
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** Sizes for `inPieces` that pass through any border sooner or later. */
export const pieceSizes = fc.array(fc.integer({ min: 1, max: 97 }), { maxLength: 5 })

export async function join(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

/** The PgpackError that the promise ends with; anything else fails the test. */
export async function faultOf(work: Promise<unknown>): Promise<PgpackError> {
  try {
    await work
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw isNativeError(error) ? error : new Error(`not an Error: ${String(error)}`)
  }
  throw new Error('expected a PgpackError, but it went well')
}

/** Reproducible bytes that compress to about a half: random words out of a small vocabulary, then noise. */
export function sample(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[at] = at % 16 < 8 ? 65 + (at % 8) : state >>> 24
  }
  return bytes
}

import { PgpackError } from '../errors.ts'
import type { ByteRange } from './store.ts'

/** The first byte after the range. @throws PgpackError STORE_FAILED when the object has not that many bytes. */
export function rangeEnd(key: string, size: number, { offset, length = size - offset }: ByteRange): number {
  if (offset <= size && length >= 0 && offset + length <= size) return offset + length
  const expected = `bytes ${offset} to ${offset + length}`
  throw new PgpackError(
    'STORE_FAILED',
    `${key} has ${size} bytes; ${expected} were asked for: the file was cut off or replaced, dump it anew`,
    {
      expected,
      found: `${size} bytes`,
    },
  )
}

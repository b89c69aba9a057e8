import { isUtf8 } from 'node:buffer'
import type { Bytes } from './bytes.ts'
import { malformed } from './codec.ts'

const REPLACEMENT = '\ufffd'

/**
 * UTF-8 text. What is not UTF-8 (a file of the reference from a database in another encoding) is refused, because the
 * replacement character that it would become cannot be turned back.
 */
export function decodeText(source: Bytes, start: number, end: number): string {
  const text = source.buffer.toString('utf8', start, end)
  // Text of ASCII or Latin-1 is searched in no time, so that only what may be damaged is looked at twice.
  if (text.includes(REPLACEMENT) && !isUtf8(source.buffer.subarray(start, end))) {
    malformed(start, 'UTF-8 text', 'bytes of another encoding')
  }
  return text
}

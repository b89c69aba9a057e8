import type { Bytes } from './bytes.ts'
import { malformed } from './codec.ts'
import { decodeText } from './utf8.ts'

/** Reads the parts of a value one after another, never beyond its end. */
export class Cursor {
  readonly source: Bytes
  readonly end: number
  at: number

  constructor(source: Bytes, start: number, end: number) {
    this.source = source
    this.at = start
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  uint8(what: string): number {
    return this.source.view.getUint8(this.take(1, what))
  }

  uint16(what: string): number {
    return this.source.view.getUint16(this.take(2, what))
  }

  int32(what: string): number {
    return this.source.view.getInt32(this.take(4, what))
  }

  uint32(what: string): number {
    return this.source.view.getUint32(this.take(4, what))
  }

  int64(what: string): bigint {
    return this.source.view.getBigInt64(this.take(8, what))
  }

  float64(what: string): number {
    return this.source.view.getFloat64(this.take(8, what))
  }

  /** A count whose items have at least `itemBytes` bytes each: what the rest of the value cannot hold is refused. */
  count(itemBytes: number, what: string): number {
    const start = this.at
    const count = this.int32(what)
    if (count < 0 || count * itemBytes > this.left) malformed(start, `${what} that fits`, String(count))
    return count
  }

  /** The place of the next `length` bytes, which are passed over. */
  take(length: number, what: string): number {
    const start = this.at
    if (length > this.end - start) malformed(start, what, `${this.end - start} bytes`)
    this.at = start + length
    return start
  }

  /** A 32-bit length and the place behind it; undefined for -1, NULL. */
  field(): { readonly start: number; readonly end: number } | undefined {
    const lengthAt = this.at
    const length = this.int32('a length')
    if (length === -1) return undefined
    if (length < 0) malformed(lengthAt, 'a length from -1', String(length))
    const start = this.take(length, `${length} bytes`)
    return { start, end: start + length }
  }

  /** Text that ends with a zero byte. */
  cString(what: string): string {
    const start = this.at
    const end = this.source.buffer.indexOf(0, start)
    if (end < 0 || end >= this.end) malformed(start, `${what} with a zero byte behind it`, 'none')
    this.at = end + 1
    return decodeText(this.source, start, end)
  }

  finish(): void {
    if (this.at !== this.end) malformed(this.at, 'the end of the value', `${this.end - this.at} further bytes`)
  }
}

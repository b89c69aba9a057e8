import { HEADER_BYTES, MESSAGE } from './copy-command.ts'

/** A cursor over a buffer in which CopyData messages lose their headers in place. */
export interface StripCursor {
  /** Where the next message begins. */
  read: number
  /** Where the next payload goes; never past `read`. */
  write: number
  /** CopyData messages passed so far. */
  messages: number
  /** Bytes of the last payload. */
  last: number
}

/**
 * Moves the payloads of the complete CopyData messages in `[cursor.read, end)` down to `cursor.write`, one behind the
 * other. Stops at the first message that is incomplete or of another type.
 */
export function stripCopyData(bytes: Buffer, view: DataView, cursor: StripCursor, end: number): void {
  let { read, write, messages, last } = cursor
  const lastHeader = end - HEADER_BYTES
  while (read <= lastHeader && bytes[read] === MESSAGE.CopyData) {
    const length = view.getInt32(read + 1)
    const next = read + 1 + length
    // The length counts its own four bytes: what is below is no message, and the caller's to refuse.
    if (next > end || length < 4) break
    bytes.copyWithin(write, read + HEADER_BYTES, next)
    last = length - 4
    write += last
    read = next
    messages += 1
  }
  cursor.read = read
  cursor.write = write
  cursor.messages = messages
  cursor.last = last
}

import { disown, giveBack, own } from '../memory.ts'

const EMPTY: Buffer = Buffer.alloc(0)

/**
 * A cursor over a stream of chunks, which are its own from then on. Frames are found by reading their few header bytes
 * and skipping what is between; the bytes passed over since `capture()` are handed out by `flush()`.
 */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Buffer = EMPTY
  #next = 0
  #position: number
  #mark: number | undefined
  #captured: Buffer[] = []
  #capturedLength = 0

  /** `position` is the file offset of the source's first byte, so that errors can name the byte they mean. */
  constructor(source: AsyncIterable<Uint8Array>, position = 0) {
    this.#source = source[Symbol.asyncIterator]()
    this.#position = position
  }

  /** File offset of the next byte. */
  get position(): number {
    return this.#position
  }

  /** True when the source has no further byte. */
  async atEnd(): Promise<boolean> {
    while (this.#next === this.#chunk.length) if (!(await this.#advance())) return true
    return false
  }

  /** A copy of the next `length` bytes; fewer when the source ends before. */
  async read(length: number): Promise<Buffer> {
    if (this.#chunk.length - this.#next >= length) return Buffer.from(this.#take(length))
    const parts: Buffer[] = []
    let missing = length
    while (missing > 0 && !(await this.atEnd())) {
      const part = this.#take(Math.min(missing, this.#chunk.length - this.#next))
      // Its chunk is given back before the next one comes.
      parts.push(Buffer.from(part))
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  /** Passes over `length` bytes; returns how many there were. */
  async skip(length: number): Promise<number> {
    let missing = length
    while (missing > 0 && !(await this.atEnd())) {
      missing -= this.#take(Math.min(missing, this.#chunk.length - this.#next)).length
    }
    return length - missing
  }

  /** The next `length` bytes in the pieces in which they come; ends early when the source does. */
  async *pieces(length = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
    let missing = length
    while (missing > 0 && !(await this.atEnd())) {
      const piece = this.#take(Math.min(missing, this.#chunk.length - this.#next))
      missing -= piece.length
      disown(piece)
      yield piece
    }
  }

  /** Starts to keep the bytes that are read or skipped from here on. */
  capture(): void {
    this.#captured = []
    this.#capturedLength = 0
    this.#mark = this.#next
  }

  get capturedLength(): number {
    return this.#mark === undefined ? 0 : this.#capturedLength + this.#next - this.#mark
  }

  /** A copy of the bytes passed over since `capture()` or the last `flush()`, to be given back; goes on capturing. */
  flush(): Buffer {
    const bytes = own(Buffer.allocUnsafeSlow(this.capturedLength))
    let at = 0
    for (const piece of this.#captured) {
      at += piece.copy(bytes, at)
      giveBack(piece)
    }
    if (this.#mark !== undefined) this.#chunk.copy(bytes, at, this.#mark, this.#next)
    this.capture()
    return bytes
  }

  /** Forgets what was captured and stops capturing. */
  release(): void {
    this.capture()
    this.#mark = undefined
  }

  /** Ends the source early. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  #take(length: number): Buffer {
    const bytes = this.#chunk.subarray(this.#next, this.#next + length)
    this.#next += length
    this.#position += length
    return bytes
  }

  async #advance(): Promise<boolean> {
    const result = await this.#source.next()
    if (result.done === true) return false
    if (this.#mark !== undefined) {
      // A copy, so that what is captured does not keep its chunk.
      const bytes = own(Buffer.allocUnsafeSlow(this.#chunk.length - this.#mark))
      this.#chunk.copy(bytes, 0, this.#mark)
      this.#captured.push(bytes)
      this.#capturedLength += bytes.length
      this.#mark = 0
    }
    giveBack(this.#chunk)
    const { buffer, byteOffset, byteLength } = result.value
    this.#chunk = Buffer.from(buffer, byteOffset, byteLength)
    this.#next = 0
    return true
  }
}

/** The bytes that values are decoded from, with a view for numbers: DataView reads are what V8 inlines. */
export class Bytes {
  readonly buffer: Buffer
  readonly view: DataView
  /** Values that lie inside of one another around the one being decoded; records can nest as deep as bytes allow. */
  depth = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }
}

const INITIAL_BYTES = 64 * 1024

/** A buffer that grows as values are encoded into it. All integers are big-endian. */
export class ByteWriter {
  #buffer: Buffer
  #view: DataView
  #length = 0

  constructor(capacity = INITIAL_BYTES) {
    this.#buffer = Buffer.allocUnsafe(capacity)
    this.#view = viewOf(this.#buffer)
  }

  get length(): number {
    return this.#length
  }

  uint8(value: number): void {
    const at = this.#advance(1)
    this.#view.setUint8(at, value)
  }

  int16(value: number): void {
    const at = this.#advance(2)
    this.#view.setInt16(at, value)
  }

  /** Also for unsigned numbers: only the low 32 bits are taken. */
  int32(value: number): void {
    const at = this.#advance(4)
    this.#view.setInt32(at, value)
  }

  /** Also for unsigned numbers: only the low 64 bits are taken. */
  int64(value: bigint): void {
    const at = this.#advance(8)
    this.#view.setBigInt64(at, value)
  }

  float32(value: number): void {
    const at = this.#advance(4)
    this.#view.setFloat32(at, value)
  }

  float64(value: number): void {
    const at = this.#advance(8)
    this.#view.setFloat64(at, value)
  }

  bytes(value: Uint8Array): void {
    const at = this.#advance(value.length)
    this.#buffer.set(value, at)
  }

  utf8(text: string): void {
    const length = Buffer.byteLength(text)
    const at = this.#advance(length)
    this.#buffer.write(text, at, length, 'utf8')
  }

  /** Leaves room for a 32-bit length, which `endLength` fills. */
  beginLength(): number {
    return this.#advance(4)
  }

  /** Fills the length that `beginLength` left room for with the number of bytes behind it. */
  endLength(mark: number): void {
    this.#view.setInt32(mark, this.#length - mark - 4)
  }

  /** Forgets what was written from `length` on. */
  truncate(length: number): void {
    this.#length = length
  }

  /** What was written so far; the writer starts anew and no longer touches it. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafe(Math.max(INITIAL_BYTES, this.#length))
    this.#view = viewOf(this.#buffer)
    this.#length = 0
    return taken
  }

  /** May replace buffer and view: they are to be looked up after it. */
  #advance(bytes: number): number {
    const at = this.#length
    const needed = at + bytes
    if (needed > this.#buffer.length) this.#grow(needed)
    this.#length = needed
    return at
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
    this.#view = viewOf(larger)
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

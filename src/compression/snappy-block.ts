/**
 * Decodes one raw Snappy block (github.com/google/snappy, format_description.txt) of `limit` bytes at most.
 * @throws RangeError that says what is wrong
 */
export function decodeSnappyBlock(input: Uint8Array, limit: number): Buffer {
  const { value: length, next } = readVarint(input)
  if (length > limit) throw new RangeError(`a block of ${length} bytes, more than ${limit}`)
  const output = Buffer.allocUnsafe(length)
  let from = next
  let to = 0
  while (from < input.length) {
    const element = readElement(input, from)
    if (to + element.length > length) throw new RangeError('more output than the block declares')
    if (element.offset === 0) {
      const end = element.next + element.length
      if (end > input.length) throw new RangeError('a literal beyond the end of the block')
      output.set(input.subarray(element.next, end), to)
      from = end
    } else {
      if (element.offset > to) throw new RangeError('a copy from before the start of the block')
      copyWithin(output, to, element.offset, element.length)
      from = element.next
    }
    to += element.length
  }
  if (to !== length) throw new RangeError(`${to} bytes of output where the block declares ${length}`)
  return output
}

/** `offset` 0 stands for a literal, whose bytes start at `next`. */
interface Element {
  readonly length: number
  readonly offset: number
  readonly next: number
}

function readElement(input: Uint8Array, at: number): Element {
  const tag = input[at] ?? 0
  const type = tag & 3
  if (type === 0) return readLiteral(input, at, tag >> 2)
  if (type === 1) {
    const offset = ((tag >> 5) << 8) | readLittleEndian(input, at + 1, 1)
    return copyElement(((tag >> 2) & 7) + 4, offset, at + 2)
  }
  const width = type === 2 ? 2 : 4
  return copyElement((tag >> 2) + 1, readLittleEndian(input, at + 1, width), at + 1 + width)
}

function readLiteral(input: Uint8Array, at: number, code: number): Element {
  const width = code < 60 ? 0 : code - 59
  const length = width === 0 ? code + 1 : readLittleEndian(input, at + 1, width) + 1
  return { length, offset: 0, next: at + 1 + width }
}

function copyElement(length: number, offset: number, next: number): Element {
  if (offset === 0) throw new RangeError('a copy with offset 0')
  return { length, offset, next }
}

/** Byte by byte where source and target overlap, as the format demands: the copy repeats itself. */
function copyWithin(output: Buffer, to: number, offset: number, length: number): void {
  if (offset >= length) {
    output.copyWithin(to, to - offset, to - offset + length)
    return
  }
  for (let at = to; at < to + length; at++) output[at] = output[at - offset] ?? 0
}

function readLittleEndian(input: Uint8Array, at: number, width: number): number {
  if (at + width > input.length) throw new RangeError('an element beyond the end of the block')
  let value = 0
  for (let byte = 0; byte < width; byte++) value += (input[at + byte] ?? 0) * 2 ** (8 * byte)
  return value
}

function readVarint(input: Uint8Array): { value: number; next: number } {
  let value = 0
  for (let at = 0; at < 5; at++) {
    const byte = input[at]
    if (byte === undefined) break
    value += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) return { value, next: at + 1 }
  }
  throw new RangeError('no length at the start of the block')
}

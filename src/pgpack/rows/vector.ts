import { array, withLowerBounds } from './array.ts'
import { type Codec, unfit } from './codec.ts'

/** int2vector and oidvector: the bytes of an array that starts at 0, the text of their own. */
export function vector<T extends Int16Array | Uint32Array>(
  name: string,
  element: { readonly oid: number; readonly codec: Codec<number> },
  build: (numbers: readonly number[]) => T,
): Codec<T> {
  const inner = array(element)
  return {
    name,
    decode: (source, start, end) => build(inner.decode(source, start, end).map((item) => toNumber(name, item))),
    encode(value, out) {
      if (!ArrayBuffer.isView(value)) unfit(name, 'a typed array', value)
      // An empty one has a dimension, too.
      if (value.length > 0) inner.encode(withLowerBounds(Array.from(value), [0]), out)
      else for (const word of [1, 0, element.oid, 0, 0]) out.int32(word)
    },
    format: (value) => value.join(' '),
    parse: (text) =>
      build(
        text
          .split(/\s+/)
          .filter((word) => word !== '')
          .map((word) => element.codec.parse(word)),
      ),
  }
}

function toNumber(name: string, item: unknown): number {
  return typeof item === 'number' ? item : unfit(name, 'numbers in one dimension', item)
}

import { parseArrayText, quoteElement } from './array-text.ts'
import type { Bytes, ByteWriter } from './bytes.ts'
import {
  asText,
  type Codec,
  decodeInside,
  encodeValue,
  fromJSON,
  malformed,
  parseString,
  toJSON,
  unfit,
} from './codec.ts'
import { Cursor } from './cursor.ts'
import { checkJSON, splitArray } from './json.ts'

/** MAXDIM of PostgreSQL. */
const MAX_DIMENSIONS = 6
const LOWER_BOUNDS = Symbol('lower bounds')

/** The lower bound of each dimension of a decoded array; undefined where all are 1, as nearly always. */
export function lowerBoundsOf(array: object): readonly number[] | undefined {
  const bounds: unknown = Reflect.get(array, LOWER_BOUNDS)
  return Array.isArray(bounds) ? bounds : undefined
}

/** Gives an array lower bounds other than 1, one for each dimension; copies of it do not have them. */
export function withLowerBounds<T extends object>(array: T, bounds: readonly number[]): T {
  if (bounds.every((bound) => bound === 1)) return array
  return Object.defineProperty(array, LOWER_BOUNDS, { value: [...bounds] })
}

interface Flat {
  readonly dimensions: readonly number[]
  readonly lowerBounds: readonly number[]
  readonly elements: readonly unknown[]
}

export interface ElementType {
  readonly oid: number
  readonly codec: Codec
  /** typdelim: `;` for box, `,` for all others. */
  readonly delimiter?: string
}

/**
 * Arrays of any dimension as nested JavaScript arrays, NULL as null. `oid` stands in the bytes; other elements than the
 * type's own are refused.
 */
export function array({ oid, codec, delimiter = ',' }: ElementType): Codec<readonly unknown[]> {
  // Arrays of a domain over arrays: their elements must not be taken for a dimension.
  const element: Codec = isArrayCodec(codec) ? asText(codec) : codec
  const name = `${codec.name}[]`
  const jsonElement = element.embedsJSON === true ? asText(element) : element
  return {
    name,
    [IS_ARRAY]: true,
    decode: (source, start, end) => nest(decodeFlat(source, start, end, oid, element)),
    encode: (value, out) => encodeFlat(flatten(name, value), out, oid, element),
    format: (value) => formatFlat(flatten(name, value), element, delimiter),
    parse(text) {
      const flat = parseArrayText(name, text, delimiter)
      return nest({ ...flat, elements: flat.elements.map((item) => (item === null ? null : element.parse(item))) })
    },
    toJSON(value) {
      if (lowerBoundsOf(value) !== undefined) return JSON.stringify(this.format(value))
      return nestedJSON(value, jsonElement)
    },
    fromJSON(json) {
      if (!json.startsWith('[')) return this.parse(parseString(json))
      checkJSON(json)
      return fromNestedJSON(json, jsonElement)
    },
  } as Codec<readonly unknown[]>
}

const IS_ARRAY = Symbol('array codec')

function isArrayCodec(codec: Codec): boolean {
  return IS_ARRAY in codec
}

/** array_send: dimensions, whether there are NULLs, the element type, length and lower bound of each dimension. */
function decodeFlat(source: Bytes, start: number, end: number, oid: number, element: Codec): Flat {
  const cursor = new Cursor(source, start, end)
  const count = cursor.int32('a number of dimensions')
  if (count < 0 || count > MAX_DIMENSIONS) malformed(start, `0 to ${MAX_DIMENSIONS} dimensions`, String(count))
  cursor.int32('flags')
  const found = cursor.uint32('an element type')
  if (found !== oid) malformed(start + 8, `elements of type OID ${oid}`, `type OID ${found}`)
  const dimensions: number[] = []
  const lowerBounds: number[] = []
  for (let dimension = 0; dimension < count; dimension++) {
    dimensions.push(cursor.int32('a dimension'))
    lowerBounds.push(cursor.int32('a lower bound'))
  }
  const elements = readElements(cursor, elementCount(dimensions, cursor), element)
  return { dimensions: elements.length === 0 ? [] : dimensions, lowerBounds, elements }
}

/** Each element has 4 bytes at least, so that what the value cannot hold is known before memory is taken. */
function elementCount(dimensions: readonly number[], cursor: Cursor): number {
  if (dimensions.length === 0) return 0
  const count = dimensions.reduce((product, length) => product * length, 1)
  const fits = dimensions.every((length) => length >= 0) && count * 4 <= cursor.left
  return fits ? count : malformed(cursor.at, `${dimensions.join(' x ')} elements`, `${cursor.left} bytes`)
}

function readElements(cursor: Cursor, count: number, element: Codec): unknown[] {
  const elements: unknown[] = []
  for (let index = 0; index < count; index++) {
    const field = cursor.field()
    elements.push(field === undefined ? null : decodeInside(element, cursor.source, field.start, field.end))
  }
  cursor.finish()
  return elements
}

function nest({ dimensions, lowerBounds, elements }: Flat): unknown[] {
  let items = [...elements]
  for (const length of dimensions.slice(1).reverse()) {
    items = Array.from({ length: items.length / length }, (_, index) =>
      items.slice(index * length, (index + 1) * length),
    )
  }
  return withLowerBounds(items, lowerBounds.slice(0, dimensions.length))
}

/** @throws PgpackError PGPACK_VALUE unless all parts of a dimension have one length */
function flatten(name: string, value: unknown): Flat {
  if (!Array.isArray(value)) return unfit(name, 'an array', value)
  const dimensions: number[] = []
  let elements: readonly unknown[] = [value]
  while (Array.isArray(elements[0])) {
    const [{ length }] = elements
    const parts: readonly unknown[] = elements
    const rectangular = parts.every((part) => Array.isArray(part) && part.length === length)
    if (!rectangular || dimensions.length === MAX_DIMENSIONS)
      return unfit(name, 'a rectangular array of up to 6 dimensions', value)
    if (length === 0) return { dimensions: [], lowerBounds: [], elements: [] }
    dimensions.push(length)
    elements = elements.flat()
  }
  if (elements.some((item) => Array.isArray(item))) return unfit(name, 'a rectangular array', value)
  return { dimensions, lowerBounds: boundsFor(name, value, dimensions), elements }
}

function boundsFor(name: string, value: object, dimensions: readonly number[]): readonly number[] {
  const bounds = lowerBoundsOf(value) ?? dimensions.map(() => 1)
  return bounds.length === dimensions.length ? bounds : unfit(name, `${dimensions.length} lower bounds`, bounds)
}

function encodeFlat({ dimensions, lowerBounds, elements }: Flat, out: ByteWriter, oid: number, element: Codec): void {
  out.int32(dimensions.length)
  out.int32(elements.includes(null) ? 1 : 0)
  out.int32(oid)
  for (const [index, length] of dimensions.entries()) {
    out.int32(length)
    out.int32(lowerBounds[index] ?? 1)
  }
  for (const item of elements) writeField(element, item, out)
}

/** A length and the value's bytes; -1 for null. */
export function writeField(codec: Codec, value: unknown, out: ByteWriter): void {
  if (value === null || value === undefined) {
    out.int32(-1)
    return
  }
  const mark = out.beginLength()
  encodeValue(codec, value, out)
  out.endLength(mark)
}

function formatFlat({ dimensions, lowerBounds, elements }: Flat, element: Codec, delimiter: string): string {
  if (dimensions.length === 0) return '{}'
  let parts = elements.map((item) => (item === null ? 'NULL' : quoteElement(element.format(item), delimiter)))
  for (const length of [...dimensions].reverse()) {
    parts = Array.from(
      { length: parts.length / length },
      (_, index) => `{${parts.slice(index * length, (index + 1) * length).join(delimiter)}}`,
    )
  }
  const decorated = lowerBounds.some((bound) => bound !== 1)
  const bounds = dimensions.map((length, index) => {
    const lower = lowerBounds[index] ?? 1
    return `[${lower}:${lower + length - 1}]`
  })
  return decorated ? `${bounds.join('')}=${parts[0]}` : (parts[0] ?? '{}')
}

function nestedJSON(value: readonly unknown[], element: Codec): string {
  const parts = value.map((item) => {
    if (item === null) return 'null'
    return Array.isArray(item) ? nestedJSON(item, element) : toJSON(element, item)
  })
  return `[${parts.join(',')}]`
}

function fromNestedJSON(json: string, element: Codec): unknown[] {
  return splitArray(json).map((item) => {
    if (item === 'null') return null
    return item.startsWith('[') ? fromNestedJSON(item, element) : fromJSON(element, item)
  })
}

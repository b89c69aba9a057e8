import { writeField } from './array.ts'
import { hasSpecial, SPACES } from './array-text.ts'
import type { ByteWriter } from './bytes.ts'
import { type Codec, decodeInside, malformed, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'

/** A bound that is null is infinite, and not inclusive. */
export interface Range<T = unknown> {
  readonly empty: boolean
  readonly lower: T | null
  readonly upper: T | null
  readonly lowerInclusive: boolean
  readonly upperInclusive: boolean
}

export interface Multirange<T = unknown> {
  readonly ranges: readonly Range<T>[]
}

export const EMPTY_RANGE: Range<never> = {
  empty: true,
  lower: null,
  upper: null,
  lowerInclusive: false,
  upperInclusive: false,
}

// Flags of rangetypes.h.
const EMPTY = 0x01
const LOWER_INCLUSIVE = 0x02
const UPPER_INCLUSIVE = 0x04
const LOWER_INFINITE = 0x08
const UPPER_INFINITE = 0x10

const SPECIAL = `"\\()[],${SPACES}`

/** As range_out and record_out quote a bound or a field. */
export function quoteField(text: string, special: string): string {
  return text !== '' && !hasSpecial(text, special) ? text : `"${text.replace(/["\\]/g, '$&$&')}"`
}

function decodeBound(cursor: Cursor, element: Codec): unknown {
  const at = cursor.at
  const field = cursor.field()
  if (field === undefined) return malformed(at, 'a bound', 'NULL')
  return decodeInside(element, cursor.source, field.start, field.end)
}

export function range(name: string, element: Codec): Codec<Range> {
  return {
    name,
    decode(source, start, end) {
      const cursor = new Cursor(source, start, end)
      const flags = cursor.uint8('flags')
      if ((flags & EMPTY) !== 0) {
        cursor.finish()
        return EMPTY_RANGE
      }
      const lower = (flags & LOWER_INFINITE) === 0 ? decodeBound(cursor, element) : null
      const upper = (flags & UPPER_INFINITE) === 0 ? decodeBound(cursor, element) : null
      cursor.finish()
      return {
        empty: false,
        lower,
        upper,
        lowerInclusive: lower !== null && (flags & LOWER_INCLUSIVE) !== 0,
        upperInclusive: upper !== null && (flags & UPPER_INCLUSIVE) !== 0,
      }
    },
    encode(value, out) {
      if (!isRange(value)) unfit(name, '{ empty, lower, upper, lowerInclusive, upperInclusive }', value)
      out.uint8(flagsOf(value))
      if (value.empty) return
      for (const bound of [value.lower, value.upper]) if (bound !== null) writeField(element, bound, out)
    },
    format: (value) => formatRange(value, element),
    parse: (text) => parseRange(name, text, element),
  }
}

function isRange(value: unknown): value is Range {
  return typeof value === 'object' && value !== null && 'empty' in value && 'lower' in value && 'upper' in value
}

function flagsOf({ empty, lower, upper, lowerInclusive, upperInclusive }: Range): number {
  if (empty) return EMPTY
  const low = lower === null ? LOWER_INFINITE : lowerInclusive ? LOWER_INCLUSIVE : 0
  const high = upper === null ? UPPER_INFINITE : upperInclusive ? UPPER_INCLUSIVE : 0
  return low | high
}

function formatRange({ empty, lower, upper, lowerInclusive, upperInclusive }: Range, element: Codec): string {
  if (empty) return 'empty'
  const bound = (value: unknown) => (value === null ? '' : quoteField(element.format(value), SPECIAL))
  return `${lowerInclusive ? '[' : '('}${bound(lower)},${bound(upper)}${upperInclusive ? ']' : ')'}`
}

function parseRange(name: string, text: string, element: Codec): Range {
  const trimmed = text.trim()
  if (/^empty$/i.test(trimmed)) return EMPTY_RANGE
  const comma = findOutside(trimmed, ',()[]', 1)
  const end = findOutside(trimmed, ',()[]', comma + 1)
  const shaped = '[('.includes(trimmed[0] ?? ' ') && trimmed[comma] === ',' && '])'.includes(trimmed[end] ?? ' ')
  if (!shaped || end !== trimmed.length - 1) return unfit(name, 'a range like [1,10)', text)
  const bound = (written: string) => (written === '' ? null : element.parse(unquoteField(written)))
  const lower = bound(trimmed.slice(1, comma))
  const upper = bound(trimmed.slice(comma + 1, end))
  return {
    empty: false,
    lower,
    upper,
    lowerInclusive: lower !== null && trimmed.startsWith('['),
    upperInclusive: upper !== null && trimmed.endsWith(']'),
  }
}

/** The place of the next of `stops` that is neither quoted nor escaped; the text's end where there is none. */
export function findOutside(text: string, stops: string, from: number): number {
  let quoted = false
  for (let at = from; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '\\') at++
    else if (character === '"') quoted = !quoted
    else if (!quoted && stops.includes(character)) return at
  }
  return text.length
}

/** Takes quotes and escapes off a bound or a field. */
export function unquoteField(text: string): string {
  if (!/["\\]/.test(text)) return text
  let plain = ''
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '\\') plain += text[++at] ?? ''
    else if (character !== '"') plain += character
    else if (quoted && text[at + 1] === '"') plain += text[++at] ?? ''
    else quoted = !quoted
  }
  return plain
}

export function multirange(name: string, element: Codec<Range>): Codec<Multirange> {
  return {
    name,
    decode(source, start, end) {
      const cursor = new Cursor(source, start, end)
      const count = cursor.count(5, 'a number of ranges')
      const ranges = Array.from({ length: count }, () => decodeBound(cursor, element) as Range)
      cursor.finish()
      return { ranges }
    },
    encode: (value, out) => encodeMultirange(name, value, element, out),
    format: ({ ranges }) => `{${ranges.map((item) => element.format(item)).join(',')}}`,
    parse: (text) => ({ ranges: splitMultirange(name, text).map((item) => element.parse(item)) }),
  }
}

function encodeMultirange(name: string, value: unknown, element: Codec<Range>, out: ByteWriter): void {
  const ranges: unknown = typeof value === 'object' && value !== null && 'ranges' in value ? value.ranges : undefined
  const items: readonly unknown[] = Array.isArray(ranges) ? ranges : unfit(name, '{ ranges: […] }', value)
  out.int32(items.length)
  for (const item of items) writeField(element, item, out)
}

function splitMultirange(name: string, text: string): string[] {
  const trimmed = text.trim()
  const malformed = () => unfit(name, 'a multirange like {[1,3),[5,9)}', text)
  if (!trimmed.startsWith('{') || !trimmed.endsWith('}')) return malformed()
  const inside = trimmed.slice(1, -1).trim()
  const items: string[] = []
  for (let at = 0; at < inside.length; ) {
    const end = findOutside(inside, '])', at)
    const comma = findOutside(inside, ',', end)
    if (end === inside.length || inside.slice(end + 1, comma).trim() !== '') return malformed()
    items.push(inside.slice(at, end + 1))
    at = comma + 1
  }
  return items
}

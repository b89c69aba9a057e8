import { inspect } from 'node:util'
import { PgpackError } from '../../errors.ts'
import type { Bytes, ByteWriter } from './bytes.ts'

/**
 * One type of PostgreSQL: between the bytes of its send and receive functions, a JavaScript value that keeps all of
 * it, and the text of its output and input functions.
 */
export interface Codec<T = unknown> {
  /** pg_type.typname, for messages. */
  readonly name: string
  /** The value in `source` from `start` up to `end`. @throws PgpackError PGPACK_VALUE */
  decode(source: Bytes, start: number, end: number): T
  /** Appends the value's bytes, without a length. @throws PgpackError PGPACK_VALUE for what the type cannot hold */
  encode(value: T, out: ByteWriter): void
  /** What the type's output function prints, with DateStyle ISO, IntervalStyle postgres and TimeZone UTC. */
  format(value: T): string
  /** Reads what `format` gives, and other spellings where they mean one thing only. @throws PgpackError PGPACK_VALUE */
  parse(text: string): T
  /** The value as JSON text; the text of `format` as a JSON string where there is no such method. */
  toJSON?(value: T): string
  /** Reads JSON text; of a JSON string, or of a number's digits, `parse` where there is no such method. */
  fromJSON?(json: string): T
  /** The JSON of a value is any JSON, null included, so that SQL's NULL cannot be told from it. */
  readonly embedsJSON?: true
}

/** A codec whose JavaScript value is the text itself. */
export function textual(
  name: string,
  decode: Codec<string>['decode'],
  encode: (text: string, out: ByteWriter) => void,
): Codec<string> {
  return {
    name,
    decode,
    encode: (value, out) => encode(typeof value === 'string' ? value : unfit(name, 'text', value), out),
    format: (value) => value,
    parse: (text) => text,
  }
}

/** Encodes a value, or the text of one. */
export function encodeValue(codec: Codec, value: unknown, out: ByteWriter): void {
  codec.encode(typeof value === 'string' ? codec.parse(value) : value, out)
}

export function toJSON(codec: Codec, value: unknown): string {
  return codec.toJSON?.(value) ?? JSON.stringify(codec.format(value))
}

/** @throws PgpackError PGPACK_VALUE */
export function fromJSON(codec: Codec, json: string): unknown {
  if (codec.fromJSON !== undefined) return codec.fromJSON(json)
  return codec.parse(json.startsWith('"') ? parseString(json) : json)
}

/** The text of a JSON string. @throws PgpackError PGPACK_VALUE */
export function parseString(json: string): string {
  try {
    return String(JSON.parse(json))
  } catch (cause) {
    throw new PgpackError('PGPACK_VALUE', `not a JSON string: ${describe(json)}`, { cause, expected: 'a JSON string' })
  }
}

/** The same values with their text in place of the JavaScript value. */
export function asText(codec: Codec): Codec<string> {
  return textual(
    codec.name,
    (source, start, end) => codec.format(codec.decode(source, start, end)),
    (text, out) => codec.encode(codec.parse(text), out),
  )
}

const MAX_DEPTH = 100

/** Decodes what lies inside of another value. @throws PgpackError PGPACK_VALUE for nesting without end */
export function decodeInside<T>(codec: Codec<T>, source: Bytes, start: number, end: number): T {
  if (source.depth >= MAX_DEPTH) malformed(start, `${MAX_DEPTH} values inside of one another at most`, 'more')
  source.depth++
  try {
    return codec.decode(source, start, end)
  } finally {
    source.depth--
  }
}

/** The bytes at `at` are not a value. The row's decoder adds the column and the offset in the body. */
export function malformed(at: number, expected: string, found: string): never {
  throw new PgpackError('PGPACK_VALUE', `found ${found}, expected ${expected}`, { offset: at, expected, found })
}

/** A value or text that the type cannot hold. */
export function unfit(type: string, expected: string, value: unknown): never {
  const found = describe(value)
  throw new PgpackError('PGPACK_VALUE', `${found} is not a value of type ${type}: expected ${expected}`, {
    expected,
    found,
  })
}

/** Bounded, whatever the value is. */
export function describe(value: unknown): string {
  return inspect(value, { depth: 1, maxArrayLength: 4, maxStringLength: 64, breakLength: Number.POSITIVE_INFINITY })
}

/** @throws PgpackError PGPACK_VALUE unless the value has `length` bytes */
export function checkLength(start: number, end: number, length: number): void {
  if (end - start !== length) malformed(start, `${length} bytes`, `${end - start} bytes`)
}

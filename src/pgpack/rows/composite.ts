import { writeField } from './array.ts'
import { SPACES } from './array-text.ts'
import type { Bytes, ByteWriter } from './bytes.ts'
import { type Codec, decodeInside, malformed, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'
import { findOutside, quoteField, unquoteField } from './range.ts'

export interface CompositeField {
  readonly name: string
  /** Of its type. */
  readonly oid: number
}

/** A row without a type of its own, as `ROW(1, 'x')` gives it. */
export interface AnonymousRecord {
  /** The types of the values. */
  readonly oids: readonly number[]
  readonly values: readonly unknown[]
}

type CodecOf = (oid: number) => Codec

const SPECIAL = `"\\(),${SPACES}`
/** A type OID and a length. */
const FIELD_BYTES = 8

/** record_send: a number of fields; each has its type, a length, and bytes. */
function decodeFields(source: Bytes, start: number, end: number, codecOf: CodecOf): AnonymousRecord {
  const cursor = new Cursor(source, start, end)
  const count = cursor.count(FIELD_BYTES, 'a number of fields')
  const oids: number[] = []
  const values: unknown[] = []
  for (let index = 0; index < count; index++) {
    const oid = cursor.uint32('a type')
    const field = cursor.field()
    oids.push(oid)
    values.push(field === undefined ? null : decodeInside(codecOf(oid), source, field.start, field.end))
  }
  cursor.finish()
  return { oids, values }
}

function encodeFields({ oids, values }: AnonymousRecord, out: ByteWriter, codecOf: CodecOf): void {
  out.int32(oids.length)
  for (const [index, oid] of oids.entries()) {
    out.int32(oid)
    writeField(codecOf(oid), values[index], out)
  }
}

function formatFields({ oids, values }: AnonymousRecord, codecOf: CodecOf): string {
  const parts = oids.map((oid, index) => {
    const value = values[index]
    return value === null || value === undefined ? '' : quoteField(codecOf(oid).format(value), SPECIAL)
  })
  return `(${parts.join(',')})`
}

/** Types that nobody has named pass as bytes inside of a record as elsewhere. */
export function record(codecOf: CodecOf): Codec<AnonymousRecord> {
  return {
    name: 'record',
    decode: (source, start, end) => decodeFields(source, start, end, codecOf),
    encode(value, out) {
      if (!Array.isArray(value.oids) || !Array.isArray(value.values)) unfit('record', '{ oids, values }', value)
      encodeFields(value, out, codecOf)
    },
    format: (value) => formatFields(value, codecOf),
    parse: (text) => unfit('record', 'a type of its own: the text of a record does not tell the types', text),
  }
}

/** A composite type's values as objects, by field name. */
export function composite(
  name: string,
  fields: readonly CompositeField[],
  codecOf: CodecOf,
): Codec<Readonly<Record<string, unknown>>> {
  const oids = fields.map((field) => field.oid)
  const toRecord = (value: unknown): AnonymousRecord => {
    if (typeof value !== 'object' || value === null) return unfit(name, 'an object', value)
    return {
      oids,
      values: fields.map((field) => (Object.hasOwn(value, field.name) ? Reflect.get(value, field.name) : null)),
    }
  }
  return {
    name,
    decode(source, start, end) {
      const found = decodeFields(source, start, end, codecOf)
      if (found.oids.join() !== oids.join()) {
        malformed(start, `fields of the types ${oids.join(', ')}`, found.oids.join(', '))
      }
      return Object.fromEntries(fields.map((field, index) => [field.name, found.values[index]]))
    },
    encode: (value, out) => encodeFields(toRecord(value), out, codecOf),
    format: (value) => formatFields(toRecord(value), codecOf),
    parse(text) {
      const texts = splitRecord(name, text)
      if (texts.length !== fields.length) unfit(name, `${fields.length} fields`, text)
      return Object.fromEntries(
        fields.map((field, index) => {
          const item = texts[index] ?? ''
          return [field.name, item === '' ? null : codecOf(field.oid).parse(unquoteField(item))]
        }),
      )
    },
  }
}

/** The fields of `(1,"two",)`, quoted as they stand. */
function splitRecord(name: string, text: string): string[] {
  const trimmed = text.trim()
  const last = trimmed.length - 1
  const items: string[] = []
  for (let at = 0; at < last; ) {
    const end = findOutside(trimmed, ',()', at + 1)
    const closes = trimmed[end] === ')' && end === last
    if (!trimmed.startsWith('(') || !(closes || trimmed[end] === ',')) return unfit(name, 'fields in parentheses', text)
    items.push(trimmed.slice(at + 1, end))
    at = end
  }
  return items
}

import { type Codec, unfit } from './codec.ts'
import { Cursor } from './cursor.ts'
import { decodeText } from './utf8.ts'

/** hstore_send: a number of pairs; each is two lengths with their text, -1 for a NULL value. */
function decodePairs(cursor: Cursor): Map<string, string | null> {
  const pairs = new Map<string, string | null>()
  const count = cursor.count(8, 'a number of pairs')
  for (let index = 0; index < count; index++) {
    const length = cursor.count(1, 'the length of a key')
    const start = cursor.take(length, 'a key')
    const key = decodeText(cursor.source, start, start + length)
    const field = cursor.field()
    pairs.set(key, field === undefined ? null : decodeText(cursor.source, field.start, field.end))
  }
  cursor.finish()
  return pairs
}

const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`

const PAIR = /\s*("[^"\\]*(?:\\[\s\S][^"\\]*)*"|[^\s"=,]+)\s*=>\s*("[^"\\]*(?:\\[\s\S][^"\\]*)*"|[^\s",]+)\s*(,|$)/y

function parse(text: string): Map<string, string | null> {
  const pairs = new Map<string, string | null>()
  const trimmed = text.trim()
  for (let at = 0; at < trimmed.length; at = PAIR.lastIndex) {
    PAIR.lastIndex = at
    const found = PAIR.exec(trimmed) ?? unfit('hstore', 'pairs like "key"=>"value"', text)
    const [, key = '', value = ''] = found
    const plain = unquote(key)
    // The first of two equal keys counts, as for hstore_in.
    if (!pairs.has(plain)) pairs.set(plain, /^null$/i.test(value) ? null : unquote(value))
  }
  return pairs
}

function unquote(text: string): string {
  const inside = text.startsWith('"') ? text.slice(1, -1) : text
  return inside.replace(/\\([\s\S])/g, '$1')
}

export const hstore: Codec<ReadonlyMap<string, string | null>> = {
  name: 'hstore',
  decode: (source, start, end) => decodePairs(new Cursor(source, start, end)),
  encode(value, out) {
    if (typeof value.entries !== 'function') unfit('hstore', 'a Map of text to text or null', value)
    out.int32(value.size)
    for (const [key, item] of value) {
      out.int32(Buffer.byteLength(key))
      out.utf8(key)
      out.int32(item === null ? -1 : Buffer.byteLength(item))
      if (item !== null) out.utf8(item)
    }
  },
  format: (value) =>
    [...value].map(([key, item]) => `${quote(key)}=>${item === null ? 'NULL' : quote(item)}`).join(', '),
  parse,
}

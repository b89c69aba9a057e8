import type { Bytes, ByteWriter } from './bytes.ts'
import { type Codec, checkLength, describe, malformed, textual, unfit } from './codec.ts'
import { checkJSON } from './json.ts'
import { decodeText } from './utf8.ts'

/** text, varchar, bpchar, name, xml, enums: the bytes are the text. */
export function textLike(name: string): Codec<string> {
  return textual(name, decodeText, (text, out) => out.utf8(text))
}

/** json: its bytes are the text. Inside of JSON it stands as itself. */
export const json: Codec<string> = {
  ...textLike('json'),
  // A line break in JSON text is white space, and would end a line of NDJSON.
  toJSON(value) {
    checkJSON(value)
    return value.replace(/[\r\n]/g, ' ')
  },
  fromJSON: (text) => text,
  embedsJSON: true,
}

const VERSION = 1

/** jsonb and jsonpath: a version byte before the text. */
function versioned(name: string): Codec<string> {
  return textual(
    name,
    (source, start, end) => {
      if (end === start || source.view.getUint8(start) !== VERSION) {
        malformed(start, 'version 1', end === start ? 'no bytes' : `version ${source.view.getUint8(start)}`)
      }
      return decodeText(source, start + 1, end)
    },
    (text, out) => {
      out.uint8(VERSION)
      out.utf8(text)
    },
  )
}

export const jsonb: Codec<string> = { ...json, ...versioned('jsonb') }
export const jsonpath = versioned('jsonpath')

/** "char": one byte. As PostgreSQL prints it: '' for the zero byte, `\ooo` (octal) from 128 on. */
export const char: Codec<string> = textual(
  'char',
  (source, start, end) => {
    checkLength(start, end, 1)
    const byte = source.view.getUint8(start)
    if (byte === 0) return ''
    return byte < 0x80 ? String.fromCharCode(byte) : `\\${byte.toString(8)}`
  },
  (text, out) => {
    if (/^\\[0-3][0-7]{2}$/.test(text)) out.uint8(Number.parseInt(text.slice(1), 8))
    else if (text.length <= 1 && !(text > '\x7f')) out.uint8(text === '' ? 0 : text.charCodeAt(0))
    else unfit('char', 'one ASCII character or \\ooo', text)
  },
)

/** A copy: a Buffer of its own, that keeps no larger one alive. */
export function decodeBytes(source: Bytes, start: number, end: number): Buffer {
  return Buffer.from(source.buffer.subarray(start, end))
}

function encodeBytes(value: unknown, out: ByteWriter): void {
  if (!ArrayBuffer.isView(value)) unfit('bytea', 'a Buffer or Uint8Array', value)
  else out.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
}

const formatBytes = (value: Uint8Array): string =>
  `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`

function parseBytes(text: string): Buffer {
  if (!text.startsWith('\\x')) return parseEscaped(text)
  const digits = text.slice(2).replace(/[ \t\r\n]/g, '')
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits))
    unfit('bytea', '\\x and pairs of hexadecimal digits', text)
  return Buffer.from(digits, 'hex')
}

/** The `escape` format of bytea_output. */
function parseEscaped(text: string): Buffer {
  if (/\\(?!\\|[0-3][0-7]{2})/.test(text.replaceAll('\\\\', ''))) unfit('bytea', '\\x… or escaped bytes', text)
  const raw = Buffer.from(text).toString('latin1')
  const bytes = raw.replace(/\\(\\|[0-7]{3})/g, (_, escaped: string) =>
    escaped === '\\' ? '\\' : String.fromCharCode(Number.parseInt(escaped, 8)),
  )
  return Buffer.from(bytes, 'latin1')
}

export const bytea: Codec<Uint8Array> = {
  name: 'bytea',
  decode: decodeBytes,
  encode: encodeBytes,
  format: formatBytes,
  parse: parseBytes,
}

/** A type without a codec: its bytes as they are. Its text is that of bytea, because nothing better is known. */
export function opaque(oid: number): Codec<Uint8Array> {
  return { ...bytea, name: `type OID ${oid}` }
}

const UUID_BYTES = 16

export const uuid: Codec<string> = textual(
  'uuid',
  (source, start, end) => {
    checkLength(start, end, UUID_BYTES)
    const hex = source.buffer.toString('hex', start, end)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  },
  (text, out) => {
    const hex = text
      .trim()
      .replace(/^\{(.*)\}$/, '$1')
      .replaceAll('-', '')
    if (!/^[0-9a-f]{32}$/i.test(hex)) unfit('uuid', '32 hexadecimal digits', describe(text))
    out.bytes(Buffer.from(hex, 'hex'))
  },
)

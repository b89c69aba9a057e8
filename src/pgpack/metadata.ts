import { inspect } from 'node:util'
import { deflateSync, inflate } from 'node:zlib'
import { errorCode, errorMessage, PgpackError } from '../errors.ts'
import type { MetadataSpelling, PGPackColumn } from './columns.ts'
import type { PGPackLimits } from './limits.ts'

export interface Metadata {
  readonly columns: readonly PGPackColumn[]
  readonly spelling: MetadataSpelling
}

/**
 * The metadata's JSON, in the form that the reference's server (`json_build_array`) or Python (`json.dumps`) writes:
 * separators with a space, everything but quotes, backslashes and control characters as raw UTF-8.
 */
export function metadataJSON(columns: readonly PGPackColumn[], spelling: MetadataSpelling): string {
  const items = columns.map(({ name, oid, length, scale, nested }, index) =>
    spelling === 'released'
      ? `[${index + 1}, [${JSON.stringify(name)}, ${oid}, ${length}, ${scale}, ${nested}]]`
      : `{${JSON.stringify(name)}: {"oid": ${oid}, "length": ${length}, "scale": ${scale}, "nested": ${nested}}}`,
  )
  return `[${items.join(', ')}]`
}

/** The metadata as they are stored: a zlib stream of the JSON. */
export function encodeMetadata(columns: readonly PGPackColumn[], spelling: MetadataSpelling): Buffer {
  return deflateSync(metadataJSON(columns, spelling))
}

/**
 * Reads stored metadata of either spelling. Takes what the reference takes: UTF-8 (with or without a byte order mark)
 * and UTF-16, any JSON spacing, null for length, scale and nested, whole numbers like `23.0`, columns in any order.
 * @throws PgpackError PGPACK_METADATA, PGPACK_LIMIT
 */
export async function decodeMetadata(packed: Buffer, limits: PGPackLimits): Promise<Metadata> {
  return parseMetadata(decodeText(await unpack(packed, limits.metadataRawBytes)))
}

function unpack(packed: Buffer, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    inflate(packed, { maxOutputLength: limit }, (error, raw) => {
      if (error === null) resolve(raw)
      else if (errorCode(error) === 'ERR_BUFFER_TOO_LARGE') {
        reject(
          new PgpackError('PGPACK_LIMIT', `the metadata are larger than the limit of ${limit} bytes; raise the limit`, {
            offset: 16,
            expected: `${limit} bytes at most`,
            found: 'more',
          }),
        )
      } else reject(invalid('a zlib stream', errorMessage(error), error))
    })
  })
}

/** Python's json.loads tells the encodings apart by their NUL bytes and byte order marks (RFC 4627, section 3). */
function decodeText(raw: Buffer): string {
  const encoding = detectEncoding(raw)
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(raw)
  } catch (error) {
    throw invalid(`${encoding} text`, 'other bytes', error)
  }
}

function detectEncoding(raw: Buffer): string {
  const [first, second] = raw
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return 'utf-16le'
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return 'utf-16be'
  return 'utf-8'
}

function parseMetadata(text: string): Metadata {
  const items = parseJSON(text)
  if (!Array.isArray(items)) throw invalid('a list of columns', describe(items))
  const list: readonly unknown[] = items
  return list.every((item) => Array.isArray(item))
    ? { columns: releasedColumns(list), spelling: 'released' }
    : { columns: list.map(developmentColumn), spelling: 'development' }
}

/** Both spellings have a list of columns, in each item a column, and in that its values. */
const MAX_DEPTH = 3
/** A row counts its fields in an int16 (COPY, "Binary Format"); each spelling has two brackets for a column. */
const MAX_COLUMNS = 32_767

/** Lists and objects cost the parser some 40 bytes of memory for each one of the text. */
function checkNesting(text: string): void {
  const brackets = /["[\]{}]/g
  let depth = 0
  let opened = 0
  for (let found = brackets.exec(text); found !== null; found = brackets.exec(text)) {
    const [bracket] = found
    if (bracket === '"') brackets.lastIndex = endOfString(text, brackets.lastIndex)
    else if (bracket === '[' || bracket === '{') {
      depth++
      opened++
    } else depth--
    if (depth > MAX_DEPTH) throw invalid(`lists and objects nested ${MAX_DEPTH} deep`, 'deeper ones')
    if (opened > 2 * MAX_COLUMNS + 1) throw invalid(`${MAX_COLUMNS} columns at most`, 'more')
  }
}

/** Where a JSON string ends whose opening quote lies before `from`. */
function endOfString(text: string, from: number): number {
  let at = from
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function parseJSON(text: string): unknown {
  checkNesting(text)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid('JSON', errorMessage(error), error)
  }
}

function releasedColumns(items: readonly (readonly unknown[])[]): PGPackColumn[] {
  const columns: (PGPackColumn | undefined)[] = new Array(items.length)
  for (const item of items) {
    const [number, column] = item
    if (item.length !== 2 || !Array.isArray(column) || column.length !== 5) {
      throw invalid('[number, [name, oid, length, scale, nested]]', describe(item))
    }
    if (!isInteger(number) || number < 1 || number > items.length || columns[number - 1] !== undefined) {
      throw invalid(`columns numbered from 1 to ${items.length}`, `number ${describe(number)}`)
    }
    const [name, oid, length, scale, nested]: readonly unknown[] = column
    columns[number - 1] = toColumn(name, { oid, length, scale, nested })
  }
  return columns.filter((column) => column !== undefined)
}

function developmentColumn(item: unknown): PGPackColumn {
  const entries = typeof item === 'object' && item !== null ? Object.entries(item) : []
  const [entry] = entries
  if (entries.length !== 1 || entry === undefined || Array.isArray(item)) {
    throw invalid('{name: {oid, length, scale, nested}}', describe(item))
  }
  const [name, fields]: [string, unknown] = entry
  if (typeof fields !== 'object' || fields === null) throw invalid('{oid, length, scale, nested}', describe(fields))
  return toColumn(name, fields)
}

interface ColumnFields {
  readonly oid?: unknown
  readonly length?: unknown
  readonly scale?: unknown
  readonly nested?: unknown
}

function toColumn(name: unknown, { oid, length, scale, nested }: ColumnFields): PGPackColumn {
  if (typeof name !== 'string') throw invalid('a column name', describe(name))
  const column = `column ${clip(name)}`
  if (!isInteger(oid) || oid < 0 || oid > 0xffffffff) throw invalid(`a type oid for ${column}`, describe(oid))
  return {
    name,
    oid,
    length: toInteger(length, -1, `the length of ${column}`),
    scale: toInteger(scale, 0, `the scale of ${column}`),
    nested: toInteger(nested, 0, `the dimensions of ${column}`),
  }
}

function toInteger(value: unknown, whenNull: number, what: string): number {
  if (value === null) return whenNull
  if (!isInteger(value)) throw invalid(`a whole number for ${what}`, describe(value))
  return value
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

/** Characters of a file's own text that a message shows. */
const MAX_SHOWN = 64

/** No name of PostgreSQL is longer than 63 bytes. */
function clip(name: string): string {
  return name.length <= MAX_SHOWN ? name : `${name.slice(0, MAX_SHOWN)}…`
}

/** Bounded in depth and length, whatever a hostile file holds. */
function describe(value: unknown): string {
  return inspect(value, {
    depth: 2,
    maxArrayLength: 8,
    maxStringLength: MAX_SHOWN,
    breakLength: Number.POSITIVE_INFINITY,
  })
}

function invalid(expected: string, found: string, cause?: unknown): PgpackError {
  return new PgpackError(
    'PGPACK_METADATA',
    `the file's column metadata cannot be read: found ${found}, expected ${expected}; the file must be made anew`,
    { offset: 16, expected, found, cause },
  )
}

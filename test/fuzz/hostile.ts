import { deflateSync, gzipSync } from 'node:zlib'
import { metadataJSON } from '../../src/pgpack/metadata.ts'
import type { Sample } from './corpus.ts'
import type { Random } from './random.ts'

/** Bytes of hostile JSON; the limit that the runner sets lies within. */
const SIZES = [10, 1000, 100_000, 900_000, 1_500_000] as const

const VALUES = [
  'null',
  'true',
  '"23"',
  '[]',
  '{}',
  '-1',
  '0.5',
  '1e400',
  '-1e-400',
  '9007199254740993',
  '1'.repeat(400),
  '4294967296',
  '"\\u0000"',
  '"\\ud800"',
  '__proto__',
  'NaN',
  '01',
  '',
] as const

/** Fills `size` bytes with copies of `unit`. */
const many = (unit: string, size: number) => unit.repeat(Math.max(1, Math.ceil(size / unit.length)))

const DOCUMENTS: readonly ((size: number, random: Random) => string)[] = [
  (size) => many('[', size),
  (size) => many('[', size / 2) + many(']', size / 2),
  (size) => many('{"a":', size),
  (size) => `${many('{"a":', size / 2)}1${many('}', size / 12)}`,
  (size) => `[${many('{},', size)}{}]`,
  (size) => `[${many('[],', size)}[]]`,
  (size) => `[${many('1,', size)}1]`,
  (size) => `[[1, ["${many('n', size)}", 23, 4, 0, 0]]]`,
  (size) => `[[1, ["${many('n', size)}", -5, 4, 0, 0]]]`,
  (size) => `[[1, ["${many('\\u0000', size)}", 23, 4, 0, 0]]]`,
  (size) => `[{"${many('n', size)}": {"oid": "x", "length": 4, "scale": 0, "nested": 0}}]`,
  (size) => `[[${many('9', size)}, ["a", 23, 4, 0, 0]]]`,
  (size) => `[{${many('"a": {"oid": 23},', size)}"a": {"oid": 23, "length": 4, "scale": 0, "nested": 0}}]`,
  (size) => `[${[...Array(Math.ceil(size / 30)).keys()].map((at) => `[${at + 1}, ["a", 23, 4, 0, 0]]`).join(', ')}]`,
  (size) => many(' ', size),
  (size) => `"${many('x', size)}"`,
  (size) => `"${many('\\', size)}"`,
]

/** Stored metadata that are no good in most cases; their checksum and length will fit. */
export function hostileMetadata(sample: Sample, random: Random): Buffer {
  const json = metadataJSON(sample.columns, sample.spelling)
  return random.pick([
    () => deflateSync(replaceValue(json, random)),
    () => deflateSync(replaceValue(replaceValue(json, random), random)),
    () => deflateSync(mangle(Buffer.from(json), random)),
    () => mangle(sample.metadata, random),
    () => deflateSync(random.pick(DOCUMENTS)(random.pick(SIZES), random)),
    () => deflateSync(Buffer.from(json, random.pick(['utf16le', 'latin1', 'base64']))),
    () => gzipSync(json),
    () => deflateSync(json).subarray(0, -random.skewed(1, 20)),
    () => deflateSync(json.replace('id', random.pick(['', '\0', '\\u0000', '"', 'name', '__proto__', '\ud800']))),
    () => deflateSync(Buffer.alloc(random.pick([100_000, 20_000_000]), random.pick([' ', '[', '\0']))),
  ])()
}

/** Puts another value in the place of a number, a name or a bracketed part. */
function replaceValue(json: string, random: Random): string {
  const values = [...json.matchAll(/-?\d+|"[^"]*"|\[[^[\]]*\]|\{[^{}]*\}/g)]
  if (values.length === 0) return json
  const { 0: found, index } = random.pick(values)
  return json.slice(0, index) + random.pick(VALUES) + json.slice(index + found.length)
}

function mangle(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes)
  for (let hits = random.skewed(1, 8); hits > 0; hits--) copy.writeUInt8(random.below(256), random.below(copy.length))
  return copy
}

import type { Bytes, ByteWriter } from './bytes.ts'
import { malformed, textual, unfit } from './codec.ts'

// numeric_send: digit count, weight, sign, display scale, and base-10000 digits (src/backend/utils/adt/numeric.c).
const HEADER_BYTES = 8
const BASE_DIGITS = 4
const BASE = 10_000
const MAX_SCALE = 0x3fff
const MAX_WEIGHT = 0x7fff
const NEGATIVE = 0x4000
const NAN = 0xc000
/** What PostgreSQL sends as the scale of infinities: bits of its internal form. */
const INFINITY_SCALE = 0x20
const SPECIALS = new Map([
  [NAN, 'NaN'],
  [0xd000, 'Infinity'],
  [0xf000, '-Infinity'],
])
const SPECIAL_CODES = new Map(
  [...SPECIALS].flatMap(([code, name]) => [
    [name.toLowerCase(), code] as const,
    [name.toLowerCase().replace('inity', ''), code] as const,
  ]),
)
/** Zeros are cut out of one string, so that `1e131071`, which has 10 bytes, does not take 128 KiB of memory. */
const ZEROS = '0'.repeat((MAX_WEIGHT + 1) * BASE_DIGITS + MAX_SCALE)
const GROUPS = Array.from({ length: BASE }, (_, group) => String(group).padStart(BASE_DIGITS, '0'))

function decode(source: Bytes, start: number, end: number): string {
  const { view } = source
  if (end - start < HEADER_BYTES) malformed(start, `${HEADER_BYTES} bytes or more`, `${end - start} bytes`)
  const count = view.getUint16(start)
  const sign = view.getUint16(start + 4)
  const special = SPECIALS.get(sign)
  if (special !== undefined) return special
  if (sign !== 0 && sign !== NEGATIVE) malformed(start + 4, 'the sign of a numeric', `0x${sign.toString(16)}`)
  const scale = view.getUint16(start + 6)
  if (scale > MAX_SCALE) malformed(start + 6, `a scale up to ${MAX_SCALE}`, String(scale))
  if (end - start !== HEADER_BYTES + count * 2) {
    malformed(start, `${HEADER_BYTES + count * 2} bytes for ${count} digits`, `${end - start} bytes`)
  }
  const weight = view.getInt16(start + 2)
  const digits = readDigits(source, start + HEADER_BYTES, count)
  return (sign === NEGATIVE && count > 0 ? '-' : '') + placePoint(digits, weight, scale)
}

function readDigits({ view }: Bytes, start: number, count: number): string {
  let digits = ''
  for (let at = start; at < start + count * 2; at += 2) {
    digits += GROUPS[view.getUint16(at)] ?? malformed(at, 'a digit up to 9999', String(view.getUint16(at)))
  }
  return digits
}

function placePoint(digits: string, weight: number, scale: number): string {
  const wholeLength = Math.max(0, (weight + 1) * BASE_DIGITS)
  const leading = digits.slice(0, wholeLength).replace(/^0+/, '')
  const whole = leading === '' ? '0' : leading + ZEROS.slice(0, Math.max(0, wholeLength - digits.length))
  if (scale === 0) return whole
  const before = ZEROS.slice(0, Math.min(scale, Math.max(0, -(weight + 1) * BASE_DIGITS)))
  const fraction = digits.slice(wholeLength, wholeLength + scale - before.length)
  return `${whole}.${before}${fraction}${ZEROS.slice(0, scale - before.length - fraction.length)}`
}

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,6}))?$/i

/** The scale is the number of digits behind the point; `1e3` and `1e-3` have 0 and 3. */
function encode(text: string, out: ByteWriter): void {
  const trimmed = text.trim()
  const special = SPECIAL_CODES.get(trimmed.toLowerCase().replace(/^\+/, ''))
  if (special !== undefined) {
    writeHeader(out, 0, 0, special, special === NAN ? 0 : INFINITY_SCALE)
    return
  }
  const [, sign, whole = '', fraction = '', exponent = '0'] = NUMBER.exec(trimmed) ?? unfit('numeric', 'a number', text)
  if (whole === '' && fraction === '') unfit('numeric', 'a number', text)
  const { left, right } = shift(whole, fraction, Number(exponent))
  if (right.length > MAX_SCALE || left.length > (MAX_WEIGHT + 1) * BASE_DIGITS) {
    unfit('numeric', `131072 digits before and ${MAX_SCALE} behind the point at most`, text)
  }
  writeDigits(out, left, right, sign === '-')
}

/** Moves the point `exponent` digits to the right. */
function shift(whole: string, fraction: string, exponent: number): { left: string; right: string } {
  if (exponent >= 0) {
    return { left: whole + fraction.slice(0, exponent).padEnd(exponent, '0'), right: fraction.slice(exponent) }
  }
  const padded = whole.padStart(-exponent, '0')
  return { left: padded.slice(0, exponent), right: padded.slice(exponent) + fraction }
}

function writeDigits(out: ByteWriter, left: string, right: string, negative: boolean): void {
  const significant = left.replace(/^0+/, '')
  const wholeGroups = Math.ceil(significant.length / BASE_DIGITS)
  const all =
    significant.padStart(wholeGroups * BASE_DIGITS, '0') +
    right.padEnd(Math.ceil(right.length / BASE_DIGITS) * BASE_DIGITS, '0')
  const groups = Array.from({ length: all.length / BASE_DIGITS }, (_, index) =>
    Number(all.slice(index * BASE_DIGITS, (index + 1) * BASE_DIGITS)),
  )
  const first = groups.findIndex((group) => group !== 0)
  if (first < 0) {
    writeHeader(out, 0, 0, 0, right.length)
    return
  }
  const last = groups.findLastIndex((group) => group !== 0)
  writeHeader(out, last - first + 1, wholeGroups - 1 - first, negative ? NEGATIVE : 0, right.length)
  for (let index = first; index <= last; index++) out.int16(groups[index] ?? 0)
}

function writeHeader(out: ByteWriter, count: number, weight: number, sign: number, scale: number): void {
  out.int16(count)
  out.int16(weight)
  out.int16(sign)
  out.int16(scale)
}

/** As a decimal string that keeps the scale: `1.50`; also `NaN`, `Infinity`, `-Infinity`. */
export const numeric = {
  ...textual('numeric', decode, encode),
  encode: (value: unknown, out: ByteWriter): void => encode(typeof value === 'string' ? value : toText(value), out),
}

function toText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return unfit('numeric', 'a decimal string, a number or a bigint', value)
}

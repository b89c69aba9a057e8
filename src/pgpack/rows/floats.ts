import { type Codec, checkLength, unfit } from './codec.ts'

/** Above it, neighbouring doubles are more than one apart and a short decimal can lie exactly between two. */
const EXACT_INTEGERS = 2 ** 53
/** Decimal exponents from which PostgreSQL prints `1e+15` for float8 and `1e+06` for float4 (Ryu in src/common). */
const FLOAT8_EXPONENT = 15
const FLOAT4_EXPONENT = 6
const SMALL_EXPONENT = -4

function place(exponential: string, largeExponent: number): string {
  const [, sign = '', first = '', rest = '', exponentText] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(exponential) ?? []
  const exponent = Number(exponentText)
  if (exponent < SMALL_EXPONENT || exponent >= largeExponent) {
    const power = String(Math.abs(exponent)).padStart(2, '0')
    return `${sign}${first}${rest === '' ? '' : `.${rest}`}e${exponent < 0 ? '-' : '+'}${power}`
  }
  const digits = first + rest
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  const fraction = digits.slice(exponent + 1)
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

function special(value: number): string | undefined {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value < 0 ? '-Infinity' : 'Infinity'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  return undefined
}

/** As float8out prints it: the shortest decimal that is nearer to this number than to any other. */
export function formatFloat8(value: number): string {
  return special(value) ?? place(shortestFloat8(value), FLOAT8_EXPONENT)
}

/** JavaScript also takes a decimal exactly between two doubles when it rounds to this one; PostgreSQL does not. */
function shortestFloat8(value: number): string {
  const shortest = value.toExponential()
  if (Math.abs(value) < EXACT_INTEGERS || !liesBetween(shortest, value)) return shortest
  for (let digits = shortest.replace(/e.*/, '').replace(/\D/g, '').length; digits < 17; digits++) {
    const longer = value.toExponential(digits)
    if (Number(longer) === value && !liesBetween(longer, value)) return longer
  }
  return value.toExponential(16)
}

function liesBetween(exponential: string, value: number): boolean {
  const [, first = '', rest = '', exponent] = /^-?(\d)(?:\.(\d+))?e\+(\d+)$/.exec(exponential) ?? []
  const scale = Number(exponent) - rest.length
  if (!(scale >= 0)) return false
  const exact = BigInt(Math.abs(value))
  const decimal = BigInt(first + rest) * 10n ** BigInt(scale)
  if (decimal === exact) return false
  const neighbour = neighbourOf(Math.abs(value), decimal > exact)
  return Number.isFinite(neighbour) && decimal * 2n === exact + BigInt(neighbour)
}

/** The next double above or below a positive one. */
function neighbourOf(value: number, above: boolean): number {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  view.setBigInt64(0, view.getBigInt64(0) + (above ? 1n : -1n))
  return view.getFloat64(0)
}

/** As float4out prints it. */
export function formatFloat4(value: number): string {
  return special(value) ?? place(shortestFloat4(value), FLOAT4_EXPONENT)
}

function shortestFloat4(value: number): string {
  for (let digits = 0; digits < 8; digits++) {
    const nearest = toExponentialEven(value, digits)
    if (isFloat4(nearest, value)) return nearest
    // At a power of two the next float is nearer below than above: a decimal above may do where the nearest does not.
    const above = nextDecimal(nearest, digits)
    if (isFloat4(above, value)) return above
  }
  return value.toExponential(8)
}

function isFloat4(exponential: string, value: number): boolean {
  const decimal = Number(exponential)
  return Math.fround(decimal) === value && !isMidpoint(decimal)
}

/** The next decimal of as many digits, away from zero. */
function nextDecimal(exponential: string, digits: number): string {
  const [mantissa = '', exponent = ''] = exponential.split('e')
  const next = Math.abs(Number(mantissa.replace('.', ''))) + 1
  return Number(`${mantissa.startsWith('-') ? '-' : ''}${next}e${Number(exponent) - digits}`).toExponential(digits)
}

/** Of two decimals that are equally near, PostgreSQL prints the even one, and toExponential the larger one. */
function toExponentialEven(value: number, digits: number): string {
  const rounded = value.toExponential(digits)
  const exact = value.toExponential(digits + 1)
  if (!exact.includes('5e') || Number(exact) !== value) return rounded
  return rounded.replace(/[13579]e/, (odd) => `${Number(odd[0]) - 1}e`)
}

/** Half way between two floats: the 29 bits that a double has more are 1 followed by zeros. */
function isMidpoint(value: number): boolean {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return (view.getBigUint64(0) & 0x1fffffffn) === 0x10000000n
}

const WORDS: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  inf: Number.POSITIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
}

export function parseFloat8(text: string, type = 'float8'): number {
  const trimmed = text.trim()
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return Number(trimmed)
  return WORDS[trimmed.toLowerCase()] ?? unfit(type, 'a number', text)
}

function checkNumber(type: string, value: unknown): number {
  return typeof value === 'number' ? value : unfit(type, 'a number', value)
}

const jsonNumber = (value: number, text: string): string =>
  Number.isFinite(value) && !Object.is(value, -0) ? text : `"${text}"`

export const float8: Codec<number> = {
  name: 'float8',
  decode(source, start, end) {
    checkLength(start, end, 8)
    return source.view.getFloat64(start)
  },
  encode: (value, out) => out.float64(checkNumber('float8', value)),
  format: formatFloat8,
  parse: parseFloat8,
  toJSON: (value) => jsonNumber(value, formatFloat8(value)),
}

export const float4: Codec<number> = {
  name: 'float4',
  decode(source, start, end) {
    checkLength(start, end, 4)
    return source.view.getFloat32(start)
  },
  encode: (value, out) => out.float32(checkNumber('float4', value)),
  format: formatFloat4,
  parse: (text) => Math.fround(parseFloat8(text, 'float4')),
  toJSON: (value) => jsonNumber(value, formatFloat4(value)),
}

import type { Bytes, ByteWriter } from './bytes.ts'
import { type Codec, checkLength, malformed, parseString, unfit } from './codec.ts'

export const bool: Codec<boolean> = {
  name: 'bool',
  decode(source, start, end) {
    checkLength(start, end, 1)
    return source.view.getUint8(start) !== 0
  },
  encode: (value, out) => out.uint8(typeof value === 'boolean' ? Number(value) : unfit('bool', 'true or false', value)),
  format: (value) => (value ? 't' : 'f'),
  parse(text) {
    const word = text.trim().toLowerCase()
    if (['t', 'true', 'y', 'yes', 'on', '1'].includes(word)) return true
    if (['f', 'false', 'n', 'no', 'off', '0'].includes(word)) return false
    return unfit('bool', 'true or false', text)
  },
  toJSON: String,
}

interface IntegerForm {
  readonly bytes: 2 | 4
  readonly min: number
  readonly max: number
  readonly read: (source: Bytes, at: number) => number
}

function integer(name: string, { bytes, min, max, read }: IntegerForm): Codec<number> {
  const fits = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) >= min && Number(value) <= max
  const expected = `a whole number from ${min} to ${max}`
  return {
    name,
    decode(source, start, end) {
      if (end - start !== bytes) malformed(start, `${bytes} bytes`, `${end - start} bytes`)
      return read(source, start)
    },
    encode(value, out) {
      const number = typeof value === 'bigint' ? Number(value) : value
      if (!fits(number)) unfit(name, expected, value)
      else if (bytes === 2) out.int16(number)
      else out.int32(number)
    },
    format: String,
    parse(text) {
      const value = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : Number.NaN
      return fits(value) ? value : unfit(name, expected, text)
    },
    toJSON: String,
  }
}

const unsigned = {
  bytes: 4,
  min: 0,
  max: 0xffffffff,
  read: (source: Bytes, at: number) => source.view.getUint32(at),
} as const

export const int2 = integer('int2', {
  bytes: 2,
  min: -0x8000,
  max: 0x7fff,
  read: (source, at) => source.view.getInt16(at),
})
export const int4 = integer('int4', {
  bytes: 4,
  min: -0x80000000,
  max: 0x7fffffff,
  read: (source, at) => source.view.getInt32(at),
})

/** oid, xid, cid: unsigned. */
export function oidLike(name: string): Codec<number> {
  return integer(name, unsigned)
}

/** regclass and its like: the OID, because the name that PostgreSQL prints stands in its catalog only; `-` is 0. */
export function regLike(name: string): Codec<number> {
  const codec = integer(name, unsigned)
  return {
    ...codec,
    format: (value) => (value === 0 ? '-' : String(value)),
    parse: (text) => (text.trim() === '-' ? 0 : codec.parse(text)),
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

interface BigForm {
  readonly min: bigint
  readonly max: bigint
  readonly read: (source: Bytes, at: number) => bigint
}

function bigInteger(name: string, { min, max, read }: BigForm): Codec<bigint> {
  const expected = `a whole number from ${min} to ${max}`
  const check = (value: bigint, given: unknown) => (value >= min && value <= max ? value : unfit(name, expected, given))
  return {
    name,
    decode(source, start, end) {
      if (end - start !== 8) malformed(start, '8 bytes', `${end - start} bytes`)
      return read(source, start)
    },
    encode: (value, out) => writeBig(check(toBigInt(name, expected, value), value), out),
    format: String,
    parse: (text) => (/^\s*[+-]?\d+\s*$/.test(text) ? check(parseBig(text), text) : unfit(name, expected, text)),
    // A JSON number where every reader takes it for what it is, else a string.
    toJSON: (value) => (value <= MAX_SAFE && value >= -MAX_SAFE ? String(value) : `"${value}"`),
    fromJSON(json) {
      return this.parse(json.startsWith('"') ? parseString(json) : json)
    },
  }
}

function parseBig(text: string): bigint {
  const digits = text.trim()
  return digits.startsWith('+') ? BigInt(digits.slice(1)) : BigInt(digits)
}

function toBigInt(name: string, expected: string, value: unknown): bigint {
  if (typeof value === 'bigint') return value
  return Number.isSafeInteger(value) ? BigInt(Number(value)) : unfit(name, expected, value)
}

function writeBig(value: bigint, out: ByteWriter): void {
  out.int64(BigInt.asIntN(64, value))
}

export const int8 = bigInteger('int8', {
  min: -(2n ** 63n),
  max: 2n ** 63n - 1n,
  read: (source, at) => source.view.getBigInt64(at),
})
export const xid8 = bigInteger('xid8', {
  min: 0n,
  max: 2n ** 64n - 1n,
  read: (source, at) => source.view.getBigUint64(at),
})

/**
 * In hundredths, whatever currency the server's lc_monetary names (nothing in the bytes tells). The text is that of
 * lc_monetary C: `-$1,234.56`.
 */
export const money: Codec<bigint> = {
  name: 'money',
  decode: int8.decode,
  encode: (value, out) => int8.encode(value, out),
  format(value) {
    const digits = String(value < 0n ? -value : value).padStart(3, '0')
    const whole = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ',')
    return `${value < 0n ? '-' : ''}$${whole}.${digits.slice(-2)}`
  },
  parse(text) {
    const [, sign, whole, fraction = ''] = /^\s*(-?)\$?(\d[\d,]*)(?:\.(\d{1,2}))?\s*$/.exec(text) ?? []
    if (whole === undefined) return unfit('money', 'an amount like -$1,234.56', text)
    const cents = BigInt(whole.replaceAll(',', '') + fraction.padEnd(2, '0'))
    return sign === '-' ? -cents : cents
  },
}

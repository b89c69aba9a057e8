import type { Bytes } from './bytes.ts'
import {
  MICROS_PER_DAY,
  MICROS_PER_SECOND,
  type PrintedDate,
  parseDay,
  parseOffset,
  parseTime,
  printDay,
  printOffset,
  printTime,
} from './calendar.ts'
import { type Codec, checkLength, malformed, textual, unfit } from './codec.ts'

const DAY_INFINITY = 0x7fffffff
const DAY_MINUS_INFINITY = -0x80000000
/** 4714-11-24 BC, Julian day 0, and the day after 5874897-12-31: datetime.h. */
const FIRST_DAY = -2_451_545
const LAST_DAY = 2_147_483_493 - 2_451_545

/** `2024-02-29`, `0044-03-15 BC`, `infinity`, `-infinity`. */
export const date: Codec<string> = textual(
  'date',
  (source, start, end) => {
    checkLength(start, end, 4)
    const day = source.view.getInt32(start)
    if (day === DAY_INFINITY) return 'infinity'
    if (day === DAY_MINUS_INFINITY) return '-infinity'
    if (day < FIRST_DAY || day > LAST_DAY) malformed(start, 'a day of the calendar', `day ${day}`)
    const { text, era } = printDay(day)
    return text + era
  },
  (text, out) => out.int32(parseDate(text)),
)

function parseDate(text: string): number {
  const word = text.trim().toLowerCase()
  if (word === 'infinity') return DAY_INFINITY
  if (word === '-infinity') return DAY_MINUS_INFINITY
  const bc = word.endsWith(' bc')
  const day = parseDay('date', bc ? word.slice(0, -3).trim() : word, bc)
  return day >= FIRST_DAY && day <= LAST_DAY ? day : unfit('date', 'a day that PostgreSQL has', text)
}

/** Microseconds since midnight, as PostgreSQL has them; a number is exact. */
function readTime(source: Bytes, start: number): number {
  const micros = Number(source.view.getBigInt64(start))
  return micros >= 0 && micros <= MICROS_PER_DAY ? micros : malformed(start, 'a time of the day', `${micros} µs`)
}

export const time: Codec<string> = textual(
  'time',
  (source, start, end) => {
    checkLength(start, end, 8)
    return printTime(readTime(source, start))
  },
  (text, out) => out.int64(BigInt(parseTime('time', text.trim()))),
)

/** The bytes hold seconds west of Greenwich, the text hours east. */
export const timetz: Codec<string> = textual(
  'timetz',
  (source, start, end) => {
    checkLength(start, end, 12)
    const west = source.view.getInt32(start + 8)
    if (Math.abs(west) >= 16 * 3600) malformed(start + 8, 'an offset below 16 hours', `${west} s`)
    return printTime(readTime(source, start)) + printOffset(-west)
  },
  (text, out) => {
    const [, clock = '', offset = 'none'] = /^\s*([\d:.]+)\s*([+-][\d:]+|z|utc)\s*$/i.exec(text) ?? []
    out.int64(BigInt(parseTime('timetz', clock)))
    out.int32(-parseOffset('timetz', offset))
  },
)

const TIME_INFINITY = 2n ** 63n - 1n
const TIME_MINUS_INFINITY = -(2n ** 63n)
/** The range of timestamps: 4714-11-24 BC up to 294276-12-31 23:59:59.999999. */
const FIRST_MICROS = BigInt(FIRST_DAY) * BigInt(MICROS_PER_DAY)
const END_MICROS = 9_223_371_331_200_000_000n
/** Up to this high half (285 years around 2000) the number of microseconds is exact in a double. */
const EXACT_HIGH = 1 << 20
const HIGH = 0x100000000

let lastDay = Number.NaN
let lastPrinted: PrintedDate = { text: '', era: '' }

/** Timestamps of neighbouring rows are often of one day. */
function printCachedDay(day: number): PrintedDate {
  if (day !== lastDay) {
    lastPrinted = printDay(day)
    lastDay = day
  }
  return lastPrinted
}

function printMicros(day: number, micros: number, zone: string): string {
  const { text, era } = printCachedDay(day)
  return `${text} ${printTime(micros)}${zone}${era}`
}

function decodeTimestamp(source: Bytes, start: number, end: number, zone: string): string {
  if (end - start !== 8) malformed(start, '8 bytes', `${end - start} bytes`)
  const high = source.view.getInt32(start)
  if (high >= -EXACT_HIGH && high < EXACT_HIGH) {
    const micros = high * HIGH + source.view.getUint32(start + 4)
    const day = Math.floor(micros / MICROS_PER_DAY)
    return printMicros(day, micros - day * MICROS_PER_DAY, zone)
  }
  return decodeDistant(source, start, zone)
}

function decodeDistant({ view }: Bytes, start: number, zone: string): string {
  const micros = view.getBigInt64(start)
  if (micros === TIME_INFINITY) return 'infinity'
  if (micros === TIME_MINUS_INFINITY) return '-infinity'
  if (micros < FIRST_MICROS || micros >= END_MICROS) malformed(start, 'a time of the calendar', `${micros} µs`)
  const perDay = BigInt(MICROS_PER_DAY)
  const ofDay = ((micros % perDay) + perDay) % perDay
  return printMicros(Number((micros - ofDay) / perDay), Number(ofDay), zone)
}

const TIMESTAMP = /^\s*(\d{4,7}-\d{1,2}-\d{1,2})(?:[ t]+([\d:.]+))?\s*([+-]\d[\d:]*|z|utc)?( bc)?\s*$/i

/** Days from the epoch whose microseconds are exact in a double: 285 years. */
const EXACT_DAYS = 104_000
let lastText = ''
let lastNumber = 0

/** As for printing: the next row is often of the same day. */
function parseCachedDay(type: string, text: string, bc: boolean): number {
  if (bc) return parseDay(type, text, bc)
  if (text !== lastText) {
    lastNumber = parseDay(type, text, bc)
    lastText = text
  }
  return lastNumber
}

/** @param zoned without it an offset is refused: PostgreSQL would ignore it without a word */
function parseTimestamp(type: string, text: string, zoned: boolean): bigint {
  const [, day = '', clock = '00:00', offset, bc] = TIMESTAMP.exec(text) ?? []
  if (day === '') return parseInfinity(type, text, zoned)
  if ((offset !== undefined) !== zoned) unfitTimestamp(type, text, zoned)
  const days = parseCachedDay(type, day, bc !== undefined)
  const seconds = offset === undefined || offset === '+00' ? 0 : parseOffset(type, offset)
  const ofDay = parseTime(type, clock) - seconds * MICROS_PER_SECOND
  if (days > -EXACT_DAYS && days < EXACT_DAYS) return BigInt(days * MICROS_PER_DAY + ofDay)
  const micros = BigInt(days) * BigInt(MICROS_PER_DAY) + BigInt(ofDay)
  return micros >= FIRST_MICROS && micros < END_MICROS ? micros : unfit(type, 'a time that PostgreSQL has', text)
}

function parseInfinity(type: string, text: string, zoned: boolean): bigint {
  const word = text.trim().toLowerCase()
  if (word === 'infinity') return TIME_INFINITY
  return word === '-infinity' ? TIME_MINUS_INFINITY : unfitTimestamp(type, text, zoned)
}

function unfitTimestamp(type: string, text: string, zoned: boolean): never {
  return unfit(type, `a time like 2024-02-29 04:05:06.789${zoned ? '+00' : ', without an offset'}`, text)
}

/** `2024-02-29 04:05:06.789`, `0044-03-15 00:00:00 BC`, `infinity`, `-infinity`. */
export const timestamp: Codec<string> = textual(
  'timestamp',
  (source, start, end) => decodeTimestamp(source, start, end, ''),
  (text, out) => out.int64(parseTimestamp('timestamp', text, false)),
)

/** As timestamp, in UTC with `+00` behind it; other offsets are taken when it is read. */
export const timestamptz: Codec<string> = textual(
  'timestamptz',
  (source, start, end) => decodeTimestamp(source, start, end, '+00'),
  (text, out) => out.int64(parseTimestamp('timestamptz', text, true)),
)

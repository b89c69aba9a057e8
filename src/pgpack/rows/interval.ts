import { printFraction } from './calendar.ts'
import { type Codec, checkLength, unfit } from './codec.ts'

/** What PostgreSQL keeps of an interval: three fields, none of which is carried into another. */
export interface Interval {
  readonly months: number
  readonly days: number
  readonly microseconds: bigint
}

const INT32_MAX = 0x7fffffff
const INT64_MAX = 2n ** 63n - 1n
/** PostgreSQL 17 and later: all fields at their limit. */
export const INTERVAL_INFINITY: Interval = { months: INT32_MAX, days: INT32_MAX, microseconds: INT64_MAX }
export const INTERVAL_MINUS_INFINITY: Interval = {
  months: -INT32_MAX - 1,
  days: -INT32_MAX - 1,
  microseconds: -INT64_MAX - 1n,
}

function same(left: Interval, right: Interval): boolean {
  return left.months === right.months && left.days === right.days && left.microseconds === right.microseconds
}

/** `1 year 2 mons -3 days +04:05:06.789`: EncodeInterval of datetime.c, style postgres. */
function format(value: Interval): string {
  if (same(value, INTERVAL_INFINITY)) return 'infinity'
  if (same(value, INTERVAL_MINUS_INFINITY)) return '-infinity'
  let text = ''
  let before = false
  const units = [
    ['year', Math.trunc(value.months / 12)],
    ['mon', value.months % 12],
    ['day', value.days],
  ] as const
  for (const [unit, count] of units) {
    if (count === 0) continue
    text += `${text === '' ? '' : ' '}${before && count > 0 ? '+' : ''}${count} ${unit}${count === 1 ? '' : 's'}`
    before = count < 0
  }
  if (text !== '' && value.microseconds === 0n) return text
  const sign = value.microseconds < 0n ? '-' : before ? '+' : ''
  return `${text}${text === '' ? '' : ' '}${sign}${formatClock(value.microseconds)}`
}

function formatClock(microseconds: bigint): string {
  const distance = microseconds < 0n ? -microseconds : microseconds
  const fraction = Number(distance % 1_000_000n)
  const seconds = distance / 1_000_000n
  const clock = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map((part) => String(part).padStart(2, '0'))
  return clock.join(':') + (fraction === 0 ? '' : printFraction(fraction))
}

/** No interval is longer; the pattern would take long for a text of white space. */
const MAX_LENGTH = 100
const INTERVAL =
  /^(?:([+-]?\d+) years?)?\s*(?:([+-]?\d+) mons?)?\s*(?:([+-]?\d+) days?)?\s*(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$/

function parse(text: string): Interval {
  const word = text.trim().toLowerCase()
  if (word === 'infinity') return INTERVAL_INFINITY
  if (word === '-infinity') return INTERVAL_MINUS_INFINITY
  const expected = 'an interval like 1 year 2 mons -3 days +04:05:06.789'
  const found = word === '' || word.length > MAX_LENGTH ? null : INTERVAL.exec(word)
  const [, years = '0', months = '0', days = '0', sign, hours = '0', minutes = '0', seconds = '0', fraction = ''] =
    found ?? unfit('interval', expected, text)
  const clock = BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds)
  const distance = clock * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
  return {
    months: Number(years) * 12 + Number(months),
    days: Number(days),
    microseconds: sign === '-' ? -distance : distance,
  }
}

function isInt32(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) === (Number(value) | 0)
}

function isInterval(value: unknown): value is Interval {
  if (typeof value !== 'object' || value === null) return false
  const { months, days, microseconds }: Partial<Record<keyof Interval, unknown>> = value
  return (
    isInt32(months) &&
    isInt32(days) &&
    typeof microseconds === 'bigint' &&
    BigInt.asIntN(64, microseconds) === microseconds
  )
}

export const interval: Codec<Interval> = {
  name: 'interval',
  decode(source, start, end) {
    checkLength(start, end, 16)
    const { view } = source
    return { months: view.getInt32(start + 12), days: view.getInt32(start + 8), microseconds: view.getBigInt64(start) }
  },
  encode(value, out) {
    if (!isInterval(value)) unfit('interval', '{ months, days, microseconds: bigint }', value)
    out.int64(value.microseconds)
    out.int32(value.days)
    out.int32(value.months)
  },
  format,
  parse,
}

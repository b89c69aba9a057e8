import { unfit } from './codec.ts'

/** Days of the proleptic Gregorian calendar; day 0 is 2000-01-01, PostgreSQL's epoch. */
const DAYS_PER_ERA = 146_097
const YEARS_PER_ERA = 400
/** From 0000-03-01, where the algorithm's eras start, to 2000-01-01. */
const EPOCH_SHIFT = 730_425

const TWO_DIGITS = Array.from({ length: 100 }, (_, value) => String(value).padStart(2, '0'))

export function twoDigits(value: number): string {
  return TWO_DIGITS[value] ?? String(value)
}

export interface PrintedDate {
  /** `2024-02-29`; years have four digits or more. */
  readonly text: string
  /** ` BC`, which stands behind a time where there is one; '' otherwise. */
  readonly era: string
}

/** Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
export function printDay(day: number): PrintedDate {
  const shifted = day + EPOCH_SHIFT
  const era = Math.floor(shifted / DAYS_PER_ERA)
  const dayOfEra = shifted - era * DAYS_PER_ERA
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const dayOfMonth = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const year = yearOfEra + era * YEARS_PER_ERA + (month <= 2 ? 1 : 0)
  const shown = year > 0 ? year : 1 - year
  return {
    text: `${String(shown).padStart(4, '0')}-${twoDigits(month)}-${twoDigits(dayOfMonth)}`,
    era: year > 0 ? '' : ' BC',
  }
}

/** The day of `2024-02-29`, with `bc` of the years before 1. @throws PgpackError PGPACK_VALUE for a day that is none */
export function parseDay(type: string, text: string, bc: boolean): number {
  const [, yearText, monthText, dayText] = /^(\d{4,7})-(\d{1,2})-(\d{1,2})$/.exec(text) ?? []
  const month = Number(monthText)
  const dayOfMonth = Number(dayText)
  if (!(month >= 1 && month <= 12 && dayOfMonth >= 1)) return unfit(type, 'a date like 2024-02-29', text)
  const year = bc ? 1 - Number(yearText) : Number(yearText)
  const day = daysFromCivil(year, month, dayOfMonth)
  const next = month === 12 ? daysFromCivil(year + 1, 1, 1) : daysFromCivil(year, month + 1, 1)
  return day < next && Number(yearText) > 0 ? day : unfit(type, 'a day of the calendar', text)
}

function daysFromCivil(civilYear: number, month: number, dayOfMonth: number): number {
  const year = month <= 2 ? civilYear - 1 : civilYear
  const era = Math.floor(year / YEARS_PER_ERA)
  const yearOfEra = year - era * YEARS_PER_ERA
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + dayOfMonth - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * DAYS_PER_ERA + dayOfEra - EPOCH_SHIFT
}

export const MICROS_PER_SECOND = 1_000_000
export const MICROS_PER_DAY = 86_400 * MICROS_PER_SECOND

const MINUTES = Array.from(
  { length: 1441 },
  (_, minute) => `${twoDigits(Math.floor(minute / 60))}:${twoDigits(minute % 60)}:`,
)

/** `04:05:06.789` of microseconds since midnight; 24:00:00 is the last. */
export function printTime(micros: number): string {
  const seconds = Math.floor(micros / MICROS_PER_SECOND)
  const minute = Math.floor(seconds / 60)
  const fraction = micros - seconds * MICROS_PER_SECOND
  const text = (MINUTES[minute] ?? '') + twoDigits(seconds - minute * 60)
  return fraction === 0 ? text : text + printFraction(fraction)
}

/** `.789`: six digits without the zeros at their end. */
export function printFraction(micros: number): string {
  const digits = String(MICROS_PER_SECOND + micros)
  let end = digits.length
  while (digits.charCodeAt(end - 1) === 48) end--
  return `.${digits.slice(1, end)}`
}

const CLOCK = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/

/** Microseconds of `04:05:06.789`. @throws PgpackError PGPACK_VALUE */
export function parseTime(type: string, text: string): number {
  const [, hour, minute, second = '0', fraction] = CLOCK.exec(text) ?? []
  const whole = (Number(hour) * 3600 + Number(minute) * 60 + Number(second)) * MICROS_PER_SECOND
  const micros = fraction === undefined ? whole : whole + Number(fraction.padEnd(6, '0'))
  const fits = Number(minute) < 60 && Number(second) <= 60 && micros <= MICROS_PER_DAY
  return fits ? micros : unfit(type, 'a time like 04:05:06.789', text)
}

/** `+05:30` of seconds east of Greenwich. */
export function printOffset(seconds: number): string {
  const distance = Math.abs(seconds)
  const minutes = Math.floor(distance / 60) % 60
  const rest = distance % 60
  const hours = `${seconds < 0 ? '-' : '+'}${twoDigits(Math.floor(distance / 3600))}`
  if (rest !== 0) return `${hours}:${twoDigits(minutes)}:${twoDigits(rest)}`
  return minutes === 0 ? hours : `${hours}:${twoDigits(minutes)}`
}

/** Seconds east of Greenwich of `+05:30`, `+0530`, `Z`. @throws PgpackError PGPACK_VALUE */
export function parseOffset(type: string, text: string): number {
  if (/^(z|utc)$/i.test(text)) return 0
  const [, sign, hours, minutes = '0', seconds = '0'] = /^([+-])(\d{1,2})(?::?(\d{2})(?::?(\d{2}))?)?$/.exec(text) ?? []
  const distance = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  // MAX_TZDISP_HOUR: PostgreSQL takes less than 16 hours.
  if (!(distance < 16 * 3600)) return unfit(type, 'an offset like +05:30', text)
  return sign === '-' ? -distance : distance
}

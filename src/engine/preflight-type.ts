import type { ColumnInfo } from '../postgres/types.ts'

/** A column of the file as far as its origin tells: a manifest knows the type's name and modifier, a bare file does not. */
export interface SourceColumn {
  readonly name: string
  readonly typeOid: number
  readonly typeName?: string
  readonly typmod?: number
}

type TypedColumn = Pick<ColumnInfo, 'typeOid' | 'typeName' | 'typmod'>

/** Below it an OID means the same type on every server (access/transam.h, FirstNormalObjectId). */
const FIRST_USER_OID = 16_384
const NO_TYPMOD = -1
/** VARHDRSZ, which typmods of character and numeric types carry on top. */
const TYPMOD_OFFSET = 4

const TYPE = { bpchar: 1042, varchar: 1043, text: 25, bit: 1560, varbit: 1562, numeric: 1700, interval: 1186 } as const
const TIME_TYPES = new Set([1083, 1114, 1184, 1266])
/** time, timestamp and their zoned kin keep microseconds when nothing is declared. */
const FULL_TIME_PRECISION = 6

/** Arrays of types with modifiers: array_recv hands the column's modifier on to each element. */
const ELEMENTS: Readonly<Record<number, number>> = {
  1014: TYPE.bpchar,
  1015: TYPE.varchar,
  1115: 1114,
  1183: 1083,
  1185: 1184,
  1187: TYPE.interval,
  1231: TYPE.numeric,
  1270: 1266,
  1561: TYPE.bit,
  1563: TYPE.varbit,
}

/** User-defined types have other OIDs on other servers, so their names are compared; a bare file has no names to compare. */
export function sameType(source: Omit<SourceColumn, 'name'>, target: Omit<TypedColumn, 'typmod'>): boolean {
  if (source.typeOid < FIRST_USER_OID || target.typeOid < FIRST_USER_OID) {
    return source.typeOid === target.typeOid || (isText(source.typeOid) && isText(target.typeOid))
  }
  return source.typeName === undefined || source.typeName === target.typeName
}

/** varchar and text have one binary form. */
function isText(oid: number): boolean {
  return oid === TYPE.text || oid === TYPE.varchar
}

/** The server cuts or rounds numeric and time values to the target's modifier without a word, and refuses longer text. */
export function modifierFits({ typmod }: SourceColumn, target: TypedColumn): boolean {
  if (typmod === undefined || target.typmod === NO_TYPMOD || typmod === target.typmod) return true
  const typeOid = ELEMENTS[target.typeOid] ?? target.typeOid
  if (TIME_TYPES.has(typeOid)) return precisionOf(typmod) <= target.typmod
  if (typeOid === TYPE.interval) return intervalFits(typmod, target.typmod)
  if (typmod === NO_TYPMOD) return false
  switch (typeOid) {
    case TYPE.bpchar:
    case TYPE.varchar:
    case TYPE.varbit:
      return typmod <= target.typmod
    case TYPE.numeric:
      return numericFits(numericModifier(typmod), numericModifier(target.typmod))
    default:
      // bit(n) takes n bits and no others; of an extension's type nothing is known.
      return false
  }
}

function precisionOf(typmod: number): number {
  return typmod === NO_TYPMOD ? FULL_TIME_PRECISION : typmod
}

interface NumericModifier {
  readonly precision: number
  readonly scale: number
}

/** numeric's typmod: precision in the high half, scale as 11 bits of two's complement (utils/adt/numeric.c). */
function numericModifier(typmod: number): NumericModifier {
  const packed = typmod - TYPMOD_OFFSET
  return { precision: packed >> 16, scale: ((packed & 0x7ff) ^ 1024) - 1024 }
}

function numericFits(from: NumericModifier, to: NumericModifier): boolean {
  return to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale
}

/** Bits of an interval's fields, from years to seconds (utils/datetime.h: YEAR 2, MONTH 1, DAY 3, HOUR 10 …). */
const INTERVAL_FIELDS = [1 << 2, 1 << 1, 1 << 3, 1 << 10, 1 << 11, 1 << 12]
const PRECISION_MASK = 0xffff
const FULL_PRECISION = 0xffff

/** interval's typmod: fields in the high half, digits of a second in the low one. What is below the last field is cut off. */
function intervalFits(source: number, target: number): boolean {
  const from = intervalModifier(source)
  const to = intervalModifier(target)
  return from.last < to.last || (from.last === to.last && from.precision <= to.precision)
}

function intervalModifier(typmod: number): { readonly last: number; readonly precision: number } {
  const seconds = INTERVAL_FIELDS.length - 1
  if (typmod === NO_TYPMOD) return { last: seconds, precision: FULL_TIME_PRECISION }
  const fields = typmod >> 16
  const last = INTERVAL_FIELDS.findLastIndex((bit) => (fields & bit) !== 0)
  const precision = typmod & PRECISION_MASK
  const digits = precision === FULL_PRECISION ? FULL_TIME_PRECISION : precision
  return { last, precision: last === seconds ? digits : 0 }
}

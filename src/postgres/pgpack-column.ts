import type { ColumnInfo } from './types.ts'

const NUMERIC_OID = 1700
const NO_TYPMOD = -1
/** VARHDRSZ, which typmods of character types and numeric carry on top; the format takes it off all types alike. */
const TYPMOD_OFFSET = 4
/** What the format writes for a numeric without precision. */
const UNDECLARED_PRECISION = 10

/**
 * A column as PGPack's metadata describe it. The odd numbers are the format's own, as the released reference writes
 * them: a numeric's scale is taken without its sign, and every type's modifier less four passes for a length.
 */
export function pgpackColumn(column: ColumnInfo): {
  name: string
  oid: number
  length: number
  scale: number
  nested: number
} {
  const { name, typeOid: oid, dimensions: nested } = column
  return { name, oid, ...lengthAndScale(column), nested }
}

function lengthAndScale({ typeOid, typmod, typeLength }: ColumnInfo): { length: number; scale: number } {
  const modifier = typmod - TYPMOD_OFFSET
  if (typeOid === NUMERIC_OID) {
    if (typmod === NO_TYPMOD) return { length: UNDECLARED_PRECISION, scale: 0 }
    return { length: (modifier >> 16) & 0xffff, scale: modifier & 0xffff }
  }
  return { length: typmod === NO_TYPMOD ? typeLength : modifier, scale: 0 }
}

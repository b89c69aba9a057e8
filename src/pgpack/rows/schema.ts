import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { parseColumnType } from './column-spec.ts'
import type { Circle, Line, Path, Point, Polygon, TwoPoints } from './geometry.ts'
import type { Interval } from './interval.ts'
import type { Multirange, Range } from './range.ts'

/** JavaScript's type for each of PostgreSQL's, by pg_type.typname; what is not here is text. */
export interface ValueTypes {
  bool: boolean
  int2: number
  int4: number
  int8: bigint
  oid: number
  xid: number
  cid: number
  xid8: bigint
  money: bigint
  float4: number
  float8: number
  bytea: Uint8Array
  interval: Interval
  point: Point
  line: Line
  lseg: TwoPoints
  box: TwoPoints
  path: Path
  polygon: Polygon
  circle: Circle
  int4range: Range<number>
  int8range: Range<bigint>
  numrange: Range<string>
  tsrange: Range<string>
  tstzrange: Range<string>
  daterange: Range<string>
  int4multirange: Multirange<number>
  int8multirange: Multirange<bigint>
  nummultirange: Multirange<string>
  tsmultirange: Multirange<string>
  tstzmultirange: Multirange<string>
  datemultirange: Multirange<string>
}

/** The names in ValueTypes, those of text, and arrays of both. A modifier may stand behind: `numeric(8,2)`. */
export type ValueOf<Name extends string> = Name extends `${infer Element}[]`
  ? readonly (ValueOf<Element> | null)[]
  : Name extends keyof ValueTypes
    ? ValueTypes[Name]
    : string

/** Column names and their types, as a program expects them. */
export type Shape = Readonly<Record<string, string>>
export type RowOf<S extends Shape> = { -readonly [Name in keyof S]: ValueOf<S[Name]> | null }

/**
 * Columns for a writer, in the order of the shape's keys.
 * @throws PgpackError CONFIG_INVALID for a type that is not built in
 */
export function columnsOf(shape: Shape): PGPackColumn[] {
  return Object.entries(shape).map(([name, type]) => ({ name, ...parseColumnType(type) }))
}

/**
 * Compares a file's columns with what a program expects of them: the same names and types in any order. Modifiers (the
 * length of a varchar) may differ.
 * @throws PgpackError TARGET_MISMATCH that names the first column that differs
 */
export function checkShape(columns: readonly PGPackColumn[], shape: Shape): void {
  for (const expected of columnsOf(shape)) {
    const found = columns.find((column) => column.name === expected.name)
    if (found?.oid === expected.oid) continue
    const what = found === undefined ? 'no such column' : `type OID ${found.oid}`
    throw new PgpackError(
      'TARGET_MISMATCH',
      `column ${JSON.stringify(expected.name)}: the file has ${what}, expected ${shape[expected.name]} (type OID ${expected.oid})`,
      { expected: `type OID ${expected.oid}`, found: what },
    )
  }
}

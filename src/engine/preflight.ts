import { PgpackError } from '../errors.ts'
import type { ColumnInfo, RelationInfo } from '../postgres/types.ts'

/** A column of the file as far as its origin tells: a manifest knows the type's name and modifier, a bare file does not. */
export interface SourceColumn {
  readonly name: string
  readonly typeOid: number
  readonly typeName?: string
  readonly typmod?: number
}

/** Below it an OID means the same type on every server (access/transam.h, FirstNormalObjectId). */
const FIRST_USER_OID = 16_384
/** From PostgreSQL 14 on, array_recv and record_recv take the OID of a user's type for what the table declares. */
const USER_OIDS_TAKEN_VERSION = 140_000
const NO_TYPMOD = -1
/** VARHDRSZ, which typmods of character and numeric types carry on top. */
const TYPMOD_OFFSET = 4

const TYPE = { bpchar: 1042, varchar: 1043, text: 25, varbit: 1562, numeric: 1700 } as const
const TIME_TYPES = new Set([1083, 1114, 1184, 1266])
/** time, timestamp and their zoned kin keep microseconds when nothing is declared. */
const FULL_TIME_PRECISION = 6

/**
 * Everything about the target's columns that would make rows fail, or arrive changed, found before a row moves.
 * Binary COPY carries no types: a server takes an int8 for a float8 without a word.
 * @throws PgpackError TARGET_MISMATCH with all problems at once.
 */
export function checkColumns(
  object: string,
  source: readonly SourceColumn[],
  target: RelationInfo,
  server: { readonly versionNumber: number },
): void {
  const table = `${target.schema}.${target.name}`
  const problems = [...columnProblems(source, target, server.versionNumber), ...missingProblems(source, target)]
  if (problems.length === 0) return
  throw new PgpackError('TARGET_MISMATCH', `${object} does not fit table ${table}: ${problems.join('; ')}`)
}

function* columnProblems(
  source: readonly SourceColumn[],
  target: RelationInfo,
  versionNumber: number,
): Generator<string> {
  const byName = new Map(target.columns.map((column) => [column.name, column]))
  for (const column of source) {
    const found = byName.get(column.name)
    if (found === undefined) {
      yield `column "${column.name}" is in the file but not in the table`
    } else if (found.generated) {
      yield `column "${column.name}" is generated in the table and takes no value`
    } else if (!sameType(column, found)) {
      yield `column "${column.name}" is ${column.typeName ?? `of type OID ${column.typeOid}`} in the file but ${found.typeName} in the table`
    } else if (versionNumber < USER_OIDS_TAKEN_VERSION && carriesForeignOids(column, found)) {
      yield `column "${column.name}" is ${found.typeName}, whose binary form holds type OIDs of the source database that mean nothing here`
    } else if (!modifierFits(column, found)) {
      yield `column "${column.name}" is ${column.typeName} in the file and may not fit ${found.typeName} in the table`
    }
  }
}

function* missingProblems(source: readonly SourceColumn[], target: RelationInfo): Generator<string> {
  const given = new Set(source.map((column) => column.name))
  for (const column of target.columns) {
    const fills = column.hasDefault || column.generated || column.identity !== undefined
    if (column.notNull && !fills && !given.has(column.name)) {
      yield `column "${column.name}" of the table is NOT NULL without a default and not in the file`
    }
  }
}

type TypedColumn = Pick<ColumnInfo, 'typeOid' | 'typeName' | 'typeKind' | 'typmod'>

/** User-defined types have other OIDs on other servers, so their names are compared; a bare file has no names to compare. */
function sameType(source: SourceColumn, target: TypedColumn): boolean {
  if (source.typeOid < FIRST_USER_OID || target.typeOid < FIRST_USER_OID) {
    return source.typeOid === target.typeOid || (isText(source.typeOid) && isText(target.typeOid))
  }
  return source.typeName === undefined || source.typeName === target.typeName
}

/** array_send and record_send write the OIDs of their elements' types, which older servers compare with their own. */
function carriesForeignOids(source: SourceColumn, target: TypedColumn): boolean {
  const nested = target.typeKind === 'c' || target.typeName.endsWith('[]')
  return nested && target.typeOid >= FIRST_USER_OID && source.typeOid !== target.typeOid
}

/** varchar and text have one binary form. */
function isText(oid: number): boolean {
  return oid === TYPE.text || oid === TYPE.varchar
}

/** The server cuts or rounds numeric and time values to the target's modifier without a word, and refuses longer text. */
function modifierFits(source: SourceColumn, target: TypedColumn): boolean {
  const { typmod } = source
  if (typmod === undefined || target.typmod === NO_TYPMOD || typmod === target.typmod) return true
  if (TIME_TYPES.has(target.typeOid)) {
    return (typmod === NO_TYPMOD ? FULL_TIME_PRECISION : typmod) <= target.typmod
  }
  if (typmod === NO_TYPMOD) return false
  switch (target.typeOid) {
    case TYPE.bpchar:
    case TYPE.varchar:
    case TYPE.varbit:
      return typmod <= target.typmod
    case TYPE.numeric: {
      const from = numericModifier(typmod)
      const to = numericModifier(target.typmod)
      return to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale
    }
    default:
      return false
  }
}

/** numeric's typmod: precision in the high half, scale as 11 bits of two's complement (utils/adt/numeric.c). */
function numericModifier(typmod: number): { precision: number; scale: number } {
  const packed = typmod - TYPMOD_OFFSET
  return { precision: packed >> 16, scale: ((packed & 0x7ff) ^ 1024) - 1024 }
}

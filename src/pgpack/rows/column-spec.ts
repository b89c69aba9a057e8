import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import { builtinType } from './registry.ts'

/** SQL's names for types, as format_type prints them, beside pg_type's own. */
const ALIASES: Readonly<Record<string, string>> = {
  boolean: 'bool',
  smallint: 'int2',
  int: 'int4',
  integer: 'int4',
  bigint: 'int8',
  real: 'float4',
  'double precision': 'float8',
  decimal: 'numeric',
  'character varying': 'varchar',
  character: 'bpchar',
  char: 'bpchar',
  '"char"': 'char',
  'bit varying': 'varbit',
  'time without time zone': 'time',
  'time with time zone': 'timetz',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
}

const TYPE =
  /^\s*("char"|[a-z_][a-z0-9_ ]*?)\s*(?:\(\s*(-?\d+)\s*(?:,\s*(-?\d+)\s*)?\))?((?: +with(?:out)? time zone)?)((?:\s*\[\d*\])*)\s*$/i
/** VARHDRSZ, which the format takes off the modifiers of all types alike; see PGPackColumn. */
const OFFSET = 4
const INTERVAL_FULL_RANGE = 0x7fff << 16

type ColumnType = Omit<PGPackColumn, 'name'>

/** `numeric(8,2)`, `timestamp(3) with time zone`, `int4[]`. @throws PgpackError CONFIG_INVALID */
export function parseColumnType(text: string): ColumnType {
  const [, base = '', first, second = '0', zone = '', brackets = ''] = TYPE.exec(text) ?? []
  const written = `${base.toLowerCase().replace(/\s+/g, ' ')}${zone.toLowerCase().replace(/\s+/g, ' ')}`
  const name = ALIASES[written] ?? written
  const type = builtinType(name)
  if (type === undefined) throw unknownType(text)
  const nested = brackets.split('[').length - 1
  const modifier = first === undefined ? implied(written) : modifierOf(name, Number(first), Number(second), text)
  if (nested > 0) {
    return { oid: type.arrayOid, length: modifier === undefined ? -1 : modifier - OFFSET, scale: 0, nested }
  }
  if (name === 'numeric') return { oid: type.oid, ...numericLength(modifier), nested }
  return { oid: type.oid, length: modifier === undefined ? type.length : modifier - OFFSET, scale: 0, nested }
}

/** `character` is one character; `bpchar` has no limit. */
function implied(written: string): number | undefined {
  return written === 'char' || written === 'character' ? 1 + OFFSET : undefined
}

/** What the reference writes for a numeric: 10 and 0 when nothing is declared. */
function numericLength(modifier: number | undefined): { length: number; scale: number } {
  if (modifier === undefined) return { length: 10, scale: 0 }
  return { length: ((modifier - OFFSET) >> 16) & 0xffff, scale: (modifier - OFFSET) & 0xffff }
}

/** pg_attribute.atttypmod, as the types' own typmodin functions make it. */
function modifierOf(name: string, first: number, second: number, text: string): number {
  if (name === 'numeric') return ((first << 16) | (second & 0x7ff)) + OFFSET
  if (name === 'varchar' || name === 'bpchar') return first + OFFSET
  if (name === 'interval') return INTERVAL_FULL_RANGE | first
  if (['bit', 'varbit', 'time', 'timetz', 'timestamp', 'timestamptz'].includes(name)) return first
  throw unknownType(text)
}

function unknownType(text: string): PgpackError {
  return new PgpackError(
    'CONFIG_INVALID',
    `${JSON.stringify(text)} is no type of PostgreSQL itself; expected one like bigint, numeric(8,2) or text[]`,
  )
}

/**
 * Columns from text as in CREATE TABLE: `id int8, "Full name" varchar(40), tags text[]`.
 * @throws PgpackError CONFIG_INVALID
 */
export function parseColumns(text: string): PGPackColumn[] {
  return splitColumns(text).map((item) => {
    const [, quoted, plain = '', type = ''] = /^\s*(?:"((?:[^"]|"")*)"|(\S+))\s+(\S[\s\S]*)$/.exec(item) ?? []
    if (type === '') {
      throw new PgpackError(
        'CONFIG_INVALID',
        `column ${JSON.stringify(item.trim())}: expected a name and a type, as in 'id int8'`,
      )
    }
    return { name: quoted?.replaceAll('""', '"') ?? plain, ...parseColumnType(type) }
  })
}

/** At commas outside of quotes and parentheses. */
function splitColumns(text: string): string[] {
  return text.match(/(?:"(?:[^"]|"")*"|\([^)]*\)|[^,"(])+/g) ?? []
}

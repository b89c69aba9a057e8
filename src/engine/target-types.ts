import type { UserType } from '../postgres/catalog-types.ts'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../postgres/identifiers.ts'

/**
 * The types that are not PostgreSQL's own and that columns of these OIDs stand on, each after the ones that it stands on
 * itself.
 * @param oids as the source has them, of arrays too
 */
export function typesInOrder(types: readonly UserType[], oids: readonly number[]): readonly UserType[] {
  const byOid = new Map(types.flatMap((type) => [[type.oid, type] as const, [type.arrayOid, type] as const]))
  const ordered = new Set<UserType>()
  const visit = (oid: number) => {
    const type = byOid.get(oid)
    if (type === undefined || ordered.has(type)) return
    for (const below of [type.base, type.subtype, type.range, ...(type.fields ?? []).map((field) => field.oid)]) {
      if (below !== undefined && below !== oid) visit(below)
    }
    ordered.add(type)
  }
  for (const oid of oids) visit(oid)
  return [...ordered]
}

/** A multirange is made with its range, which names it from this version on. */
export const MULTIRANGES_VERSION = 140_000

/** CREATE TYPE or CREATE DOMAIN. @param type an enum, a domain, a composite or a range without a canonical function */
export function createType(type: UserType, versionNumber: number): string {
  const name = quoteQualified(type)
  if (type.kind === 'enum') return `CREATE TYPE ${name} AS ENUM (${(type.labels ?? []).map(quoteLiteral).join(', ')})`
  if (type.kind === 'domain') return createDomain(name, type)
  if (type.kind === 'range') return createRange(name, type, versionNumber)
  const fields = (type.fields ?? []).map((field) => `${quoteIdentifier(field.name)} ${field.type}`)
  return `CREATE TYPE ${name} AS (${fields.join(', ')})`
}

function createDomain(name: string, type: UserType): string {
  const parts = [`CREATE DOMAIN ${name} AS ${type.baseType}`]
  if (type.default) parts.push(`DEFAULT ${type.default}`)
  if (type.notNull) parts.push('NOT NULL')
  for (const { name: constraint, definition } of type.constraints ?? []) {
    parts.push(`CONSTRAINT ${quoteIdentifier(constraint)} ${definition}`)
  }
  return parts.join(' ')
}

function createRange(name: string, type: UserType, versionNumber: number): string {
  const { subtypeName, opclass, collation, subtypeDiff, multirange } = type
  const parts = [`SUBTYPE = ${subtypeName}`]
  if (opclass) parts.push(`SUBTYPE_OPCLASS = ${opclass}`)
  if (collation) parts.push(`COLLATION = ${collation}`)
  // It only weighs the pages of an index; a user's own is not here.
  if (subtypeDiff?.startsWith('pg_catalog.')) parts.push(`SUBTYPE_DIFF = ${subtypeDiff}`)
  if (multirange && versionNumber >= MULTIRANGES_VERSION) parts.push(`MULTIRANGE_TYPE_NAME = ${multirange}`)
  return `CREATE TYPE ${name} AS RANGE (${parts.join(', ')})`
}

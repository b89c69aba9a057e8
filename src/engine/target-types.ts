import type { UserType } from '../postgres/catalog-types.ts'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../postgres/identifiers.ts'

/** Types that a statement of their own makes here; a range, or an extension's type, must be there. */
const MADE_KINDS: ReadonlySet<UserType['kind']> = new Set(['enum', 'domain', 'composite'])

/**
 * Of the types that columns of these OIDs stand on, those that can be made, each after the ones that it stands on itself.
 * @param oids as the source has them, of arrays too
 */
export function typesInOrder(types: readonly UserType[], oids: readonly number[]): readonly UserType[] {
  const byOid = new Map(types.flatMap((type) => [[type.oid, type] as const, [type.arrayOid, type] as const]))
  const ordered = new Set<UserType>()
  const visit = (oid: number) => {
    const type = byOid.get(oid)
    if (type === undefined || ordered.has(type)) return
    for (const below of [type.base, ...(type.fields ?? []).map((field) => field.oid)]) {
      if (below !== undefined && below !== oid) visit(below)
    }
    if (MADE_KINDS.has(type.kind)) ordered.add(type)
  }
  for (const oid of oids) visit(oid)
  return [...ordered]
}

/** CREATE TYPE or CREATE DOMAIN. @param type one that `typesInOrder` gave */
export function createType(type: UserType): string {
  const name = quoteQualified(type)
  if (type.kind === 'enum') return `CREATE TYPE ${name} AS ENUM (${(type.labels ?? []).map(quoteLiteral).join(', ')})`
  if (type.kind === 'domain') return createDomain(name, type)
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

import type { UserType } from '../postgres/catalog-types.ts'
import { quoteLiteral } from '../postgres/identifiers.ts'
import { type SourceColumn, sameType } from './preflight-type.ts'
import { objectName } from './source-name.ts'
import { typesInOrder } from './target-types.ts'

/** Labels that a message names. */
const MAX_LABELS = 10

/**
 * Where types of users have the same name in source and target and are not the same: their binary values would fail, or
 * mean something else. Types that the target does not have are left to others.
 * @param target of the types that columns stand on, those that are there
 */
export function definitionProblems(
  columns: readonly SourceColumn[],
  source: readonly UserType[],
  target: readonly UserType[],
): readonly string[] {
  const byName = new Map(target.map((type) => [objectName(type), type]))
  return columns.flatMap(({ name, typeName, typeOid }) =>
    typesInOrder(source, [typeOid]).flatMap((type) => {
      const found = byName.get(objectName(type))
      const text = found === undefined ? undefined : difference(type, found)
      return text === undefined ? [] : [`column "${name}" is ${typeName}: ${objectName(type)} ${text}`]
    }),
  )
}

function difference(source: UserType, target: UserType): string | undefined {
  if (source.kind !== target.kind) return `is of kind ${source.kind} in the source and ${target.kind} in the target`
  switch (source.kind) {
    case 'enum':
      return labelDifference(source, target)
    case 'domain':
      return unless(fits(baseOf(source), baseOf(target)), `is over ${source.baseType}`, `over ${target.baseType}`)
    case 'range':
      return unless(
        fits(subtypeOf(source), subtypeOf(target)),
        `is of ${source.subtypeName}`,
        `of ${target.subtypeName}`,
      )
    case 'composite':
      return unless(sameFields(source, target), `has the fields ${fieldsOf(source)}`, fieldsOf(target))
    default:
      return undefined
  }
}

function unless(holds: boolean, source: string, target: string): string | undefined {
  return holds ? undefined : `${source} in the source and ${target} in the target`
}

function labelDifference({ labels }: UserType, target: UserType): string | undefined {
  const known = new Set(target.labels)
  const lacking = (labels ?? []).filter((label) => !known.has(label))
  if (lacking.length === 0) return undefined
  const more = lacking.length > MAX_LABELS ? ` and ${lacking.length - MAX_LABELS} more` : ''
  const named = lacking.slice(0, MAX_LABELS).map((label) => quoteLiteral(label).trim())
  return `lacks ${named.join(', ')}${more} in the target: add what is missing (ALTER TYPE … ADD VALUE)`
}

interface Part {
  readonly typeOid: number
  readonly typeName: string
}

const baseOf = ({ base = 0, baseType = '' }: UserType): Part => ({ typeOid: base, typeName: baseType })
const subtypeOf = ({ subtype = 0, subtypeName = '' }: UserType): Part => ({ typeOid: subtype, typeName: subtypeName })

function sameFields({ fields: source = [] }: UserType, { fields: target = [] }: UserType): boolean {
  return (
    source.length === target.length &&
    source.every(({ name, oid, type }, index) => {
      const found = target[index]
      return (
        found?.name === name && fits({ typeOid: oid, typeName: type }, { typeOid: found.oid, typeName: found.type })
      )
    })
  )
}

function fieldsOf({ fields = [] }: UserType): string {
  return `(${fields.map(({ name, type }) => `${name} ${type}`).join(', ')})`
}

/** A modifier, as in `numeric(8,2)`, cuts or rounds; none takes everything. */
function fits(source: Part, target: Part): boolean {
  const same = sameType(source, target)
  return same && (source.typeName === target.typeName || !target.typeName.includes('('))
}

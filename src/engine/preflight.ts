import type { ColumnInfo, RelationInfo } from '../postgres/types.ts'
import { modifierFits, type SourceColumn, sameType } from './preflight-type.ts'

export type { SourceColumn } from './preflight-type.ts'

type Columns = Pick<RelationInfo, 'columns'>

export interface Receiver {
  /** Binary COPY carries no types: a server takes an int8 for a float8 without a word. Of text it parses each value. */
  readonly binary: boolean
}

/** Everything about the target's columns that would make rows fail, or arrive changed; empty where there is nothing. */
export function columnProblems(source: readonly SourceColumn[], target: Columns, receiver: Receiver): string[] {
  return [...givenProblems(source, target, receiver), ...missingProblems(source, target)]
}

function* givenProblems(source: readonly SourceColumn[], target: Columns, { binary }: Receiver): Generator<string> {
  const byName = new Map(target.columns.map((column) => [column.name, column]))
  for (const column of source) {
    const found = byName.get(column.name)
    if (found === undefined) {
      yield `column "${column.name}" is in the file but not in the table`
    } else if (found.generated) {
      yield `column "${column.name}" is generated in the table and takes no value`
    } else if (binary) {
      yield* typeProblems(column, found)
    }
  }
}

function* typeProblems(source: SourceColumn, target: ColumnInfo): Generator<string> {
  const { name, typeName } = source
  if (!sameType(source, target)) {
    yield `column "${name}" is ${typeName ?? `of type OID ${source.typeOid}`} in the file but ${target.typeName} in the table`
  } else if (!modifierFits(source, target)) {
    yield `column "${name}" is ${typeName} in the file and may not fit ${target.typeName} in the table`
  }
}

function* missingProblems(source: readonly SourceColumn[], target: Columns): Generator<string> {
  const given = new Set(source.map((column) => column.name))
  for (const column of target.columns) {
    const fills = column.hasDefault || column.generated || column.identity !== undefined
    if (column.notNull && !fills && !given.has(column.name)) {
      yield `column "${column.name}" of the table is NOT NULL without a default and not in the file`
    }
  }
}

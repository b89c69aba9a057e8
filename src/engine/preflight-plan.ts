import { type ErrorCode, PgpackError } from '../errors.ts'
import { describeTable } from '../postgres/catalog.ts'
import { describeTypes } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { ColumnInfo, RelationInfo } from '../postgres/types.ts'
import type { DiagramObject } from './diagram.ts'
import type { Load } from './load.ts'
import { columnProblems, type SourceColumn } from './preflight.ts'
import { planCreation } from './preflight-create.ts'
import { definitionProblems } from './preflight-definition.ts'
import { rehearseCreation } from './preflight-rehearsal.ts'
import type { Problem } from './preflight-report.ts'
import { tableProblems } from './preflight-table.ts'
import { objectName } from './source-name.ts'
import { type TargetRequest, transactionOf } from './target.ts'
import type { ColumnDefinition, TableDefinition } from './target-create.ts'

/** What was found out before the first row moves. */
export interface Prepared {
  readonly loads: readonly Load[]
  readonly problems: readonly Problem[]
  readonly plan: readonly DiagramObject[]
  /** Undefined where there is no estimate. */
  readonly expectedRows: bigint | undefined
}

/** An object and the table that it is to go into. */
export interface Pair {
  /** The object's name. */
  readonly name: string
  readonly to: QualifiedName
  /** Exactly those that the stream holds, or will hold. */
  readonly columns: readonly SourceColumn[]
  /** Whether values go in their binary form. */
  readonly binary: boolean
  /** What CreateIfMissing makes the table of. */
  readonly definition: TableDefinition | undefined
}

/** A pair whose table was found, or can be made. */
export interface Target {
  readonly table: Pick<RelationInfo, 'schema' | 'name' | 'columns'>
  readonly relation: RelationInfo | undefined
  readonly create: readonly string[] | undefined
  /** What `create` makes beside the table. */
  readonly beside?: readonly string[]
  readonly problems: readonly Problem[]
}

/** Finds the tables of all pairs and everything that is wrong with them. */
export async function findTargets(
  session: PostgresConnection,
  pairs: readonly Pair[],
  request: TargetRequest,
): Promise<readonly Target[]> {
  const relations: (RelationInfo | PgpackError)[] = []
  for (const { to } of pairs) relations.push(await findTable(session, to))
  const oids = relations.flatMap((relation) => ('oid' in relation ? [relation.oid] : []))
  const targets: Target[] = []
  for (const [index, pair] of pairs.entries()) {
    const relation = relations[index]
    const shared = sharedTable(pairs, pair, request)
    const target =
      relation !== undefined && 'oid' in relation
        ? await existingTarget(session, pair, relation, request, oids)
        : await missingTarget(session, pair, relation, request)
    targets.push(shared === undefined ? target : { ...target, problems: [...target.problems, problem(pair, shared)] })
  }
  return rehearsed(session, pairs, targets, request)
}

/** What `before` makes is not there yet, so that nothing that stands on it can be rehearsed. */
async function rehearsed(
  session: PostgresConnection,
  pairs: readonly Pair[],
  targets: readonly Target[],
  { before = [] }: TargetRequest,
): Promise<readonly Target[]> {
  const creates = targets.map(({ create = [] }) => create)
  const known = targets.some(({ problems }) => problems.length > 0)
  if (known || before.length > 0 || creates.every((create) => create.length === 0)) return targets
  const refused = await rehearseCreation(session, creates)
  return targets.map((target, index) => {
    const [pair, found] = [pairs[index], refused[index]]
    return pair === undefined || found === undefined ? target : { ...target, problems: [problem(pair, found)] }
  })
}

async function findTable(session: PostgresConnection, table: QualifiedName): Promise<RelationInfo | PgpackError> {
  try {
    return await describeTable(session, table)
  } catch (error) {
    if (error instanceof PgpackError && error.code === 'POSTGRES_NO_RELATION') return error
    throw error
  }
}

type Found = { readonly code: ErrorCode; readonly text: string }

function problem(pair: Pair, { code, text }: Found): Problem {
  return { code, object: pair.name, table: objectName(pair.to), text }
}

async function existingTarget(
  session: PostgresConnection,
  pair: Pair,
  relation: RelationInfo,
  request: TargetRequest,
  oids: readonly number[],
): Promise<Target> {
  const { mode, connections = 1 } = request
  const perObject = transactionOf(request) === 'PerObject'
  const alone = mode === 'Truncate' && perObject && connections === 1
  const found = await tableProblems(session, relation, {
    mode,
    columns: pair.columns.map(({ name }) => name),
    emptiedTogether: alone ? [] : oids,
    sharedShadow: perObject,
  })
  const texts = [...columnProblems(pair.columns, relation, pair), ...(await typeProblems(session, pair, relation))]
  const mismatches = texts.map((text): Found => ({ code: 'TARGET_MISMATCH', text }))
  return {
    table: relation,
    relation,
    create: undefined,
    problems: [...mismatches, ...found].map((one) => problem(pair, one)),
  }
}

/** What types of the same name are made of; a bare file does not know, and text is parsed. */
async function typeProblems(
  session: PostgresConnection,
  { columns, binary, definition }: Pair,
  relation: RelationInfo,
): Promise<readonly string[]> {
  if (!binary || definition === undefined || definition.types.length === 0) return []
  const there = relation.columns.filter((column) => columns.some(({ name }) => name === column.name))
  const types = await describeTypes(
    session,
    there.map(({ typeOid }) => typeOid),
  )
  return definitionProblems(columns, definition.types, types)
}

async function missingTarget(
  session: PostgresConnection,
  pair: Pair,
  missing: PgpackError | undefined,
  { mode }: TargetRequest,
): Promise<Target> {
  const { definition, to } = pair
  const table = { ...to, columns: [] }
  const nothing = { table, relation: undefined, create: undefined }
  if (mode !== 'CreateIfMissing' || definition === undefined) {
    const text = missing?.message ?? 'it is not there'
    return { ...nothing, problems: [problem(pair, { code: 'POSTGRES_NO_RELATION', text })] }
  }
  const columns = definition.columns.map(futureColumn)
  const { problems, statements, beside } = await planCreation(session, pair, definition)
  const found = problems.map((one) => problem(pair, one))
  return { ...nothing, table: { ...to, columns }, create: statements, beside, problems: found }
}

/** A column as it will be in a table that is made. */
function futureColumn({ name, type, typeOid, notNull }: ColumnDefinition): ColumnInfo {
  const unknown = { typmod: -1, typeLength: -1, dimensions: 0, typeKind: 'b', hasDefault: false, generated: false }
  return { name, typeName: type, typeOid, notNull, ...unknown, identity: undefined }
}

/** Two objects into one table go together only where the second one does not undo the first. */
function sharedTable(pairs: readonly Pair[], pair: Pair, request: TargetRequest): Found | undefined {
  const same = pairs.filter(({ to }) => to.schema === pair.to.schema && to.name === pair.to.name)
  const [first] = same
  if (same.length === 1 || first === pair) return undefined
  if (same.filter(({ name }) => name === pair.name).length > 1) {
    return { code: 'CONFIG_INVALID', text: 'the same object goes into it twice: name it once' }
  }
  const undone = request.mode === 'Replace' || (request.mode === 'Truncate' && transactionOf(request) === 'PerObject')
  if (!undone) return undefined
  const names = same.map(({ name }) => name).join(' and ')
  const text = `${names} go into it, and under ${request.mode} each would remove the rows of the other: use Append, or Truncate with transaction All`
  return { code: 'CONFIG_INVALID', text }
}

/** A pair as the plan shows it. */
export function diagramOf(
  pair: Pair,
  target: Target | undefined,
  estimate: Pick<DiagramObject, 'rows' | 'bytes'>,
): DiagramObject {
  const table = target?.table.columns ?? []
  return {
    source: {
      name: pair.name,
      columns: pair.columns.map(({ name, typeName, typeOid }) => ({ name, type: typeName ?? `OID ${typeOid}` })),
    },
    target: {
      name: `${objectName(pair.to)}${target?.create === undefined ? '' : ' (new)'}`,
      columns: table.map(({ name, typeName }) => ({ name, type: typeName })),
    },
    ...estimate,
    beside: target?.beside ?? [],
  }
}

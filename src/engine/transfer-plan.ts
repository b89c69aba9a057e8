import { PgpackError } from '../errors.ts'
import { describeTypes } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyFrom } from '../postgres/copy.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { TransferObject } from '../run/config.ts'
import type { RunContext } from './context.ts'
import type { Load, Part } from './load.ts'
import { diagramOf, findTargets, type Pair, type Prepared, type Target } from './preflight-plan.ts'
import type { Problem } from './preflight-report.ts'
import type { Readers } from './readers.ts'
import { type DumpSource, findSource } from './source.ts'
import { explainSelect } from './source-check.ts'
import { expandObject } from './source-list.ts'
import { objectName } from './source-name.ts'
import type { TransferRequest } from './transfer.ts'
import { selfProblems } from './transfer-self.ts'

export interface TransferContext extends RunContext {
  /** The rows that a COPY … TO STDOUT sends. */
  readonly partOf: (statement: string) => Part
}

interface TransferPair extends Pair {
  readonly source: DumpSource
}

/** Finds the objects on the source and their tables on the target, and everything that is wrong with either. */
export async function prepareTransfer(
  session: PostgresConnection,
  readers: Readers,
  request: TransferRequest,
  context: TransferContext,
): Promise<Prepared> {
  const pairs: TransferPair[] = []
  for (const object of request.objects) pairs.push(...(await findPairs(readers, object, context)))
  const targets = await findTargets(session, pairs, request)
  const matched = pairs.flatMap((pair, index) => {
    const target = targets[index]
    return target === undefined ? [] : [{ pair, target }]
  })
  const problems = [
    ...matched.flatMap(({ target }) => target.problems),
    ...(await overlapProblems(session, readers, matched, request)),
  ]
  if (request.explain === 'Plan') await explainAll(readers.leader, pairs, context)
  return {
    loads: matched.map(({ pair, target }) => loadOf(pair, target, context)),
    problems,
    plan: matched.map(({ pair, target }) => diagramOf(pair, target, pair.source.planned)),
    expectedRows: sumEstimates(pairs),
  }
}

async function findPairs(
  { leader, all }: Readers,
  object: TransferObject,
  { log }: TransferContext,
): Promise<TransferPair[]> {
  const pairs: TransferPair[] = []
  for (const single of await expandObject(leader, object, log)) {
    const source = await findSource(leader, single, all.length)
    if (source.rowSecurity) log.warn({ object: source.name }, 'row-level security hides rows from this transfer')
    pairs.push({ ...(await pairOf(leader, source, tableFor(source, object))), source })
  }
  return pairs
}

function tableFor(source: DumpSource, object: TransferObject): QualifiedName {
  if ('to' in object && object.to !== undefined) return object.to
  const { relation } = source
  if (relation === undefined) {
    throw new PgpackError('CONFIG_INVALID', `the query ${source.name} has no table of its own: name one in to`)
  }
  const schema = 'toSchema' in object ? object.toSchema : undefined
  return { schema: schema ?? relation.schema, name: relation.name }
}

async function pairOf(leader: PostgresConnection, source: DumpSource, to: QualifiedName): Promise<Pair> {
  const oids = source.columns.map(({ typeOid }) => typeOid)
  return {
    name: source.name,
    to,
    columns: source.columns,
    binary: true,
    definition: {
      columns: source.columns.map(({ name, typeName, typeOid, notNull }) => ({
        name,
        type: typeName,
        typeOid,
        notNull,
      })),
      primaryKey: source.relation?.primaryKey ?? [],
      distribution: source.distribution,
      types: await describeTypes(leader, oids),
    },
  }
}

interface Matched {
  readonly pair: TransferPair
  readonly target: Target
}

async function overlapProblems(
  session: PostgresConnection,
  readers: Readers,
  matched: readonly Matched[],
  request: TransferRequest,
): Promise<Problem[]> {
  const found = matched.map(({ pair: { source }, target }) => ({
    source: source.relation?.oid,
    target: target.relation?.oid,
    select: source.select,
  }))
  const texts = await selfProblems(session, readers, found, request.mode)
  return matched.flatMap(({ pair }, index) => {
    const text = texts[index]
    if (text === undefined) return []
    return [{ code: 'CONFIG_INVALID' as const, object: pair.name, table: objectName(pair.to), text }]
  })
}

async function explainAll(leader: PostgresConnection, pairs: readonly TransferPair[], { log }: RunContext) {
  for (const { source } of pairs) {
    log.info({ object: source.name, plan: await explainSelect(leader, source.select) }, 'plan of the query')
  }
}

function loadOf(pair: TransferPair, target: Target, { partOf }: TransferContext): Load {
  const columns = pair.source.columns.map(({ name }) => name)
  return {
    name: pair.name,
    table: target.table,
    create: target.create,
    foreignOids: true,
    columns,
    parts: pair.source.statements.map(partOf),
    repeatable: false,
    statement: (table) => copyFrom(table, columns),
    counting: 'Exact',
  }
}

function sumEstimates(pairs: readonly TransferPair[]): bigint | undefined {
  const estimates = pairs.map(({ source }) => source.estimatedRows)
  return estimates.reduce((sum, rows) => (sum === undefined || rows === undefined ? undefined : sum + rows), 0n)
}

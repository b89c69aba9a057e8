import { type ErrorCode, PgpackError } from '../errors.ts'
import { describeTypes, type Extension, FIRST_USER_OID, type UserType } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { type QualifiedName, quoteIdentifier, quoteQualified } from '../postgres/identifiers.ts'
import { definitionProblems } from './preflight-definition.ts'
import { objectName } from './source-name.ts'
import { createTable, type TableDefinition } from './target-create.ts'
import { createType, MULTIRANGES_VERSION, typesInOrder } from './target-types.ts'

export interface CreationProblem {
  readonly code: ErrorCode
  readonly text: string
}

/** What makes a table that is not there, and what it stands on. */
export interface Creation {
  readonly problems: readonly CreationProblem[]
  /** In the order in which they work. */
  readonly statements: readonly string[]
  /** What is made beside the table: `schema archive`, `extension hstore`, `type public.mood`. */
  readonly beside: readonly string[]
}

interface Facts {
  readonly mayCreateSchemas: boolean
  /** Of the schemas asked for, those that are there, and whether this user may create in them. */
  readonly schemas: readonly { readonly name: string; readonly creatable: boolean }[]
  /** Of the types asked for, those that are not there. */
  readonly missing: readonly string[]
  /** OIDs of the others. */
  readonly there: readonly number[]
}

/** to_regtype takes a cstring before PostgreSQL 9.6, and a text since; CREATE EXTENSION has CASCADE since. */
const V9_6 = 90_600

function factsQuery(versionNumber: number): string {
  const name = versionNumber >= V9_6 ? 'type.name' : 'textout(type.name)'
  return `SELECT
  has_database_privilege(current_database(), 'CREATE') AS "mayCreateSchemas",
  coalesce((
    SELECT json_agg(json_build_object('name', n.nspname, 'creatable', has_schema_privilege(n.oid, 'CREATE')))
    FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::text[])
  ), '[]') AS schemas,
  coalesce((
    SELECT json_agg(DISTINCT type.name) FROM unnest($2::text[]) AS type (name) WHERE to_regtype(${name}) IS NULL
  ), '[]') AS missing,
  coalesce((
    SELECT json_agg(DISTINCT to_regtype(${name})::oid::int8) FROM unnest($2::text[]) AS type (name)
    WHERE to_regtype(${name}) IS NOT NULL
  ), '[]') AS there`
}

interface ExtensionFacts {
  readonly name: string
  /** The schema that it is in; null where it is not created. */
  readonly schema: string | null
  readonly available: boolean
}

const AVAILABLE = 'EXISTS (SELECT 1 FROM pg_catalog.pg_available_extensions a WHERE a.name = wanted.name)'

function extensionsQuery(available: string): string {
  return `SELECT wanted.name,
  (SELECT n.nspname FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
   WHERE x.extname = wanted.name) AS schema,
  ${available} AS available
FROM unnest($1::text[]) AS wanted (name)`
}

/** What it takes to make a table that is not there, and what stands in the way of it, by the catalog. */
export async function planCreation(
  session: PostgresConnection,
  { to, binary }: { readonly to: QualifiedName; readonly binary: boolean },
  definition: TableDefinition,
): Promise<Creation> {
  const { columns, types } = definition
  const used = typesInOrder(
    types,
    columns.map(({ typeOid }) => typeOid),
  )
  const schemas = [to.schema, ...used.flatMap(({ schema, extension }) => [schema, extension?.schema ?? schema])]
  const names = [...columns.map(({ type }) => type), ...used.map(quoteQualified)]
  const [facts] = await session.query<Facts>(factsQuery(session.versionNumber), [schemas, names])
  if (facts === undefined) throw new PgpackError('INTERNAL', 'the catalog said nothing of what is to be made')
  const missing = used.filter((type) => facts.missing.includes(quoteQualified(type)))
  const extensions = await extensionFacts(session, missing)
  const refusals = new Map(missing.flatMap((type) => withRefusal(type, missing, extensions, session)))
  const made = missing.filter((type) => !refusals.has(type) && type.kind !== 'multirange')
  const needed = new Set([to.schema, ...made.map(({ schema, extension }) => extension?.schema ?? schema)])
  const absent = [...needed].filter((schema) => !facts.schemas.some(({ name }) => name === schema))
  const differences = definitionProblems(
    columns.map(({ name, type, typeOid }) => ({ name, typeName: type, typeOid })),
    types,
    // Text is parsed.
    binary ? await describeTypes(session, facts.there) : [],
  )
  return {
    problems: [
      ...schemaProblems(needed, new Set([to.schema, ...ownSchemas(made)]), facts, session),
      ...columnProblems(definition, refusals, missing, { ...facts, version: session.version }),
      ...differences.map((text): CreationProblem => ({ code: 'TARGET_MISMATCH', text })),
    ],
    ...statementsFor(absent, made, createTable(to, definition, session.flavour), session.versionNumber),
  }
}

async function extensionFacts(
  session: PostgresConnection,
  missing: readonly UserType[],
): Promise<ReadonlyMap<string, ExtensionFacts>> {
  const names = missing.flatMap(({ extension }) => (extension === undefined ? [] : [extension.name]))
  if (names.length === 0) return new Map()
  const rows = await findExtensions(session, [...new Set(names)])
  return new Map(rows.map((row) => [row.name, row]))
}

/**
 * One control file that the server cannot read, of whatever extension, fails the view as a whole, and CREATE EXTENSION of
 * any other does not mind: that one tells then.
 */
async function findExtensions(session: PostgresConnection, names: readonly string[]): Promise<ExtensionFacts[]> {
  try {
    return await session.query<ExtensionFacts>(extensionsQuery(AVAILABLE), [names])
  } catch (error) {
    if (!(error instanceof PgpackError) || error.retryable) throw error
    return session.query<ExtensionFacts>(extensionsQuery('true'), [names])
  }
}

function withRefusal(
  type: UserType,
  missing: readonly UserType[],
  extensions: ReadonlyMap<string, ExtensionFacts>,
  server: Pick<PostgresConnection, 'name' | 'version' | 'versionNumber'>,
): [UserType, string][] {
  const { extension } = type
  const refusal =
    extension === undefined
      ? kindRefusal(type, missing, server)
      : extensionRefusal(type, extension, extensions.get(extension.name), server)
  return refusal === undefined ? [] : [[type, refusal]]
}

function kindRefusal(
  type: UserType,
  missing: readonly UserType[],
  { version, versionNumber }: Pick<PostgresConnection, 'version' | 'versionNumber'>,
): string | undefined {
  const name = objectName(type)
  switch (type.kind) {
    case 'base':
      return `${name} is not there, and it is a base type, which functions in C make: create it`
    case 'range':
      if (!type.canonical) return undefined
      return `${name} is not there, and it is a range with a canonical function (${type.canonical}): create both`
    case 'multirange':
      if (versionNumber < MULTIRANGES_VERSION) {
        return `${name} is a multirange, which came with PostgreSQL 14, and this is ${version}: leave the column out`
      }
      if (missing.some(({ oid }) => oid === type.range)) return undefined
      return `${name} is not there, and its range is: name the multirange of that range so`
    default:
      return undefined
  }
}

function extensionRefusal(
  type: UserType,
  { name, version }: Extension,
  found: ExtensionFacts | undefined,
  server: Pick<PostgresConnection, 'name'>,
): string | undefined {
  const what = `${objectName(type)} is of the extension ${name} (${version} in the source)`
  if (found?.schema) {
    const move = `ALTER EXTENSION ${quoteIdentifier(name)} SET SCHEMA ${quoteIdentifier(type.schema)}`
    return `${what}, which is here in schema ${found.schema} and has no such type: ${move}, update it, or make the table`
  }
  if (found?.available === true) return undefined
  return `${what}, and ${server.name} does not have it (pg_available_extensions): install it there, or make the table with a type that is there`
}

/** Schemas that types are put into; what an extension makes is not made in our name. */
function ownSchemas(made: readonly UserType[]): readonly string[] {
  return made.flatMap(({ schema, extension }) => (extension === undefined ? [schema] : []))
}

function* schemaProblems(
  needed: ReadonlySet<string>,
  own: ReadonlySet<string>,
  { schemas, mayCreateSchemas }: Facts,
  { name }: Pick<PostgresConnection, 'name'>,
): Generator<CreationProblem> {
  for (const schema of needed) {
    const there = schemas.find((found) => found.name === schema)
    if (there === undefined && !mayCreateSchemas) {
      const text = `schema ${schema} is not there, and this user lacks CREATE on the database ${name}: create it`
      yield { code: 'POSTGRES_PRIVILEGE', text }
    }
    if (there?.creatable === false && own.has(schema)) {
      yield { code: 'POSTGRES_PRIVILEGE', text: `this user lacks CREATE on schema ${schema}` }
    }
  }
}

function* columnProblems(
  { columns, types }: TableDefinition,
  refusals: ReadonlyMap<UserType, string>,
  missing: readonly UserType[],
  { missing: names, version }: Facts & Pick<PostgresConnection, 'version'>,
): Generator<CreationProblem> {
  for (const { name, type, typeOid } of columns) {
    const used = typesInOrder(types, [typeOid])
    const texts = used.flatMap((one) => refusals.get(one) ?? [])
    const known = used.some((one) => missing.includes(one))
    if (names.includes(type) && !known) {
      const own = `PostgreSQL ${version} does not have the type: leave the column out, or cast it in a query`
      texts.push(typeOid < FIRST_USER_OID ? own : 'the type is not there: create it')
    }
    for (const text of texts) yield { code: 'OBJECT_UNSUPPORTED', text: `column "${name}" is ${type}: ${text}` }
  }
}

function statementsFor(
  schemas: readonly string[],
  made: readonly UserType[],
  table: string,
  versionNumber: number,
): Pick<Creation, 'statements' | 'beside'> {
  const statements = new Map(
    schemas.map((schema) => [`schema ${schema}`, `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}`]),
  )
  for (const type of made) {
    if (type.extension === undefined) statements.set(`type ${objectName(type)}`, createType(type, versionNumber))
    else statements.set(`extension ${type.extension.name}`, createExtension(type.extension, versionNumber))
  }
  return { statements: [...statements.values(), table], beside: [...statements.keys()] }
}

/** In the version that the server has for its own; what the extension stands on comes with it. */
function createExtension({ name, schema }: Extension, versionNumber: number): string {
  const cascade = versionNumber >= V9_6 ? ' CASCADE' : ''
  return `CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(name)} SCHEMA ${quoteIdentifier(schema)}${cascade}`
}

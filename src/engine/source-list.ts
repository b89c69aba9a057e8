import { PgpackError } from '../errors.ts'
import { findTables } from '../postgres/catalog-patterns.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { CopyFormatOptions } from '../postgres/copy-options/clause.ts'
import type { DumpObject } from '../run/config.ts'
import type { RunContext } from './context.ts'
import { type DumpSource, findSource, type SingleObject } from './source.ts'
import { objectName } from './source-name.ts'

/**
 * Every object that is asked for, the tables of each pattern sorted by name. All are looked up and checked before the
 * first row moves, so that a mistake in the last one costs nothing.
 * @throws PgpackError CONFIG_INVALID for an object that is asked for twice, and all that findSource and findTables throw
 */
export async function findSources(
  connection: PostgresConnection,
  objects: readonly DumpObject[],
  { connections, log, ...how }: CopyFormatOptions & { readonly connections: number } & Pick<RunContext, 'log'>,
): Promise<readonly DumpSource[]> {
  const sources = new Map<string, DumpSource>()
  for (const object of objects) {
    for (const single of await expandObject(connection, object, log)) {
      const source = await findSource(connection, single, connections, how)
      if (sources.has(source.name)) throw askedTwice(source, object)
      if (source.rowSecurity) log.warn({ object: source.name }, 'row-level security hides rows from this dump')
      sources.set(source.name, source)
    }
  }
  return [...sources.values()]
}

/** The object itself, or one for each table that a pattern fits. */
export async function expandObject(
  connection: PostgresConnection,
  object: DumpObject,
  log: RunContext['log'],
): Promise<readonly SingleObject[]> {
  if (!('tables' in object)) return [object]
  const tables = await findTables(connection, object.tables)
  for (const table of tables.filter(({ kind }) => kind === 'f')) {
    log.warn({ object: objectName(table) }, 'a foreign table fits the pattern: its rows are read from another server')
  }
  return tables.map(({ schema, name }) => ({ table: { schema, name } }))
}

function askedTwice({ name }: DumpSource, object: DumpObject): PgpackError {
  const again = 'tables' in object ? `, the second time by the patterns ${object.tables.include.join(', ')}` : ''
  const advice = 'tables' in object ? 'exclude it there' : 'give each object its own name'
  return new PgpackError('CONFIG_INVALID', `${name} is asked for twice${again}: ${advice}`)
}

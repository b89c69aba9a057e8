import * as Type from 'typebox'
import { exactlyOneOf, immutableExcept, object, rules, type Static, text } from '../schema.ts'
import { DatabaseSpec } from './database.ts'
import type { KindInfo, Resource } from './group.ts'
import { JobSpec } from './job.ts'
import { query, table, tables } from './objects.ts'
import { relation } from './relation.ts'
import { explain, loading, loadingRules, runMode, session, statements, suspend } from './run.ts'
import type { RunStatus } from './status.ts'

const transferObject = object(
  {
    table: Type.Optional(table),
    tables: Type.Optional(tables),
    query: Type.Optional(query),
    to: Type.Optional(relation('The table to load; the one of the same name when not given.')),
    toSchema: Type.Optional(text('Schema of the tables to load; the one of the same name when not given.', 63)),
  },
  rules(
    exactlyOneOf('table', 'tables', 'query'),
    { rule: '!has(self.query) || has(self.to)', message: 'a query has no table of its own: name one in to' },
    { rule: '!has(self.tables) || !has(self.to)', message: 'tables go into tables of their names: give toSchema' },
    { rule: '!has(self.toSchema) || has(self.tables)', message: 'toSchema goes with tables; a table has to.schema' },
  ),
)

const properties = {
  source: DatabaseSpec('The database to read.'),
  target: DatabaseSpec('The database to write to.'),
  objects: Type.Array(transferObject, {
    description: 'What goes where. All objects are read in one snapshot.',
    minItems: 1,
    maxItems: 64,
    'x-kubernetes-list-type': 'atomic',
  }),
  sourceBefore: statements('SQL that runs on the source before the snapshot is taken.'),
  sourceAfter: statements('SQL that runs on the source after the last row.'),
  sourceSession: session("The source's sessions."),
  ...loading,
  explain,
  runMode,
  job: Type.Optional(JobSpec),
  suspend: suspend('Stops the run: its transaction is rolled back. False goes on with a new attempt.'),
}

export const PGPackTransferSpec = object(properties, {
  description: 'What to move, from which database into which.',
  ...rules(immutableExcept(properties, ['suspend']), ...loadingRules),
})

export type PGPackTransferSpec = Static<typeof PGPackTransferSpec>
export type PGPackTransfer = Resource<PGPackTransferSpec, RunStatus>

export const PGPackTransferKind: KindInfo = {
  kind: 'PGPackTransfer',
  plural: 'pgpacktransfers',
  singular: 'pgpacktransfer',
  shortName: 'pgx',
  description: 'A transfer of PostgreSQL or Greenplum tables and queries into another database, without a file.',
}

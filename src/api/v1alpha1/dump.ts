import Type from 'typebox'
import { WRITABLE_METHODS } from '../../compression/method.ts'
import { choice, exactlyOneOf, immutableExcept, integer, object, rules, type Static, text } from '../schema.ts'
import { DatabaseSpec } from './database.ts'
import type { KindInfo, Resource } from './group.ts'
import { JobSpec } from './job.ts'
import { identifier, relationMembers } from './relation.ts'
import type { RunStatus } from './status.ts'
import { StoreSpec } from './store.ts'

const table = object(
  {
    ...relationMembers,
    columns: Type.Optional(
      Type.Array(identifier('Column name.'), {
        description: 'Columns to dump, in this order; all of them when not given.',
        minItems: 1,
        maxItems: 1600,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    where: Type.Optional(text('SQL condition that the dumped rows meet.', 16384)),
  },
  { description: 'A table, view, materialized view, foreign or partitioned table.' },
)

const query = object(
  {
    name: identifier("The object's name in the artefact."),
    sql: text('One SELECT (or WITH … SELECT, VALUES, TABLE) without a semicolon.', 65536),
  },
  { description: 'The rows of a query.' },
)

const dumpObject = object(
  { table: Type.Optional(table), query: Type.Optional(query) },
  rules(exactlyOneOf('table', 'query')),
)

const compression = object(
  {
    method: Type.Optional(choice(WRITABLE_METHODS, 'How the body is compressed.', { default: 'Zstd' })),
    level: Type.Optional(integer('Zstd level, 1 (fast) to 22 (small).', 1, 22)),
  },
  {
    description: 'Compression of the PGPack files.',
    default: {},
    ...rules({
      rule: "!has(self.level) || !has(self.method) || self.method == 'Zstd'",
      message: 'compression.level is for Zstd only',
    }),
  },
)

const parallelism = object(
  {
    connections: Type.Optional(
      integer(
        'Connections that read at once; large tables are split by ctid ranges on PostgreSQL 14 and later.',
        1,
        64,
        {
          default: 1,
        },
      ),
    ),
  },
  { description: 'How much is done at once.', default: {} },
)

const properties = {
  source: DatabaseSpec('The database to read.'),
  objects: Type.Array(dumpObject, {
    description: 'What to dump. All objects are read in one snapshot.',
    minItems: 1,
    maxItems: 64,
    'x-kubernetes-list-type': 'atomic',
  }),
  compression: Type.Optional(compression),
  parallelism: Type.Optional(parallelism),
  destination: StoreSpec('Where the artefact is written.'),
  job: Type.Optional(JobSpec),
  suspend: Type.Optional(
    Type.Boolean({
      description: 'Stops the run: its query ends and nothing stays behind. False goes on with a new attempt.',
    }),
  ),
}

export const PGPackDumpSpec = object(properties, {
  description: 'What to dump, from where, and to where.',
  ...rules(immutableExcept(properties, ['suspend'])),
})

export type PGPackDumpSpec = Static<typeof PGPackDumpSpec>
export type PGPackDump = Resource<PGPackDumpSpec, RunStatus>

export const PGPackDumpKind: KindInfo = {
  kind: 'PGPackDump',
  plural: 'pgpackdumps',
  singular: 'pgpackdump',
  shortName: 'pgd',
  description: 'A dump of PostgreSQL or Greenplum tables and queries into an object store, as PGPack files.',
}

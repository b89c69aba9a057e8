import * as Type from 'typebox'
import { WRITABLE_METHODS } from '../../compression/method.ts'
import { CopyOptions } from '../../postgres/copy-options/schema.ts'
import { DUMP_FORMATS, VERIFICATIONS } from '../../run/config.ts'
import { choice, exactlyOneOf, immutableExcept, object, rules, type Static } from '../schema.ts'
import { DatabaseSpec } from './database.ts'
import type { KindInfo, Resource } from './group.ts'
import { JobSpec } from './job.ts'
import { query, table, tables } from './objects.ts'
import { explain, parallelism, runMode, session, statements, suspend } from './run.ts'
import type { RunStatus } from './status.ts'
import { StoreSpec } from './store.ts'

/** Retain leaves the artefact in the store when its resource is deleted. */
export const DELETION_POLICIES = ['Retain', 'Delete'] as const
export type DeletionPolicy = (typeof DELETION_POLICIES)[number]

const dumpObject = object(
  { table: Type.Optional(table), tables: Type.Optional(tables), query: Type.Optional(query) },
  rules(exactlyOneOf('table', 'tables', 'query')),
)

const compression = object(
  {
    method: Type.Optional(choice(WRITABLE_METHODS, 'How the body is compressed.', { default: 'Zstd' })),
    level: Type.Optional(
      Type.Unsafe<number | 'Auto'>({
        description:
          'Zstd level, 1 (fast) to 22 (small), 3 when not given; or Auto: as small as keeps up with the server.',
        'x-kubernetes-int-or-string': true,
        ...rules({
          rule: "type(self) == int ? self >= 1 && self <= 22 : self == 'Auto'",
          message: 'compression.level is a number from 1 to 22, or Auto',
        }),
      }),
    ),
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

const properties = {
  source: DatabaseSpec('The database to read.'),
  objects: Type.Array(dumpObject, {
    description: 'What to dump. All objects are read in one snapshot.',
    minItems: 1,
    maxItems: 64,
    'x-kubernetes-list-type': 'atomic',
  }),
  before: statements('SQL that runs on the source before the snapshot is taken.'),
  after: statements('SQL that runs on the source after the last row.'),
  session: session("The source's sessions."),
  format: Type.Optional(
    choice(DUMP_FORMATS, 'What the files are: PGPack, or what COPY itself writes.', { default: 'PGPack' }),
  ),
  copyOptions: Type.Optional(CopyOptions),
  explain,
  compression: Type.Optional(compression),
  parallelism: parallelism('Connections that read at once; large tables are split among them.'),
  destination: StoreSpec('Where the artefact is written.'),
  verify: Type.Optional(
    choice(
      VERIFICATIONS,
      'What is read back before the run counts as succeeded, beside the manifest: nothing, every byte by its checksum, or every row as well.',
      { default: 'None' },
    ),
  ),
  deletionPolicy: Type.Optional(
    choice(
      DELETION_POLICIES,
      'Whether the artefact goes with the resource: Delete removes it by a Job before the resource is gone.',
      { default: 'Retain' },
    ),
  ),
  runMode,
  job: Type.Optional(JobSpec),
  suspend: suspend('Stops the run: its query ends and nothing stays behind. False goes on with a new attempt.'),
}

export const PGPackDumpSpec = object(properties, {
  description: 'What to dump, from where, and to where.',
  ...rules(immutableExcept(properties, ['suspend', 'deletionPolicy']), {
    rule: "!has(self.copyOptions) || (has(self.format) && self.format != 'PGPack')",
    message: 'copyOptions go with format Binary, Text or CSV: a PGPack file has none',
  }),
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

import * as Type from 'typebox'
import { CopyOptions } from '../../postgres/copy-options/schema.ts'
import { exactlyOneOf, immutableExcept, object, objectName, relativePath, rules, type Static, text } from '../schema.ts'
import { DatabaseSpec } from './database.ts'
import type { KindInfo, Resource } from './group.ts'
import { JobSpec } from './job.ts'
import { identifier, relation } from './relation.ts'
import { loading, loadingRules, runMode, suspend } from './run.ts'
import type { RunStatus } from './status.ts'
import { storeMembers } from './store.ts'

const source = object(
  {
    dumpRef: Type.Optional(
      object(
        { name: objectName('PGPackDump in this namespace.') },
        {
          description: 'The dump to restore; the run waits until it has succeeded.',
        },
      ),
    ),
    ...storeMembers,
    path: Type.Optional(
      relativePath("Key prefix of a dump's attempt, below the store's prefix: where its manifest.json lies.", 1024),
    ),
  },
  {
    description: 'The artefact to restore: of a PGPackDump, or by its place in a store.',
    ...rules(exactlyOneOf('dumpRef', 's3', 'volume'), {
      rule: 'has(self.dumpRef) != has(self.path)',
      message: 'source.path goes with s3 or volume and is required there',
    }),
  },
)

const mapping = object({
  from: text("The object's name in the manifest: schema.table, or the query's name.", 127),
  to: relation('The table to load.'),
  columns: Type.Optional(
    Type.Array(identifier('Column name, the same in the dump and in the table.'), {
      description: 'Columns to load; all of the dumped ones when not given.',
      minItems: 1,
      maxItems: 1600,
      'x-kubernetes-list-type': 'atomic',
    }),
  ),
})

const properties = {
  source,
  target: DatabaseSpec('The database to write to.'),
  objects: Type.Optional(
    Type.Array(mapping, {
      description: 'Which objects go into which tables. Without it, every object goes into the table of its own name.',
      minItems: 1,
      maxItems: 64,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['from'],
    }),
  ),
  ...loading,
  copyOptions: Type.Optional(CopyOptions),
  runMode,
  job: Type.Optional(JobSpec),
  suspend: suspend('Stops the run: its transaction is rolled back. False goes on with a new attempt.'),
}

export const PGPackRestoreSpec = object(properties, {
  description: 'What to restore, from where, and to where.',
  ...rules(immutableExcept(properties, ['suspend']), ...loadingRules),
})

export type PGPackRestoreSpec = Static<typeof PGPackRestoreSpec>
export type PGPackRestore = Resource<PGPackRestoreSpec, RunStatus>

export const PGPackRestoreKind: KindInfo = {
  kind: 'PGPackRestore',
  plural: 'pgpackrestores',
  singular: 'pgpackrestore',
  shortName: 'pgr',
  description: 'A restore of PGPack files from an object store into PostgreSQL or Greenplum tables.',
}

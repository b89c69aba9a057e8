import type { CompressionOptions } from '../compression/method.ts'
import type { PGPackSummary } from '../pgpack/writer.ts'
import { pgpackColumn } from '../postgres/catalog.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { escapeObjectName } from '../storage/keys.ts'
import { MANIFEST_VERSION, type Manifest, type ManifestObject, manifestTotals } from '../storage/manifest.ts'
import { VERSION } from '../version.ts'
import type { Readers } from './readers.ts'
import type { DumpSource } from './source.ts'

export type RunIdentity = NonNullable<Manifest['run']>

/** The name of an object's file, next to the manifest. */
export function fileName(source: DumpSource): string {
  const stem =
    source.relation === undefined
      ? escapeObjectName(undefined, source.name)
      : escapeObjectName(source.relation.schema, source.relation.name)
  return `${stem}.pgpack`
}

/** What the manifest says of one finished file. */
export function manifestObject(
  source: DumpSource,
  file: string,
  compression: CompressionOptions,
  summary: PGPackSummary,
): ManifestObject {
  const { relation } = source
  return {
    name: source.name,
    kind: source.kind,
    ...(relation === undefined ? {} : { schema: relation.schema, relation: relation.name }),
    file,
    format: 'PGPack',
    compression,
    columns: source.columns.map((column) => {
      const { length, scale, nested } = pgpackColumn(column)
      const { name, typeName, typeOid, typmod, notNull } = column
      return { name, type: typeName, typeOid, typmod, notNull, pgpack: { length, scale, nested } }
    }),
    primaryKey: [...(relation?.primaryKey ?? [])],
    rows: String(summary.rows),
    rawBytes: String(summary.rawBytes),
    storedBytes: String(summary.fileBytes),
    headSHA256: summary.headSHA256,
    bodySHA256: summary.bodySHA256,
    bodyOffset: summary.bodyOffset,
    frames: {
      granularity: summary.frames.every,
      index: summary.frames.entries.map(([offset, rows, rawBytes]) => [offset, rows, rawBytes]),
    },
  }
}

/** What the manifest says besides its objects. */
export interface ManifestFacts {
  readonly database: string
  readonly createdAt: Date
  readonly run: RunIdentity | undefined
}

export function buildManifest(readers: Readers, objects: ManifestObject[], facts: ManifestFacts): Manifest {
  return {
    formatVersion: MANIFEST_VERSION,
    createdAt: facts.createdAt.toISOString(),
    generator: { name: 'pgpack-operator', version: VERSION },
    server: describeServer(readers.leader, facts.database),
    ...(readers.snapshot === undefined ? {} : { snapshot: readers.snapshot }),
    ...(facts.run === undefined ? {} : { run: facts.run }),
    objects,
    totals: manifestTotals(objects),
  }
}

function describeServer(connection: PostgresConnection, database: string): Manifest['server'] {
  const { version, versionNumber, flavour, inRecovery } = connection
  return { version, versionNumber, flavour, database, clientEncoding: 'UTF8', inRecovery }
}

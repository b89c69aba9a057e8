import type { CompressionOptions } from '../compression/method.ts'
import { pgpackColumn } from '../postgres/catalog.ts'
import type { UserType } from '../postgres/catalog-types.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { escapeObjectName } from '../storage/keys.ts'
import {
  MANIFEST_VERSION,
  type Manifest,
  type ManifestObject,
  type ManifestType,
  manifestTotals,
} from '../storage/manifest.ts'
import { VERSION } from '../version.ts'
import type { DumpedObject } from './dump-object.ts'
import type { SegmentFiles } from './dump-segments.ts'
import { extensionOf, type FileFormat } from './format.ts'
import type { Readers } from './readers.ts'
import type { DumpSource } from './source.ts'

export type RunIdentity = NonNullable<Manifest['run']>

/** The name of an object's file, next to the manifest. */
export function fileName(source: DumpSource, extension: string): string {
  const stem =
    source.relation === undefined
      ? escapeObjectName(undefined, source.name)
      : escapeObjectName(source.relation.schema, source.relation.name)
  return `${stem}${extension}`
}

/** How the files were written. */
export interface Written extends FileFormat {
  readonly compression: CompressionOptions
}

/** What the manifest says of one finished file. */
export function manifestObject(
  source: DumpSource,
  { format, copyOptions, compression }: Written,
  dumped: DumpedObject,
): ManifestObject {
  const { relation, distribution } = source
  const { frames, segments } = dumped
  return {
    name: source.name,
    kind: source.kind,
    ...(relation === undefined ? {} : { schema: relation.schema, relation: relation.name }),
    file: fileName(source, extensionOf(format, compression)),
    format,
    ...(copyOptions === undefined ? {} : { copyOptions }),
    compression: segments === undefined ? statedCompression(compression) : { method: 'None' },
    ...(segments === undefined ? {} : { segments: manifestSegments(segments) }),
    columns: source.columns.map((column) => {
      const { length, scale, nested } = pgpackColumn(column)
      const { name, typeName, typeOid, typmod, notNull } = column
      return { name, type: typeName, typeOid, typmod, notNull, pgpack: { length, scale, nested } }
    }),
    primaryKey: [...(relation?.primaryKey ?? [])],
    ...(distribution === undefined
      ? {}
      : { distribution: { policy: distribution.policy, columns: [...distribution.columns] } }),
    ...(source.rowSecurity ? { rowSecurity: true } : {}),
    rows: String(dumped.rows),
    rawBytes: String(dumped.rawBytes),
    storedBytes: String(dumped.fileBytes),
    headSHA256: dumped.headSHA256,
    bodySHA256: dumped.bodySHA256,
    bodyOffset: dumped.bodyOffset,
    ...(frames === undefined
      ? {}
      : {
          frames: {
            granularity: frames.every,
            index: frames.entries.map(([offset, rows, rawBytes]) => [offset, rows, rawBytes]),
          },
        }),
  }
}

function manifestSegments({ path, files }: SegmentFiles): NonNullable<ManifestObject['segments']> {
  return {
    path,
    files: files.map(({ bytes, ...file }) => ({ ...file, ...(bytes == null ? {} : { bytes: String(bytes) }) })),
  }
}

/** What the manifest says besides its objects. */
export interface ManifestFacts {
  readonly database: string
  readonly createdAt: Date
  readonly run: RunIdentity | undefined
  readonly isolation: Manifest['isolation']
  /** Of the objects' columns. */
  readonly types: readonly UserType[]
}

export function buildManifest(readers: Readers, objects: ManifestObject[], facts: ManifestFacts): Manifest {
  return {
    formatVersion: MANIFEST_VERSION,
    createdAt: facts.createdAt.toISOString(),
    generator: { name: 'pgpack-operator', version: VERSION },
    server: describeServer(readers.leader, facts.database),
    ...(readers.snapshot === undefined ? {} : { snapshot: readers.snapshot }),
    ...(facts.isolation === undefined ? {} : { isolation: facts.isolation }),
    ...(facts.types.length === 0 ? {} : { types: facts.types.map(manifestType) }),
    ...(facts.run === undefined ? {} : { run: facts.run }),
    objects,
    totals: manifestTotals(objects),
  }
}

/** The manifest's lists can be written to, the catalog's cannot. */
function manifestType({ labels, constraints, fields, ...type }: UserType): ManifestType {
  return {
    ...type,
    ...(labels === undefined ? {} : { labels: labels === null ? null : [...labels] }),
    ...(constraints === undefined ? {} : { constraints: [...constraints] }),
    ...(fields === undefined ? {} : { fields: [...fields] }),
  }
}

function describeServer(connection: PostgresConnection, database: string): Manifest['server'] {
  const { version, versionNumber, flavour, inRecovery } = connection
  return { version, versionNumber, flavour, database, clientEncoding: 'UTF8', inRecovery }
}

/** `Auto` means many levels in one file: the manifest then names none. */
function statedCompression({ method, level }: CompressionOptions): ManifestObject['compression'] {
  return typeof level === 'number' ? { method, level } : { method }
}

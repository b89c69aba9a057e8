import type { Static } from 'typebox'
import * as Type from 'typebox'
import { Check, Errors } from 'typebox/schema'
import { WRITABLE_METHODS } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import { COPY_FORMATS, CopyOptions } from '../postgres/copy-options/schema.ts'
import { CHANNEL_BINDINGS, TARGET_SESSION_ATTRS, TLS_MODES } from '../postgres/types.ts'
import { ISOLATIONS, RESTORE_MODES, TRANSACTIONS } from './choices.ts'
import { closed, literals } from './schema.ts'

export { ISOLATIONS, RESTORE_MODES, type RestoreMode, TRANSACTIONS } from './choices.ts'

const text = Type.String({ minLength: 1 })

export const DatabaseConfig = Type.Object(
  {
    /** Folder with a mounted Secret in one of the shapes that src/postgres/secret.ts knows. */
    secretDir: text,
    host: Type.Optional(text),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    database: Type.Optional(text),
    targetSessionAttrs: Type.Optional(literals(TARGET_SESSION_ATTRS)),
    tls: Type.Object(
      {
        /** Not given: what the Secret's uri says, else Prefer. */
        mode: Type.Optional(literals(TLS_MODES)),
        channelBinding: Type.Optional(literals(CHANNEL_BINDINGS)),
        caFile: Type.Optional(text),
        certFile: Type.Optional(text),
        keyFile: Type.Optional(text),
      },
      closed,
    ),
  },
  closed,
)

export const StoreConfig = Type.Union([
  Type.Object(
    {
      type: Type.Literal('S3'),
      endpoint: text,
      bucket: text,
      prefix: Type.String(),
      region: Type.Optional(text),
      forcePathStyle: Type.Boolean(),
      /** Folder with the files `accessKeyId` and `secretAccessKey` (or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY). */
      credentialsDir: text,
      caFile: Type.Optional(text),
    },
    closed,
  ),
  Type.Object({ type: Type.Literal('Filesystem'), path: text }, closed),
])

const Table = Type.Object({ schema: text, name: text }, closed)

/** Whether rows of inheritance children are read with those of their parent. Partitions always are. */
export const DESCENDANTS = ['Exclude', 'Include'] as const

const TableObject = Type.Object(
  {
    ...Table.properties,
    columns: Type.Optional(Type.Array(text, { minItems: 1 })),
    where: Type.Optional(text),
    descendants: Type.Optional(literals(DESCENDANTS)),
  },
  closed,
)

/** Every relation of a schema whose name fits `include` and not `exclude`: globs with `*`, `?` and `[…]`. */
const TablesObject = Type.Object(
  { schema: text, include: Type.Array(text, { minItems: 1 }), exclude: Type.Array(text) },
  closed,
)

const QueryObject = Type.Object({ name: text, sql: text }, closed)

export const DumpObject = Type.Union([
  Type.Object({ table: TableObject }, closed),
  Type.Object({ tables: TablesObject }, closed),
  Type.Object({ query: QueryObject }, closed),
])

/** How a session is set up before its first statement. Not given: no timeouts, RepeatableRead for reading. */
export const SessionConfig = Type.Object(
  {
    isolation: Type.Optional(literals(ISOLATIONS)),
    statementTimeoutSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
    lockTimeoutSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
    settings: Type.Optional(Type.Array(Type.Object({ name: text, value: Type.String() }, closed))),
  },
  closed,
)

const run = {
  version: Type.Literal(1),
  namespace: text,
  name: text,
  uid: text,
}

/** DryRun does everything but move rows: it connects, plans, checks both sides and says what would happen. */
export const RUN_MODES = ['Run', 'DryRun'] as const
/** What is done with an artefact once it is written: its sizes and checksums read back, or its rows decoded too. */
export const VERIFICATIONS = ['None', 'Checksum', 'Decode'] as const
/** Whether the plan of each query is written to the log before it runs. */
export const EXPLAINS = ['None', 'Plan'] as const

export const DUMP_FORMATS = ['PGPack', ...COPY_FORMATS] as const
export type DumpFormat = (typeof DUMP_FORMATS)[number]

/** SQL statements, each on its own; run on the session that moves the rows, or the one that owns the snapshot. */
const Statements = Type.Array(text)

export const DumpRunConfig = Type.Object(
  {
    ...run,
    kind: Type.Literal('Dump'),
    runMode: Type.Optional(literals(RUN_MODES)),
    source: DatabaseConfig,
    session: Type.Optional(SessionConfig),
    /** Run before the snapshot is taken, and after the last row was read. */
    before: Type.Optional(Statements),
    after: Type.Optional(Statements),
    objects: Type.Array(DumpObject, { minItems: 1 }),
    format: Type.Optional(literals(DUMP_FORMATS)),
    copyOptions: Type.Optional(CopyOptions),
    explain: Type.Optional(literals(EXPLAINS)),
    compression: Type.Object(
      {
        method: literals(WRITABLE_METHODS),
        level: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 22 }), Type.Literal('Auto')])),
      },
      closed,
    ),
    connections: Type.Integer({ minimum: 1 }),
    destination: StoreConfig,
    /** Key prefix of the dump; each attempt writes below `<path>/<attempt>/`. */
    path: text,
    verify: Type.Optional(literals(VERIFICATIONS)),
  },
  closed,
)

/** Whether the planner's statistics of each loaded table are renewed. */
export const ANALYZES = ['Always', 'Never'] as const

/** What is said of the target alike by a restore and a transfer. */
const loading = {
  runMode: Type.Optional(literals(RUN_MODES)),
  mode: literals(RESTORE_MODES),
  transaction: Type.Optional(literals(TRANSACTIONS)),
  /** Run on the target before the first and after the last object. */
  before: Type.Optional(Statements),
  after: Type.Optional(Statements),
  /** Of the target's sessions. */
  session: Type.Optional(SessionConfig),
  analyze: Type.Optional(literals(ANALYZES)),
  connections: Type.Optional(Type.Integer({ minimum: 1 })),
}

/** One object of a dump and where it goes. `columns`: which of its columns, in any order; all of them when not given. */
const RestoreObject = Type.Object(
  { from: text, to: Table, columns: Type.Optional(Type.Array(text, { minItems: 1 })) },
  closed,
)

export const RestoreRunConfig = Type.Object(
  {
    ...run,
    kind: Type.Literal('Restore'),
    source: StoreConfig,
    /** Key prefix of one attempt of a dump: where its manifest.json lies. */
    path: text,
    /** What the dump's status says of the manifest; absent when the user named a path. */
    manifestSHA256: Type.Optional(text),
    target: DatabaseConfig,
    /** Empty: every object of the manifest into the table of its own name. */
    objects: Type.Array(RestoreObject),
    ...loading,
    /** For objects that were dumped as Text or CSV; what the dump said itself is in its manifest. */
    copyOptions: Type.Optional(CopyOptions),
  },
  closed,
)

/** One object of the source and the table it goes into; the table of its own name when `to` is not given. */
const TransferObject = Type.Union([
  Type.Object({ table: TableObject, to: Type.Optional(Table) }, closed),
  Type.Object({ tables: TablesObject, toSchema: Type.Optional(text) }, closed),
  Type.Object({ query: QueryObject, to: Table }, closed),
])

export const TransferRunConfig = Type.Object(
  {
    ...run,
    kind: Type.Literal('Transfer'),
    source: DatabaseConfig,
    /** Of the source's sessions, and the statements that run there. */
    sourceSession: Type.Optional(SessionConfig),
    sourceBefore: Type.Optional(Statements),
    sourceAfter: Type.Optional(Statements),
    target: DatabaseConfig,
    objects: Type.Array(TransferObject, { minItems: 1 }),
    explain: Type.Optional(literals(EXPLAINS)),
    ...loading,
  },
  closed,
)

/** Removes what a dump wrote: the manifests first, then every file of its attempts. */
export const RemoveRunConfig = Type.Object(
  {
    ...run,
    kind: Type.Literal('Remove'),
    destination: StoreConfig,
    /** Key prefix of the dump, with all its attempts. */
    path: text,
  },
  closed,
)

/**
 * A run's configuration: what the operator writes into a ConfigMap and the engine reads. It names the folders where
 * secrets are mounted and never holds a secret's value.
 */
export type RunConfig = DumpRunConfig | RestoreRunConfig | TransferRunConfig | RemoveRunConfig

export type DatabaseConfig = Static<typeof DatabaseConfig>
export type StoreConfig = Static<typeof StoreConfig>
export type DumpObject = Static<typeof DumpObject>
export type SessionConfig = Static<typeof SessionConfig>
export type DumpRunConfig = Static<typeof DumpRunConfig>
export type RestoreRunConfig = Static<typeof RestoreRunConfig>
export type RestoreObject = Static<typeof RestoreObject>
export type TransferRunConfig = Static<typeof TransferRunConfig>
export type TransferObject = Static<typeof TransferObject>
export type RemoveRunConfig = Static<typeof RemoveRunConfig>

const schemas = {
  Dump: DumpRunConfig,
  Restore: RestoreRunConfig,
  Transfer: TransferRunConfig,
  Remove: RemoveRunConfig,
}
type Kind = keyof typeof schemas

/** Of a union's members the checker blames each; these say nothing but that none of them fits. */
const HOLLOW_FAULTS = new Set(['anyOf', 'oneOf', '~guard', 'boolean'])
const MAX_FAULTS = 5

/** @throws PgpackError CONFIG_INVALID with the paths that are wrong. */
export function parseRunConfig(json: string): RunConfig {
  const value = parseJSON(json)
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
  if (!isKind(kind)) {
    throw new PgpackError(
      'CONFIG_INVALID',
      `the run configuration does not fit its schema: /kind must be one of ${Object.keys(schemas).join(', ')}`,
    )
  }
  if (Check(schemas[kind], value)) return value as RunConfig
  const [, all] = Errors(schemas[kind], value)
  const faults = all.filter((fault) => !HOLLOW_FAULTS.has(fault.keyword))
  const found = faults.map((fault) => `${fault.instancePath || '/'} ${fault.message}`)
  const shown = [...new Set(found)].slice(0, MAX_FAULTS).join('; ')
  throw new PgpackError('CONFIG_INVALID', `the run configuration does not fit its schema: ${shown}`)
}

function isKind(kind: unknown): kind is Kind {
  return typeof kind === 'string' && Object.hasOwn(schemas, kind)
}

function parseJSON(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', 'the run configuration is not JSON', { cause })
  }
}

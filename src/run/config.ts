import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { WRITABLE_METHODS } from '../compression/method.ts'
import { PgpackError } from '../errors.ts'
import { TLS_MODES } from '../postgres/types.ts'
import { closed, literals } from './schema.ts'

const text = Type.String({ minLength: 1 })

export const DatabaseConfig = Type.Object(
  {
    /** Folder with a mounted Secret in one of the shapes that src/postgres/secret.ts knows. */
    secretDir: text,
    host: Type.Optional(text),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    database: Type.Optional(text),
    tls: Type.Object(
      {
        mode: literals(TLS_MODES),
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

export const DumpObject = Type.Union([
  Type.Object(
    {
      table: Type.Object(
        {
          schema: text,
          name: text,
          columns: Type.Optional(Type.Array(text, { minItems: 1 })),
          where: Type.Optional(text),
        },
        closed,
      ),
    },
    closed,
  ),
  Type.Object({ query: Type.Object({ name: text, sql: text }, closed) }, closed),
])

const run = {
  version: Type.Literal(1),
  namespace: text,
  name: text,
  uid: text,
}

export const DumpRunConfig = Type.Object(
  {
    ...run,
    kind: Type.Literal('Dump'),
    source: DatabaseConfig,
    objects: Type.Array(DumpObject, { minItems: 1 }),
    compression: Type.Object(
      { method: literals(WRITABLE_METHODS), level: Type.Optional(Type.Integer({ minimum: 1, maximum: 22 })) },
      closed,
    ),
    connections: Type.Integer({ minimum: 1 }),
    destination: StoreConfig,
    /** Key prefix of the dump; each attempt writes below `<path>/<attempt>/`. */
    path: text,
  },
  closed,
)

/** Append adds the rows; Truncate empties each table first, in the same transaction. */
export const RESTORE_MODES = ['Append', 'Truncate'] as const
export type RestoreMode = (typeof RESTORE_MODES)[number]

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
    objects: Type.Array(Type.Object({ from: text, to: Table }, closed)),
    mode: literals(RESTORE_MODES),
  },
  closed,
)

/**
 * A run's configuration: what the operator writes into a ConfigMap and the engine reads. It names the folders where
 * secrets are mounted and never holds a secret's value.
 */
export type RunConfig = DumpRunConfig | RestoreRunConfig

export type DatabaseConfig = Static<typeof DatabaseConfig>
export type StoreConfig = Static<typeof StoreConfig>
export type DumpObject = Static<typeof DumpObject>
export type DumpRunConfig = Static<typeof DumpRunConfig>
export type RestoreRunConfig = Static<typeof RestoreRunConfig>

const schemas = { Dump: Compile(DumpRunConfig), Restore: Compile(RestoreRunConfig) }

/** Of a union's members the checker blames each; these say nothing but that none of them fits. */
const HOLLOW_FAULTS = new Set(['anyOf', 'oneOf', '~guard', 'boolean'])
const MAX_FAULTS = 5

/** @throws PgpackError CONFIG_INVALID with the paths that are wrong. */
export function parseRunConfig(json: string): RunConfig {
  const value = parseJSON(json)
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
  if (kind !== 'Dump' && kind !== 'Restore') {
    throw new PgpackError(
      'CONFIG_INVALID',
      'the run configuration does not fit its schema: /kind must be Dump or Restore',
    )
  }
  if (schemas[kind].Check(value)) return value as RunConfig
  const faults = schemas[kind].Errors(value).filter((fault) => !HOLLOW_FAULTS.has(fault.keyword))
  const found = faults.map((fault) => `${fault.instancePath || '/'} ${fault.message}`)
  const shown = [...new Set(found)].slice(0, MAX_FAULTS).join('; ')
  throw new PgpackError('CONFIG_INVALID', `the run configuration does not fit its schema: ${shown}`)
}

function parseJSON(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', 'the run configuration is not JSON', { cause })
  }
}

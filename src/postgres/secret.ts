import { PgpackError } from '../errors.ts'
import { parseDsn } from './dsn.ts'
import type { ConnectionConfig, TLSConfig } from './types.ts'

/** What the resource says beside the Secret; it goes before what the Secret says. */
export interface ConnectionOverrides {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly database?: string | undefined
  readonly tls: TLSConfig
}

/**
 * The keys that hold a part of the connection, in the Secrets of CloudNativePG (`<cluster>-app`: username, dbname …),
 * Crunchy (`<cluster>-pguser-<user>`: user, dbname …), Zalando (username and password alone) and of people.
 */
const KEYS = {
  host: ['host'],
  port: ['port'],
  database: ['dbname', 'database'],
  user: ['username', 'user'],
  password: ['password'],
} as const

type Part = keyof typeof KEYS

const DEFAULT_PORT = 5432

/**
 * A connection out of a Secret's files (name to content). Parts given one by one go before those of its `uri`; a client
 * certificate can stand in for a password.
 * @throws PgpackError CONFIG_INVALID with the names of the keys that are missing; never with a value
 */
export function connectionFromSecret(
  files: Readonly<Record<string, string>>,
  overrides: ConnectionOverrides,
): ConnectionConfig {
  const uri = firstOf(files, ['uri'])
  const base: Partial<ConnectionConfig> = uri === undefined ? {} : parseDsn(uri)
  const part = (name: Part) => firstOf(files, KEYS[name])
  const host = overrides.host ?? part('host') ?? base.host
  const user = part('user') ?? base.user
  const password = part('password') ?? base.password
  const database = overrides.database ?? part('database') ?? base.database
  const proven = password !== undefined || overrides.tls.cert !== undefined
  if (host === undefined || user === undefined || database === undefined || !proven) {
    throw incomplete(files, { host, user, password: proven || undefined, database })
  }
  const port = overrides.port ?? portOf(part('port')) ?? base.port ?? DEFAULT_PORT
  return { host, port, database, user, ...(password === undefined ? {} : { password }), tls: overrides.tls }
}

/** Files made with `echo` end in a line break that nobody meant. */
function firstOf(files: Readonly<Record<string, string>>, keys: readonly string[]): string | undefined {
  const values = keys.map((key) => files[key]?.replace(/\r?\n$/, ''))
  return values.find((value) => value !== undefined && value !== '')
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new PgpackError('CONFIG_INVALID', "the Secret's key port is not a port number: expected 1 to 65535")
}

function incomplete(files: Readonly<Record<string, string>>, parts: Readonly<Record<string, unknown>>): PgpackError {
  const missing = Object.keys(parts).filter((name) => parts[name] === undefined)
  const inline = missing.filter((name) => name === 'host' || name === 'database')
  const keys = missing.map((name) => KEYS[name as Part].join(' or '))
  const found = Object.keys(files).sort().join(', ') || 'no keys'
  const remedy = inline.length === 0 ? '' : `, or ${inline.join(' and ')} beside secretRef in the resource`
  const message = `the Secret with the database's credentials lacks ${missing.join(', ')}: expected its key ${keys.join(', ')}, or uri${remedy}; it has ${found}`
  return new PgpackError('CONFIG_INVALID', message, { expected: keys.join(', '), found })
}

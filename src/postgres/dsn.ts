import { readFileSync } from 'node:fs'
import { parse } from 'pg-connection-string'
import { errorMessage, PgpackError } from '../errors.ts'
import type { ConnectionConfig, TLSConfig, TLSMode } from './types.ts'

export { describeConnection } from './describe.ts'

/** libpq's environment variables that count here, and the parameters of a connection string that they stand for. */
const ENVIRONMENT = {
  PGHOST: 'host',
  PGPORT: 'port',
  PGUSER: 'user',
  PGPASSWORD: 'password',
  PGDATABASE: 'dbname',
  PGSSLMODE: 'sslmode',
  PGSSLROOTCERT: 'sslrootcert',
  PGSSLCERT: 'sslcert',
  PGSSLKEY: 'sslkey',
  PGCONNECT_TIMEOUT: 'connect_timeout',
} as const

const KNOWN: ReadonlySet<string> = new Set([...Object.values(ENVIRONMENT), 'database'])
/** They change how a connection is made or shown, not what is read through it. */
const IGNORED: ReadonlySet<string> = new Set([
  'application_name',
  'channel_binding',
  'fallback_application_name',
  'gssencmode',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'sslnegotiation',
  'sslsni',
  'target_session_attrs',
  'tcp_user_timeout',
])

const MODES: Readonly<Record<string, TLSMode>> = {
  disable: 'Disable',
  allow: 'Prefer',
  prefer: 'Prefer',
  require: 'Require',
  'verify-ca': 'VerifyCA',
  'verify-full': 'VerifyFull',
}

const DEFAULT_PORT = 5432

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * A `postgres://user:password@host:port/database?sslmode=…` connection string. Certificate files that it names are read.
 * @param environment libpq's variables (PGPASSWORD …), which fill in what the string leaves open.
 * @throws PgpackError CONFIG_INVALID; never with the string itself, which holds a password
 */
export function parseDsn(dsn: string, environment: Environment = {}): ConnectionConfig {
  const values = { ...fromEnvironment(environment), ...fromString(dsn) }
  const { user, host = 'localhost' } = values
  if (user === undefined) throw invalid('it names no user (postgres://user@…, or PGUSER)')
  const connectTimeoutSeconds = integer(values, 'connect_timeout', 0, 86_400) ?? 0
  return {
    host,
    port: integer(values, 'port', 1, 65_535) ?? DEFAULT_PORT,
    // As libpq does it.
    database: values['dbname'] ?? user,
    user,
    ...(values['password'] === undefined ? {} : { password: values['password'] }),
    tls: tlsOf(values),
    ...(connectTimeoutSeconds === 0 ? {} : { connectTimeoutSeconds }),
  }
}

type Values = Readonly<Record<string, string>>

function fromEnvironment(environment: Environment): Values {
  return present(Object.entries(ENVIRONMENT).map(([variable, name]) => [name, environment[variable]]))
}

/** The part before the question mark goes to pg-connection-string; the parameters are read here, as libpq has them. */
function fromString(dsn: string): Values {
  if (!/^postgres(ql)?:\/\//i.test(dsn)) throw invalid('it must begin with postgres:// or postgresql://')
  const [base = '', query = ''] = splitOnce(dsn, '?')
  const { host, port, user, password, database } = parseBase(base)
  if (host?.includes(',')) throw invalid('it names several hosts; name one')
  const parameters = Object.fromEntries(new URLSearchParams(query))
  const unknown = Object.keys(parameters).filter((name) => !KNOWN.has(name) && !IGNORED.has(name))
  if (unknown.length > 0) throw invalid(`its parameters ${unknown.join(', ')} are not supported`)
  const authority = { host, port, user, password, dbname: database ?? parameters['database'] }
  return { ...present(Object.entries(authority)), ...present(Object.entries(parameters)) }
}

function parseBase(base: string) {
  try {
    // The parser takes a string without a host only when the path is there.
    return parse(base.replace(/^[^/]*\/\/[^/]*$/, '$&/'))
  } catch {
    // What was thrown quotes the string.
    throw invalid('it is not a URL; characters such as @ : / ? # % in user or password must be escaped (%40 …)')
  }
}

function present(entries: readonly (readonly [string, string | null | undefined])[]): Values {
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => Boolean(entry[1])))
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function tlsOf(values: Values): TLSConfig {
  // libpq's word for the public authorities, which are ours when no CA is given.
  const system = values['sslrootcert'] === 'system'
  const sslmode = values['sslmode'] ?? (system ? 'verify-full' : 'prefer')
  const mode = MODES[sslmode]
  if (mode === undefined) throw invalid(`its sslmode is "${sslmode}": expected one of ${Object.keys(MODES).join(', ')}`)
  const files = { ca: system ? undefined : values['sslrootcert'], cert: values['sslcert'], key: values['sslkey'] }
  return { mode, ...present(Object.entries(files).map(([name, path]) => [name, path && readPEM(name, path)])) }
}

function readPEM(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the TLS ${what} file cannot be read: ${errorMessage(cause)}`, { cause })
  }
}

function integer(values: Values, name: string, minimum: number, maximum: number): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value
  throw invalid(`its ${name} is "${text}": expected a number from ${minimum} to ${maximum}`)
}

function invalid(why: string): PgpackError {
  return new PgpackError('CONFIG_INVALID', `the connection string cannot be used: ${why}`)
}

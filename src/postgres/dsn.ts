import { readFileSync } from 'node:fs'
import { parse } from 'pg-connection-string'
import { errorMessage, PgpackError } from '../errors.ts'
import { parseConninfo } from './conninfo.ts'
import { atHosts, parseHosts, splitHost } from './hosts.ts'
import type { ChannelBinding, ConnectionConfig, TargetSessionAttrs, TLSConfig, TLSMode } from './types.ts'

export { describeConnection } from './describe.ts'

/** libpq's environment variables that count here, and the parameters of a connection string that they stand for. */
const ENVIRONMENT = {
  PGHOST: 'host',
  PGHOSTADDR: 'hostaddr',
  PGPORT: 'port',
  PGUSER: 'user',
  PGPASSWORD: 'password',
  PGDATABASE: 'dbname',
  PGSSLMODE: 'sslmode',
  PGSSLROOTCERT: 'sslrootcert',
  PGSSLCERT: 'sslcert',
  PGSSLKEY: 'sslkey',
  PGCHANNELBINDING: 'channel_binding',
  PGCONNECT_TIMEOUT: 'connect_timeout',
  PGTARGETSESSIONATTRS: 'target_session_attrs',
} as const

const KNOWN: ReadonlySet<string> = new Set([...Object.values(ENVIRONMENT), 'database'])
/** They change how a connection is made or shown, not what is read through it. */
const IGNORED: ReadonlySet<string> = new Set([
  'application_name',
  'fallback_application_name',
  'gssencmode',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'load_balance_hosts',
  'sslnegotiation',
  'sslsni',
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

const BINDINGS: Readonly<Record<string, ChannelBinding>> = { disable: 'Disable', prefer: 'Prefer', require: 'Require' }

const TARGETS: Readonly<Record<string, TargetSessionAttrs>> = {
  any: 'Any',
  'read-write': 'ReadWrite',
  'read-only': 'ReadOnly',
  primary: 'Primary',
  standby: 'Standby',
  'prefer-standby': 'PreferStandby',
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * A connection string as libpq reads it: `postgres://user:password@host:port,host:port/database?sslmode=…`, or
 * `host=… user=…`. Certificate files that it names are read.
 * @param environment libpq's variables (PGPASSWORD …), which fill in what the string leaves open.
 * @throws PgpackError CONFIG_INVALID; never with the string itself, which holds a password
 */
export function parseDsn(dsn: string, environment: Environment = {}): ConnectionConfig {
  const values = { ...fromEnvironment(environment), ...fromString(dsn) }
  const { user, hostaddr, host = hostaddr ?? 'localhost' } = values
  if (user === undefined) throw invalid('it names no user (postgres://user@…, or PGUSER)')
  const connectTimeoutSeconds = integer(values, 'connect_timeout', 0, 86_400) ?? 0
  const targetSessionAttrs = choice(values, 'target_session_attrs', TARGETS)
  return {
    ...atHosts(parseHosts(host, values['port'], hostaddr)),
    // As libpq does it.
    database: values['dbname'] ?? user,
    user,
    ...(values['password'] === undefined ? {} : { password: values['password'] }),
    tls: tlsOf(values),
    ...(connectTimeoutSeconds === 0 ? {} : { connectTimeoutSeconds }),
    ...(targetSessionAttrs === undefined ? {} : { targetSessionAttrs }),
  }
}

type Values = Readonly<Record<string, string>>

function fromEnvironment(environment: Environment): Values {
  return present(Object.entries(ENVIRONMENT).map(([variable, name]) => [name, environment[variable]]))
}

function fromString(dsn: string): Values {
  const values = /^postgres(ql)?:\/\//i.test(dsn) ? fromURL(dsn) : parseConninfo(dsn)
  if (values === undefined) throw invalid('it must begin with postgres:// or postgresql://, or be name=value pairs')
  const unknown = Object.keys(values).filter((name) => !KNOWN.has(name) && !IGNORED.has(name))
  if (unknown.length > 0) throw invalid(`its parameters ${unknown.join(', ')} are not supported`)
  return present(Object.entries(values))
}

/** The part before the question mark goes to pg-connection-string; the parameters are read here, as libpq has them. */
function fromURL(dsn: string): Values {
  const [base = '', query = ''] = splitOnce(dsn, '?')
  const { host, port, user, password, database } = parseBase(base)
  const parameters = Object.fromEntries(new URLSearchParams(query))
  const authority = { host, port, user, password, dbname: database ?? parameters['database'] }
  return { ...parameters, ...present(Object.entries(authority)), ...present(Object.entries(parameters)) }
}

/** Scheme, user and password; several hosts; path. */
const SEVERAL_HOSTS = /^([^/]*\/\/(?:[^/]*@)?)([^/@]*,[^/@]*)(.*)$/

function parseBase(base: string) {
  const [, before, hosts, path = ''] = SEVERAL_HOSTS.exec(base) ?? []
  try {
    if (hosts === undefined || path.includes('@')) return parseURL(base)
    const places = hosts.split(',').map((host) => splitHost(decodeURIComponent(host)))
    const host = places.map((place) => place.host).join(',')
    const ports = places.map((place) => place.port ?? '')
    return { ...parseURL(`${before}several${path}`), host, port: ports.some(Boolean) ? ports.join(',') : undefined }
  } catch {
    // What was thrown quotes the string.
    throw invalid('it is not a URL; characters such as @ : / ? # % in user or password must be escaped (%40 …)')
  }
}

function parseURL(url: string) {
  // The parser takes a string without a host only when the path is there.
  return parse(url.replace(/^[^/]*\/\/[^/]*$/, '$&/'))
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
  const mode = choice(values, 'sslmode', MODES) ?? (system ? 'VerifyFull' : 'Prefer')
  const channelBinding = choice(values, 'channel_binding', BINDINGS)
  const files = { ca: system ? undefined : values['sslrootcert'], cert: values['sslcert'], key: values['sslkey'] }
  return {
    mode,
    ...(channelBinding === undefined ? {} : { channelBinding }),
    ...present(Object.entries(files).map(([name, path]) => [name, path && readPEM(name, path)])),
  }
}

function readPEM(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the TLS ${what} file cannot be read: ${errorMessage(cause)}`, { cause })
  }
}

function choice<T>(values: Values, name: string, choices: Readonly<Record<string, T>>): T | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  if (Object.hasOwn(choices, text)) return choices[text]
  throw invalid(`its ${name} is "${text}": expected one of ${Object.keys(choices).join(', ')}`)
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

import { PgpackError } from '../errors.ts'
import { parseDsn } from './dsn.ts'
import { atHosts, hostsOf, parseHosts } from './hosts.ts'
import type { ConnectionConfig, HostPort, TargetSessionAttrs, TLSConfig } from './types.ts'

/** What the resource says beside the Secret; it goes before what the Secret says. */
export interface ConnectionOverrides {
  /** One host, or several parted by commas, each with a port of its own where it has another. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly database?: string | undefined
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined
  readonly tls?: Partial<TLSConfig>
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

/** CloudNativePG's `fqdn-uri` says the same as its `uri`. The uri of a pool (`pgbouncer-uri`) is never taken unasked. */
const URIS = ['uri', 'fqdn-uri']

/**
 * A connection out of a Secret's files (name to content). Parts given one by one go before those of its `uri`, whose
 * parameters count where nothing else is said; a client certificate can stand in for a password.
 * @throws PgpackError CONFIG_INVALID with the names of the keys that are missing; never with a value
 */
export function connectionFromSecret(
  files: Readonly<Record<string, string>>,
  overrides: ConnectionOverrides,
): ConnectionConfig {
  const uri = firstOf(files, URIS)
  const base = uri === undefined ? undefined : parseDsn(uri)
  const part = (name: Part) => firstOf(files, KEYS[name])
  const host = overrides.host ?? part('host')
  const user = part('user') ?? base?.user
  const password = part('password') ?? base?.password
  const database = overrides.database ?? part('database') ?? base?.database
  const tls: TLSConfig = { mode: 'Prefer', ...base?.tls, ...overrides.tls }
  const proven = password !== undefined || tls.cert !== undefined
  const given = host ?? base?.host
  if (given === undefined || user === undefined || database === undefined || !proven) {
    throw incomplete(files, { host: given, user, password: proven || undefined, database })
  }
  const targetSessionAttrs = overrides.targetSessionAttrs ?? base?.targetSessionAttrs
  const connectTimeoutSeconds = base?.connectTimeoutSeconds
  return {
    ...atHosts(placesOf(host, overrides.port?.toString() ?? portOf(part('port')), base)),
    database,
    user,
    ...(password === undefined ? {} : { password }),
    ...(targetSessionAttrs === undefined ? {} : { targetSessionAttrs }),
    ...(connectTimeoutSeconds === undefined ? {} : { connectTimeoutSeconds }),
    tls,
  }
}

/** A port that is given alone replaces that of every host of the uri. */
function placesOf(
  host: string | undefined,
  port: string | undefined,
  base: ConnectionConfig | undefined,
): readonly HostPort[] {
  if (base === undefined) return parseHosts(host ?? '', port)
  if (host !== undefined) return parseHosts(host, port ?? String(base.port))
  const places = hostsOf(base)
  if (port === undefined) return places
  const ports = parseHosts(places.map(() => 'any').join(','), port)
  return places.map((place, index) => ({ ...place, port: ports[index]?.port ?? place.port }))
}

/** Files made with `echo` end in a line break that nobody meant. */
function firstOf(files: Readonly<Record<string, string>>, keys: readonly string[]): string | undefined {
  const values = keys.map((key) => files[key]?.replace(/\r?\n$/, ''))
  return values.find((value) => value !== undefined && value !== '')
}

/** One port or, like the hosts, several; checked here so that no message shows what a Secret holds. */
function portOf(text: string | undefined): string | undefined {
  const ports = text?.split(',').map(Number) ?? []
  if (ports.every((port) => Number.isInteger(port) && port >= 1 && port <= 65_535)) return text
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

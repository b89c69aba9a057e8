import { PgpackError } from '../errors.ts'
import { type Login, logIn } from './connection-login.ts'
import { describeConnection } from './describe.ts'
import { postgresError } from './errors.ts'
import { byAddress, describeHost, hostsOf } from './hosts.ts'
import { refuseTransactionPool } from './pgbouncer.ts'
import { describeServer, listSettings, type ServerInfo, setUpSession } from './session.ts'
import type { ConnectionConfig, HostPort, SessionSetting, SessionSettings, TargetSessionAttrs } from './types.ts'
import { guarded } from './wire.ts'

export interface OpenOptions {
  /** Bounds the session's whole life: when it fires, whatever runs is cancelled and nothing new is begun. */
  readonly signal?: AbortSignal
  /** What pg_stat_activity shows. */
  readonly applicationName?: string
  /** Set last, so that they win over what every session is set up with. */
  readonly session?: SessionSettings
}

/** A session that is set up, and the server it is with. */
export interface Session extends Login {
  readonly server: ServerInfo
  /** Leads to this server only: one host, at the address that answered. */
  readonly config: ConnectionConfig
}

/** What a server has to be; PreferStandby is Standby first and then Any. */
type Role = Exclude<TargetSessionAttrs, 'PreferStandby'>

interface Candidate {
  readonly config: ConnectionConfig
  readonly role: Role
}

const CONNECT_TIMEOUT_SECONDS = 15
/** The server is starting up, shutting down or in recovery without taking sessions (cannot_connect_now). */
const NOT_NOW = '57P03'

/**
 * Opens a session with the first host that will do, as libpq tries them: on to the next one where nobody answers or the
 * server is not what targetSessionAttrs wants; any other refusal would be the same elsewhere and is final.
 * @throws PgpackError with the cause at each host that was tried
 */
export async function openSession(config: ConnectionConfig, options: OpenOptions): Promise<Session> {
  const action = `cannot connect to ${describeConnection(config)}`
  const settings = listSettings(options.session ?? {})
  const failures = new Map<string, unknown>()
  for await (const candidate of candidatesOf(config)) {
    try {
      return await attempt(candidate, settings, options)
    } catch (error) {
      failures.set(describeHost(candidate.config), error)
      if (options.signal?.aborted) throw postgresError(error, { action, connecting: true, cancelled: true })
      if (!isWorthAnotherHost(explain(error, action))) break
    }
  }
  throw summary(failures, action)
}

async function* candidatesOf(config: ConnectionConfig): AsyncGenerator<Candidate> {
  const { targetSessionAttrs = 'Any' } = config
  const roles: readonly Role[] = targetSessionAttrs === 'PreferStandby' ? ['Standby', 'Any'] : [targetSessionAttrs]
  for (const role of roles) {
    for (const host of hostsOf(config)) {
      // Where any server will do, Node tries a name's addresses side by side, which is quicker.
      const places = role === 'Any' ? [host] : await byAddress(host)
      for (const place of places) yield { config: at(config, place), role }
    }
  }
}

function at(config: ConnectionConfig, place: HostPort): ConnectionConfig {
  const { hosts: _hosts, hostAddress: _address, targetSessionAttrs: _attrs, ...rest } = config
  return { ...rest, ...place }
}

async function attempt(candidate: Candidate, settings: readonly SessionSetting[], options: OpenOptions) {
  const seconds = candidate.config.connectTimeoutSeconds ?? CONNECT_TIMEOUT_SECONDS
  const timeout = AbortSignal.timeout(seconds * 1000)
  const signal = AbortSignal.any([timeout, ...(options.signal === undefined ? [] : [options.signal])])
  try {
    return await open(candidate, settings, options.applicationName ?? 'pgpack', signal)
  } catch (cause) {
    if (!timeout.aborted) throw cause
    throw new PgpackError('POSTGRES_UNREACHABLE', `no session within ${seconds} s`, { cause })
  }
}

async function open(
  { config, role }: Candidate,
  settings: readonly SessionSetting[],
  applicationName: string,
  signal: AbortSignal,
): Promise<Session> {
  const login = await logIn(config, applicationName, signal)
  const { client, wire, key } = login
  return guarded(wire.socket, signal, async () => {
    const server = await describeServer(client)
    checkRole(server, role)
    if (server.processId !== key.processID) {
      await refuseTransactionPool(client, signal, (patience) => logIn(config, applicationName, patience))
    }
    await setUpSession(client, settings)
    const { remoteAddress } = wire.socket
    return {
      ...login,
      server,
      config: remoteAddress === undefined ? config : { ...config, hostAddress: remoteAddress },
    }
  })
}

function checkRole({ inRecovery, readOnly }: ServerInfo, role: Role): void {
  const suits: Readonly<Record<Role, boolean>> = {
    Any: true,
    ReadWrite: !readOnly,
    ReadOnly: readOnly,
    Primary: !inRecovery,
    Standby: inRecovery,
  }
  if (suits[role]) return
  const primary = readOnly ? 'a primary whose sessions are read-only' : 'a primary'
  const found = inRecovery ? 'a standby' : primary
  throw new PgpackError('POSTGRES_BUSY', `the server is ${found}, but targetSessionAttrs is ${role}`, {
    expected: role,
    found,
  })
}

function isWorthAnotherHost({ code, details }: PgpackError): boolean {
  if (code === 'POSTGRES_UNREACHABLE' || code === 'POSTGRES_CONNECTION_LOST') return true
  return code === 'POSTGRES_BUSY' && (details.status === undefined || details.status === NOT_NOW)
}

function explain(error: unknown, action: string): PgpackError {
  if (!(error instanceof PgpackError)) return postgresError(error, { action, connecting: true })
  const { code, message, retryable, details } = error
  return new PgpackError(code, `${action}: ${message}`, { ...details, retryable, cause: error })
}

/** One error for all hosts. Its code is that of the refusal that ended the search, or says that no host would do. */
function summary(failures: ReadonlyMap<string, unknown>, action: string): PgpackError {
  const all = [...failures].map(([host, error]) => explain(error, failures.size === 1 ? action : host))
  const last = all.at(-1)
  if (last === undefined) return new PgpackError('CONFIG_INVALID', `${action}: no host is given`)
  if (all.length === 1) return last
  const message = `${action}: ${all.map((failure) => failure.message).join('; ')}`
  if (!isWorthAnotherHost(last)) return new PgpackError(last.code, message, { ...last.details, cause: last })
  const code = all.every((failure) => failure.code === 'POSTGRES_BUSY') ? 'POSTGRES_BUSY' : 'POSTGRES_UNREACHABLE'
  return new PgpackError(code, message, { cause: last })
}

import pg from 'pg'
import { PgpackError } from '../errors.ts'
import type { BackendKey } from './cancel.ts'
import { bindChannel, checkBinding } from './channel-binding.ts'
import { sqlState } from './errors.ts'
import { rowTypes } from './session.ts'
import type { ConnectionConfig } from './types.ts'
import { guarded, openPlain, openWire, type Wire } from './wire.ts'

/** A session that the server has let in, as the server sets it up. */
export interface Login {
  readonly client: pg.Client
  readonly wire: Wire
  /** What a CancelRequest must show; its process id is the backend's unless a pool stands in between. */
  readonly key: BackendKey
}

/**
 * Connects to a configuration's one host: TCP, TLS and authentication.
 * @throws PgpackError POSTGRES_TLS, POSTGRES_AUTHENTICATION, CONFIG_INVALID; what pg, the socket or the server threw, as
 *   it is; the signal's reason when it fires
 */
export async function logIn(config: ConnectionConfig, applicationName: string, signal: AbortSignal): Promise<Login> {
  checkBinding(config)
  const wire = await openWire(config, signal)
  try {
    return await authenticate(wire, config, applicationName, signal)
  } catch (error) {
    // No pg_hba.conf entry for TLS: libpq's `prefer` then goes without.
    const refused = wire.encrypted && sqlState(error) === '28000'
    if (config.tls.mode !== 'Prefer' || config.tls.channelBinding === 'Require' || !refused) throw error
    return authenticate(await openPlain(config, signal), config, applicationName, signal)
  }
}

function authenticate(wire: Wire, config: ConnectionConfig, applicationName: string, signal: AbortSignal) {
  return guarded(wire.socket, signal, async (): Promise<Login> => {
    const binding = bindChannel(config, wire)
    const client = clientOver(wire, config, {
      application_name: applicationName,
      enableChannelBinding: binding.enabled,
      // As a function, for with an absent password pg would look into the environment and ~/.pgpass.
      password: () => binding.release(config.password ?? ''),
    })
    binding.watch(client.connection)
    let key: BackendKey | undefined
    client.connection.on('backendKeyData', ({ processID, secretKey }: BackendKey) => {
      key = { processID, secretKey }
    })
    // An idle session that breaks has no query to tell; `Wire.failure` and the next query do.
    client.on('error', (error) => {
      wire.failure ??= error
    })
    await client.connect()
    binding.checkUsed()
    if (key === undefined) throw new PgpackError('POSTGRES_PROTOCOL', 'the server gave no key to cancel queries with')
    return { client, wire, key }
  })
}

type ClientOptions = pg.ClientConfig & { readonly enableChannelBinding: boolean }

/** pg's Client over a connection that is already open; of its own accord it would connect and start TLS itself. */
function clientOver(wire: Wire, config: ConnectionConfig, options: ClientOptions): pg.Client {
  const { socket } = wire
  Object.defineProperty(socket, 'connect', {
    value: () => {
      queueMicrotask(() => socket.emit('connect'))
      return socket
    },
  })
  return new pg.Client({
    host: config.host,
    port: config.port,
    database: config.database,
    user: config.user,
    ssl: false,
    sslnegotiation: 'postgres',
    types: rowTypes,
    stream: () => socket,
    ...options,
  })
}

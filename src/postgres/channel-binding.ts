import type pg from 'pg'
import { PgpackError } from '../errors.ts'
import type { ConnectionConfig } from './types.ts'
import { type Wire, wantsTLS } from './wire.ts'

/** The SASL mechanism that binds the authentication to the TLS channel it goes over (RFC 5929, tls-server-end-point). */
const BOUND = 'SCRAM-SHA-256-PLUS'

/** What channelBinding asks of one authentication. */
export interface Binding {
  /** For pg's Client: use the bound mechanism where the server offers it. */
  readonly enabled: boolean
  /** Called before the client connects, so that it hears of each request before pg answers it. */
  watch(connection: pg.Connection): void
  /** The password for pg's answer. @throws PgpackError where the answer would not be bound and has to be */
  release(password: string): string
  /** After the server let us in. @throws PgpackError where it did so without the bound mechanism and had to use it */
  checkUsed(): void
}

/** @throws PgpackError CONFIG_INVALID where binding is required on a connection that cannot be encrypted */
export function checkBinding(config: ConnectionConfig): void {
  if (config.tls.channelBinding !== 'Require' || wantsTLS(config)) return
  const why = config.host.startsWith('/') ? 'a Unix socket has no TLS' : 'TLS mode Disable has none'
  throw new PgpackError('CONFIG_INVALID', `channelBinding Require needs TLS: ${why}`)
}

/**
 * libpq's channel_binding. With Require the password is used for nothing but SCRAM over this very TLS session, so that
 * somebody in between learns nothing even when no certificate is verified.
 */
export function bindChannel(config: ConnectionConfig, wire: Wire): Binding {
  const required = config.tls.channelBinding === 'Require'
  let asked = 'nothing'
  let proven = false
  const check = () => {
    if (required && !wire.encrypted) throw unbound('the server does not offer TLS')
    if (required && asked !== BOUND) throw unbound(`it asks for ${asked}`)
  }
  return {
    enabled: wire.encrypted && config.tls.channelBinding !== 'Disable',
    watch(connection) {
      connection.on('authenticationCleartextPassword', () => {
        asked = 'the password itself'
      })
      connection.on('authenticationMD5Password', () => {
        asked = 'an MD5 hash'
      })
      connection.on('authenticationSASL', ({ mechanisms }: { readonly mechanisms: readonly string[] }) => {
        asked = mechanisms.includes(BOUND) ? BOUND : mechanisms.join(', ')
      })
      connection.on('authenticationSASLFinal', () => {
        proven = true
      })
    },
    release(password) {
      check()
      return password
    },
    checkUsed() {
      check()
      if (required && !proven) throw unbound('it let us in without the proof that it knows the password')
    },
  }
}

function unbound(why: string): PgpackError {
  return new PgpackError('POSTGRES_AUTHENTICATION', `channelBinding Require wants ${BOUND} of the server: ${why}`, {
    expected: BOUND,
  })
}

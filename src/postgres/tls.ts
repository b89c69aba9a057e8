import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import {
  type ConnectionOptions,
  connect as connectTLS,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import { errorCode, errorMessage, PgpackError } from '../errors.ts'
import type { ConnectionConfig, TLSConfig } from './types.ts'

/** SSLRequest: its length and the code 1234.5679 in place of a protocol version (protocol chapter, "SSLRequest"). */
const SSL_REQUEST = Buffer.of(0, 0, 0, 8, 4, 210, 22, 47)
const ACCEPTED = 'S'.charCodeAt(0)
const DECLINED = 'N'.charCodeAt(0)

/**
 * Asks for TLS on a fresh connection, before anything else is sent, and makes the handshake.
 * @throws PgpackError POSTGRES_TLS where the server has none or the certificates do not hold; CONFIG_INVALID for
 *   certificates and keys of ours that cannot be used; socket errors as they are.
 */
export async function startTLS(socket: Socket, config: ConnectionConfig): Promise<TLSSocket> {
  const options = tlsOptions(config)
  await requestTLS(socket)
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => reject(handshakeError(error))
    const onClose = () => reject(handshakeError(new Error('the server closed the connection during the handshake')))
    const secure = connectTLS({ ...options, socket }, () => {
      secure.off('error', onError).off('close', onClose)
      resolve(secure)
    })
    secure.once('error', onError).once('close', onClose)
  })
}

async function requestTLS(socket: Socket): Promise<void> {
  const answer = await firstBytes(socket, SSL_REQUEST)
  if (answer.length === 1 && answer[0] === ACCEPTED) return
  if (answer[0] === DECLINED) {
    throw new PgpackError('POSTGRES_TLS', 'the server does not offer TLS; use mode Disable or Prefer to go without')
  }
  // More than one byte now could only come from somebody in the middle (CVE-2021-23222).
  throw new PgpackError('POSTGRES_TLS', 'the server answered the request for TLS with something else', {
    expected: 'S or N',
    found: `${answer.length} bytes`,
  })
}

function firstBytes(socket: Socket, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const listeners = { data: (bytes: Buffer) => done(() => resolve(bytes)), error: onError, close: onClose }
    function done(settle: () => void) {
      socket.off('data', listeners.data).off('error', onError).off('close', onClose).pause()
      settle()
    }
    function onError(error: Error) {
      done(() => reject(error))
    }
    function onClose() {
      done(() => reject(new Error('the server closed the connection before TLS began')))
    }
    socket.on('data', listeners.data).on('error', onError).on('close', onClose)
    socket.write(request)
  })
}

function handshakeError(error: Error): PgpackError {
  const status = errorCode(error)
  const message = `the TLS handshake failed: ${errorMessage(error)}`
  // A reset can come from a server that is just going down; a certificate that does not fit will not mend itself.
  const retryable = status === 'ECONNRESET' || status === 'EPIPE'
  return new PgpackError('POSTGRES_TLS', message, {
    cause: error,
    retryable,
    ...(status === undefined ? {} : { status }),
  })
}

/** libpq's reading of sslmode: Require checks the certificate when a CA is given, and then as VerifyCA does. */
function tlsOptions({ host, tls }: ConnectionConfig): ConnectionOptions {
  const { mode, ca } = tls
  if (mode === 'VerifyCA' && ca === undefined) {
    // With the public authorities anybody's certificate would do.
    throw new PgpackError('CONFIG_INVALID', 'TLS mode VerifyCA needs a CA certificate; VerifyFull can do without')
  }
  const verified = mode === 'VerifyFull' || mode === 'VerifyCA' || (mode === 'Require' && ca !== undefined)
  return {
    host,
    // RFC 6066 allows no address here.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: verified,
    ...(mode === 'VerifyFull' ? {} : { checkServerIdentity: () => undefined }),
    secureContext: secureContext(tls),
  }
}

function secureContext({ ca, cert, key }: TLSConfig): SecureContext {
  if (key !== undefined && /ENCRYPTED/.test(key)) {
    const remedy = 'give it without one (openssl pkey -in tls.key -out plain.key)'
    throw new PgpackError(
      'CONFIG_INVALID',
      `the client key is encrypted, and nobody can type its passphrase: ${remedy}`,
    )
  }
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? 'key is given without its certificate' : 'certificate is given without its key'
    throw new PgpackError('CONFIG_INVALID', `the client ${missing}`)
  }
  if (ca !== undefined) usable('the CA certificate', () => new X509Certificate(ca))
  if (cert !== undefined) usable('the client certificate', () => new X509Certificate(cert))
  if (key !== undefined) usable('the client key', () => createPrivateKey(key))
  return usable('the client certificate with this key', () => createSecureContext({ ca, cert, key }))
}

/** OpenSSL's errors about a PEM text name neither the file nor what was expected. */
function usable<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `${what} cannot be used, expected PEM: ${errorMessage(cause)}`, { cause })
  }
}

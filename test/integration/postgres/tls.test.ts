import { createPrivateKey, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect } from '../../../src/postgres/connection.ts'
import { startTLS } from '../../../src/postgres/tls.ts'
import type { ConnectionConfig, TLSConfig } from '../../../src/postgres/types.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'
import { itSince } from '../../support/since.ts'

const started: PostgresServer[] = []
afterAll(() => Promise.all(started.map((server) => server.stop())))

async function start(options: Parameters<typeof startPostgres>[0]): Promise<PostgresServer> {
  const server = await startPostgres(options)
  started.push(server)
  return server
}

async function open(server: PostgresServer, tls: TLSConfig, rest: Partial<ConnectionConfig> = {}): Promise<boolean> {
  const connection = await connect({ ...server.config('postgres'), host: 'localhost', tls, ...rest })
  try {
    return connection.wire.encrypted
  } finally {
    await connection.close()
  }
}

describe('a client certificate', () => {
  let server: PostgresServer
  let certified: { readonly cert: string; readonly key: string }
  beforeAll(async () => {
    server = await start({ tls: true, authentication: 'cert' })
    const { clientCert: cert = '', clientKey: key = '' } = server.certificates ?? {}
    certified = { cert, key }
  }, 120_000)

  it('proves who asks under every mode with TLS', async () => {
    const ca = server.certificates?.ca ?? ''
    const modes: TLSConfig[] = [
      { mode: 'Prefer' },
      { mode: 'Require' },
      { mode: 'VerifyCA', ca },
      { mode: 'VerifyFull', ca },
    ]
    for (const tls of modes) expect(await open(server, { ...tls, ...certified })).toBe(true)
    await expect(open(server, { mode: 'Disable' })).rejects.toMatchObject({ code: 'POSTGRES_AUTHENTICATION' })
  })

  it('by another authority is refused', async () => {
    const other = await start({ tls: true })
    const { clientCert: cert = '', clientKey: key = '' } = other.certificates ?? {}
    const failing = open(server, { mode: 'Require', cert, key })
    await expect(failing).rejects.toMatchObject({ code: 'POSTGRES_TLS', retryable: false, message: /unknown ca/ })
  })

  it.each<[string, (given: TLSConfig) => Partial<TLSConfig>, RegExp]>([
    [
      'a key in PKCS #8 with a passphrase',
      ({ key = '' }) => ({ key: encrypted(key, 'pkcs8') }),
      /client key is encrypted.*openssl pkey/,
    ],
    ['an old key with a passphrase', ({ key = '' }) => ({ key: encrypted(key, 'sec1') }), /client key is encrypted/],
    ['a key that is no PEM', () => ({ key: 'nonsense' }), /the client key cannot be used/],
    ['a certificate that is no PEM', () => ({ cert: 'nonsense' }), /the client certificate cannot be used/],
    ['a CA that is no PEM', () => ({ ca: 'nonsense' }), /the CA certificate cannot be used/],
  ])('with %s is refused with what to do', async (_, spoil, message) => {
    const tls: TLSConfig = { mode: 'Prefer', ...certified }
    const failing = open(server, { ...tls, ...spoil(tls) })
    await expect(failing).rejects.toMatchObject({ code: 'CONFIG_INVALID', retryable: false, message })
  })

  it('and its key are refused one without the other, or with the wrong one', async () => {
    const { cert, key } = certified
    const other = started.at(-1)?.certificates?.clientKey ?? ''
    await expect(open(server, { mode: 'Require', cert })).rejects.toThrow(/certificate is given without its key/)
    await expect(open(server, { mode: 'Require', key })).rejects.toThrow(/key is given without its certificate/)
    const mixed = open(server, { mode: 'Require', cert, key: other })
    await expect(mixed).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /certificate with this key/ })
  })

  function encrypted(key: string, type: 'pkcs8' | 'sec1'): string {
    const options = { type, format: 'pem', cipher: 'aes-256-cbc', passphrase: randomBytes(8).toString('hex') } as const
    return createPrivateKey(key).export(options).toString()
  }
})

describe('channel binding', () => {
  let server: PostgresServer
  let between: Server
  beforeAll(async () => {
    server = await start({ tls: true, authentication: 'scram-sha-256' })
    between = await startBetween(server)
  }, 120_000)
  afterAll(() => {
    between.close()
  })

  it('is no hindrance where nobody asks for it', async () => {
    for (const channelBinding of ['Disable', 'Prefer'] as const) {
      expect(await open(server, { mode: 'Require', channelBinding })).toBe(true)
      expect(await open(server, { mode: 'Disable', channelBinding })).toBe(false)
    }
  })

  it.each<[string, TLSConfig, Partial<ConnectionConfig>]>([
    ['TLS mode Disable', { mode: 'Disable' }, {}],
    ['a Unix socket', { mode: 'Require' }, { host: '/tmp' }],
  ])('cannot be required with %s', async (_, tls, rest) => {
    const failing = open(server, { ...tls, channelBinding: 'Require' }, rest)
    await expect(failing).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /channelBinding Require needs TLS/ })
  })

  it('is not had from a server without TLS, under Prefer either', async () => {
    const plain = await start({ authentication: 'scram-sha-256' })
    const failing = open(plain, { mode: 'Prefer', channelBinding: 'Require' })
    await expect(failing).rejects.toMatchObject({ code: 'POSTGRES_AUTHENTICATION', message: /does not offer TLS/ })
  })

  it.each([
    ['trust', /it asks for nothing/],
    ['password', /it asks for the password itself/],
    ['md5', /it asks for an MD5 hash/],
  ] as const)('is not had from a server that authenticates by %s', async (authentication, message) => {
    const other = await start({ tls: true, authentication })
    expect(await open(other, { mode: 'Require', channelBinding: 'Prefer' })).toBe(true)
    const failing = open(other, { mode: 'Require', channelBinding: 'Require' })
    await expect(failing).rejects.toMatchObject({ code: 'POSTGRES_AUTHENTICATION', retryable: false, message })
  })

  // PostgreSQL 10 offers SCRAM without it.
  if (testedMajor < 11) {
    it('is not had from a server that is too old for it', async () => {
      const failing = open(server, { mode: 'Require', channelBinding: 'Require' })
      await expect(failing).rejects.toMatchObject({
        code: 'POSTGRES_AUTHENTICATION',
        message: /asks for SCRAM-SHA-256$/,
      })
    })
  }

  itSince(11)('is used when it is required, and says when the password is wrong', async () => {
    expect(await open(server, { mode: 'Require', channelBinding: 'Require' })).toBe(true)
    expect(await open(server, { mode: 'Prefer', channelBinding: 'Require' })).toBe(true)
    const failing = open(server, { mode: 'Require', channelBinding: 'Require' }, { password: 'wrong' })
    await expect(failing).rejects.toMatchObject({ code: 'POSTGRES_AUTHENTICATION', message: /password auth/ })
  })

  itSince(11)('notices somebody between whose certificate the client takes', async () => {
    const { port } = between.address() as AddressInfo
    for (const channelBinding of ['Prefer', 'Require'] as const) {
      const failing = open(server, { mode: 'Require', channelBinding }, { port })
      await expect(failing).rejects.toMatchObject({ code: 'POSTGRES_AUTHENTICATION', message: /channel binding/ })
    }
    expect(await open(server, { mode: 'Require', channelBinding: 'Disable' }, { port })).toBe(true)
  })
})

/** Ends the client's TLS with a certificate of its own, and speaks TLS with the server itself: somebody in the middle. */
async function startBetween(server: PostgresServer): Promise<Server> {
  const { clientCert: cert = '', clientKey: key = '' } = server.certificates ?? {}
  const config: ConnectionConfig = { ...server.config('postgres'), tls: { mode: 'Require' } }
  const serve = async (socket: Socket) => {
    await once(socket, 'readable')
    socket.read()
    socket.write('S')
    const near = new TLSSocket(socket, { isServer: true, cert, key })
    const upstream = new Socket()
    upstream.connect(config.port, config.host)
    await once(upstream, 'connect')
    const far = await startTLS(upstream, config)
    await Promise.allSettled([pipeline(near, far), pipeline(far, near)])
  }
  const between = createServer((socket) => void serve(socket))
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  return between
}

import { describe, expect, it } from '@jest/globals'
import { connectionFromSecret } from '../../../src/postgres/secret.ts'

const tls = { mode: 'Require' } as const

describe('connectionFromSecret', () => {
  it("reads CloudNativePG's <cluster>-app", () => {
    const files = {
      dbname: 'app',
      'fqdn-uri': 'postgresql://app:pw@shop-rw.ns.svc.cluster.local:5432/app',
      host: 'shop-rw',
      'jdbc-uri': 'jdbc:postgresql://shop-rw.ns:5432/app?password=pw&user=app',
      password: 'pw',
      pgpass: 'shop-rw:5432:app:app:pw\n',
      port: '5432',
      uri: 'postgresql://app:pw@shop-rw.ns:5432/app',
      user: 'app',
      username: 'app',
    }
    const expected = { host: 'shop-rw', port: 5432, database: 'app', user: 'app', password: 'pw', tls }
    expect(connectionFromSecret(files, { tls })).toEqual(expected)
  })

  it("reads Crunchy's <cluster>-pguser-<user>", () => {
    const files = {
      dbname: 'zoo',
      host: 'zoo-primary.ns.svc',
      password: 'p:w',
      port: '5432',
      user: 'zebra',
      verifier: 'SCRAM',
    }
    const expected = { host: 'zoo-primary.ns.svc', port: 5432, database: 'zoo', user: 'zebra', password: 'p:w', tls }
    expect(connectionFromSecret(files, { tls })).toEqual(expected)
  })

  it("reads Zalando's, with host and database given inline", () => {
    const files = { username: 'zalando', password: 'pw' }
    const overrides = { tls, host: 'acid-minimal', database: 'foo', port: 6432 }
    expect(connectionFromSecret(files, overrides)).toEqual({ ...overrides, user: 'zalando', password: 'pw' })
  })

  it('reads a plain uri, and lets single keys and inline values go before it', () => {
    const uri = 'postgres://me:p%40w@h:1/d?sslmode=disable'
    expect(connectionFromSecret({ uri }, { tls })).toEqual({
      host: 'h',
      port: 1,
      database: 'd',
      user: 'me',
      password: 'p@w',
      tls,
    })
    const mixed = connectionFromSecret({ uri, password: 'newer', port: '2' }, { tls, host: 'inline', port: 3 })
    expect(mixed).toMatchObject({ host: 'inline', port: 3, database: 'd', user: 'me', password: 'newer' })
  })

  it('takes the line break off that echo puts at the end, and nothing more', () => {
    const files = { username: 'u\n', password: ' p \r\n', host: 'h\n', dbname: 'd\n', port: '5433\n' }
    expect(connectionFromSecret(files, { tls })).toMatchObject({ user: 'u', password: ' p ', host: 'h', port: 5433 })
  })

  it('does without a password where a client certificate proves who asks', () => {
    const certified = { mode: 'VerifyFull', cert: 'PEM', key: 'PEM' } as const
    const files = { user: 'u', host: 'h', dbname: 'd' }
    expect(connectionFromSecret(files, { tls: certified })).not.toHaveProperty('password')
    expect(() => connectionFromSecret(files, { tls })).toThrow(/lacks password/)
  })

  it.each<[Record<string, string>, RegExp]>([
    [
      { username: 'root-user', password: 's3cret' },
      /lacks host, database: .*dbname or database.*host and database beside secretRef.*has password, username/,
    ],
    [{ host: 'h', dbname: 'd', password: 's3cret' }, /lacks user: expected its key username or user, or uri; it has/],
    [{}, /it has no keys/],
    [{ user: 'u', password: '', host: 'h', dbname: 'd' }, /lacks password/],
    [{ user: 'u', password: 's3cret', host: 'h', dbname: 'd', port: 's3cret' }, /port is not a port number/],
    [{ uri: 'http://me:s3cret@h/d' }, /begin with postgres/],
  ])('names the keys that %j lacks, and no value', (files, message) => {
    const attempt = () => connectionFromSecret(files, { tls })
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(attempt).toThrow(expect.objectContaining({ message: expect.not.stringMatching(/s3cret|root-user/) }))
  })
})

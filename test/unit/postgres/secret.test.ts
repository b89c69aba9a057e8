import { describe, expect, it } from '@jest/globals'
import { connectionFromSecret } from '../../../src/postgres/secret.ts'

const tls = { mode: 'Require' } as const

/** As pkg/specs/secrets.go of CloudNativePG 1.27 makes it. */
const CLOUDNATIVEPG = {
  username: 'app',
  user: 'app',
  password: 'p@w/',
  dbname: 'app',
  host: 'shop-rw',
  port: '5432',
  pgpass: 'shop-rw:5432:app:app:p@w/\n',
  uri: 'postgresql://app:p%40w%2F@shop-rw.ns:5432/app',
  'jdbc-uri': 'jdbc:postgresql://shop-rw.ns:5432/app?password=p%40w%2F&user=app',
  'fqdn-uri': 'postgresql://app:p%40w%2F@shop-rw.ns.svc.cluster.local:5432/app',
  'fqdn-jdbc-uri': 'jdbc:postgresql://shop-rw.ns.svc.cluster.local:5432/app?password=p%40w%2F&user=app',
}

/** As PGO 5 makes it for a user with a database in a cluster with PgBouncer. */
const CRUNCHY = {
  host: 'zoo-primary.ns.svc',
  port: '5432',
  user: 'zebra',
  password: 'p:w',
  verifier: 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy',
  dbname: 'zoo',
  uri: 'postgresql://zebra:p%3Aw@zoo-primary.ns.svc:5432/zoo',
  'jdbc-uri': 'jdbc:postgresql://zoo-primary.ns.svc:5432/zoo?password=p%3Aw&user=zebra',
  'pgbouncer-host': 'zoo-pgbouncer.ns.svc',
  'pgbouncer-port': '6432',
  'pgbouncer-uri': 'postgresql://zebra:p%3Aw@zoo-pgbouncer.ns.svc:6432/zoo',
  'pgbouncer-jdbc-uri': 'jdbc:postgresql://zoo-pgbouncer.ns.svc:6432/zoo?password=p%3Aw&prepareThreshold=0&user=zebra',
}

/** Zalando's `<user>.<cluster>.credentials.postgresql.acid.zalan.do`. */
const ZALANDO = { username: 'zalando', password: 'pw' }

describe('connectionFromSecret', () => {
  it.each([
    [
      "CloudNativePG's <cluster>-app",
      CLOUDNATIVEPG,
      { host: 'shop-rw', database: 'app', user: 'app', password: 'p@w/' },
    ],
    [
      "Crunchy's <cluster>-pguser-<user>",
      CRUNCHY,
      { host: 'zoo-primary.ns.svc', database: 'zoo', user: 'zebra', password: 'p:w' },
    ],
  ])("reads %s, and takes no pool's address", (_, files, expected) => {
    expect(connectionFromSecret(files, { tls })).toEqual({ ...expected, port: 5432, tls })
  })

  it('reads their uri alone', () => {
    const shop = { host: 'shop-rw.ns', database: 'app', user: 'app', password: 'p@w/' }
    expect(connectionFromSecret({ uri: CLOUDNATIVEPG.uri }, { tls })).toEqual({ ...shop, port: 5432, tls })
    const zoo = { host: 'zoo-primary.ns.svc', database: 'zoo', user: 'zebra', password: 'p:w' }
    expect(connectionFromSecret({ uri: CRUNCHY.uri }, { tls })).toEqual({ ...zoo, port: 5432, tls })
  })

  it('reads the fqdn-uri where there is no uri', () => {
    const files = { 'fqdn-uri': CLOUDNATIVEPG['fqdn-uri'] }
    expect(connectionFromSecret(files, { tls }).host).toBe('shop-rw.ns.svc.cluster.local')
  })

  it("reads Zalando's, with host and database given inline", () => {
    const overrides = { tls, host: 'acid-minimal', database: 'foo', port: 6432 }
    expect(connectionFromSecret(ZALANDO, overrides)).toEqual({ ...overrides, user: 'zalando', password: 'pw' })
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

  describe('from a uri with parameters', () => {
    const query = 'sslmode=verify-full&channel_binding=require&target_session_attrs=read-only&connect_timeout=3'
    const uri = `postgres://me:pw@a:1,b/d?${query}`

    it('takes them all', () => {
      expect(connectionFromSecret({ uri }, {})).toEqual({
        host: 'a',
        port: 1,
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 5432 },
        ],
        database: 'd',
        user: 'me',
        password: 'pw',
        targetSessionAttrs: 'ReadOnly',
        connectTimeoutSeconds: 3,
        tls: { mode: 'VerifyFull', channelBinding: 'Require' },
      })
    })

    it('lets what the resource says go before them, one by one', () => {
      const overrides = { targetSessionAttrs: 'Standby', tls: { mode: 'VerifyCA', ca: 'PEM' } } as const
      expect(connectionFromSecret({ uri }, overrides)).toMatchObject({
        targetSessionAttrs: 'Standby',
        tls: { mode: 'VerifyCA', ca: 'PEM', channelBinding: 'Require' },
      })
      const elsewhere = connectionFromSecret({ uri }, { host: 'c' })
      expect(elsewhere).toMatchObject({ host: 'c', port: 1, targetSessionAttrs: 'ReadOnly' })
      expect(elsewhere).not.toHaveProperty('hosts')
      expect(connectionFromSecret({ uri }, { port: 7 }).hosts).toEqual([
        { host: 'a', port: 7 },
        { host: 'b', port: 7 },
      ])
    })
  })

  it('prefers TLS where neither says anything of it', () => {
    expect(connectionFromSecret({ uri: 'postgres://me:pw@h/d' }, {}).tls).toEqual({ mode: 'Prefer' })
    expect(connectionFromSecret(ZALANDO, { host: 'h', database: 'd' }).tls).toEqual({ mode: 'Prefer' })
  })

  it('reads several hosts, in the Secret or in the resource', () => {
    const hosts = [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ]
    const files = { user: 'u', password: 'pw', dbname: 'd' }
    expect(connectionFromSecret({ ...files, host: 'a,b', port: '1,2' }, {})).toMatchObject({ ...hosts[0], hosts })
    expect(connectionFromSecret({ ...files, host: 'x', port: '2' }, { host: 'a:1,b' })).toMatchObject({ hosts })
    expect(() => connectionFromSecret({ ...files, host: 'a,b,c', port: '1,2' }, {})).toThrow(/2 values of port for 3/)
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

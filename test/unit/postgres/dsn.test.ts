import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { describeConnection, parseDsn } from '../../../src/postgres/dsn.ts'
import { describeHost } from '../../../src/postgres/hosts.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgpack-dsn-'))
const pem = join(directory, 'ca.pem')
writeFileSync(pem, 'PEM')
afterAll(() => rmSync(directory, { recursive: true }))

describe('parseDsn', () => {
  it('reads every part', () => {
    const dsn = `postgresql://me:s3cret@db.example:6432/shop?sslmode=verify-ca&sslrootcert=${pem}&connect_timeout=7&application_name=x`
    expect(parseDsn(dsn)).toEqual({
      host: 'db.example',
      port: 6432,
      database: 'shop',
      user: 'me',
      password: 's3cret',
      tls: { mode: 'VerifyCA', ca: 'PEM' },
      connectTimeoutSeconds: 7,
    })
  })

  it('has the defaults of libpq', () => {
    expect(parseDsn('postgres://me@')).toEqual({
      host: 'localhost',
      port: 5432,
      database: 'me',
      user: 'me',
      tls: { mode: 'Prefer' },
    })
  })

  it.each([
    ['disable', 'Disable'],
    ['allow', 'Prefer'],
    ['prefer', 'Prefer'],
    ['require', 'Require'],
    ['verify-full', 'VerifyFull'],
  ])('reads sslmode=%s', (sslmode, mode) => {
    expect(parseDsn(`postgres://me@h/d?sslmode=${sslmode}`).tls).toEqual({ mode })
  })

  it('takes the public authorities by their name', () => {
    expect(parseDsn('postgres://me@h/d?sslrootcert=system').tls).toEqual({ mode: 'VerifyFull' })
  })

  it('reads addresses, Unix sockets and escapes', () => {
    expect(parseDsn('postgres://me@[::1]:5433/d')).toMatchObject({ host: '::1', port: 5433 })
    expect(parseDsn('postgres://me@/d?host=/run/postgresql')).toMatchObject({ host: '/run/postgresql', database: 'd' })
    expect(parseDsn('postgres://me@%2Frun%2Fpostgresql/d')).toMatchObject({ host: '/run/postgresql' })
    expect(parseDsn('postgres://us%40er:p%3Aw%2F%23@h/my%20db')).toMatchObject({
      user: 'us@er',
      password: 'p:w/#',
      database: 'my db',
    })
  })

  it('reads several hosts, in their order', () => {
    const hosts = [
      { host: 'a', port: 1 },
      { host: 'b', port: 5432 },
      { host: '::1', port: 3 },
    ]
    const dsn = 'postgres://me:s3cret@a:1,b,[::1]:3/d?target_session_attrs=read-write'
    const expected = {
      ...hosts[0],
      hosts,
      targetSessionAttrs: 'ReadWrite',
      database: 'd',
      user: 'me',
      password: 's3cret',
    }
    expect(parseDsn(dsn)).toMatchObject(expected)
    expect(parseDsn('postgres://me@/d?host=a,b,::1&port=1,,3')).toMatchObject({ hosts })
    expect(parseDsn('postgres://me@x:9,y/d?host=a,b,::1&port=1,,3')).toMatchObject({ hosts })
    expect(parseDsn("host=a,b,::1 port=1,,3 user=me dbname=d password='s3cret'")).toMatchObject({
      hosts,
      database: 'd',
    })
    expect(parseDsn('postgres://a,b', { PGUSER: 'me', PGPORT: '7' }).hosts).toEqual([
      { host: 'a', port: 7 },
      { host: 'b', port: 7 },
    ])
    expect(parseDsn('postgres://me@%2Ftmp,h/d').hosts?.map(({ host }) => host)).toEqual(['/tmp', 'h'])
  })

  it('takes an address beside the name, and for it where there is none', () => {
    expect(parseDsn('postgres://me@db/d?hostaddr=10.0.0.1')).toMatchObject({ host: 'db', hostAddress: '10.0.0.1' })
    expect(parseDsn('hostaddr=10.0.0.1 user=me')).toMatchObject({ host: '10.0.0.1', hostAddress: '10.0.0.1' })
  })

  it.each([
    ['any', 'Any'],
    ['read-write', 'ReadWrite'],
    ['read-only', 'ReadOnly'],
    ['primary', 'Primary'],
    ['standby', 'Standby'],
    ['prefer-standby', 'PreferStandby'],
  ])('reads target_session_attrs=%s', (value, targetSessionAttrs) => {
    expect(parseDsn(`postgres://me@h/d?target_session_attrs=${value}`)).toMatchObject({ targetSessionAttrs })
    expect(parseDsn('postgres://me@h/d', { PGTARGETSESSIONATTRS: value })).toMatchObject({ targetSessionAttrs })
  })

  it.each([
    ['disable', 'Disable'],
    ['prefer', 'Prefer'],
    ['require', 'Require'],
  ])('reads channel_binding=%s', (value, channelBinding) => {
    expect(parseDsn(`postgres://me@h/d?channel_binding=${value}`).tls).toEqual({ mode: 'Prefer', channelBinding })
    expect(parseDsn('postgres://me@h/d', { PGCHANNELBINDING: value }).tls).toMatchObject({ channelBinding })
  })

  it('reads back any list of hosts, whatever the password', () => {
    const port = fc.integer({ min: 1, max: 65_535 })
    const places = fc.array(fc.record({ host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), port }), { minLength: 2 })
    fc.assert(
      fc.property(places, fc.string({ unit: 'grapheme', minLength: 1 }), (hosts, password) => {
        const list = hosts.map(describeHost).join(',')
        const config = parseDsn(`postgres://me:${encodeURIComponent(password)}@${list}/d`)
        expect(config).toMatchObject({ hosts, password, database: 'd' })
      }),
    )
  })

  it('reads back any password that is escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (password) => {
        expect(parseDsn(`postgres://me:${encodeURIComponent(password)}@h/d`).password).toBe(password)
      }),
    )
  })

  it('fills in from the environment what the string leaves open, and nothing else', () => {
    const environment = {
      PGPASSWORD: 'from env',
      PGUSER: 'env',
      PGHOST: 'env',
      PGPORT: '1',
      PGDATABASE: 'env',
      PGSSLMODE: 'disable',
    }
    expect(parseDsn('postgres://me@h:2/d?sslmode=require', environment)).toEqual({
      host: 'h',
      port: 2,
      database: 'd',
      user: 'me',
      password: 'from env',
      tls: { mode: 'Require' },
    })
    expect(parseDsn('postgres://', environment)).toMatchObject({ host: 'env', port: 1, user: 'env', database: 'env' })
  })

  it.each([
    ['host h user me', /begin with postgres/],
    ['host=h', /names no user/],
    ['host=h user=me sslmod=disable', /sslmod are not supported/],
    ['mysql://me:s3cret@h/d', /begin with postgres/],
    ['postgres://h/d', /names no user/],
    ['postgres://me:s3cret@h:port/d', /not a URL/],
    ['postgres://me:s3cret@h:5432:1/d', /not a URL/],
    ['postgres://me:s3cret@one,,two/d', /host 2 of "one,,two" is empty/],
    ['postgres://me:s3cret@one:1,two:x/d', /port is "x"/],
    ['postgres://me:s3cret@one,two/d?port=1,2,3', /3 values of port for 2 hosts/],
    ['postgres://me,you:s3cret/@one,two/d', /not a URL/],
    ['postgres://me:s3cret@h/d?target_session_attrs=leader', /target_session_attrs is "leader": expected one of any/],
    ['postgres://me:s3cret@h/d?channel_binding=yes', /channel_binding is "yes"/],
    ['postgres//me:s3cret=@h', /begin with postgres/],
    ['postgres://me:s3cret@h/d?sslmode=maybe', /sslmode is "maybe"/],
    ['postgres://me:s3cret@h/d?options=-csearch_path=x&sslmod=disable', /options, sslmod are not supported/],
    ['postgres://me:s3cret@h/d?connect_timeout=soon', /connect_timeout is "soon"/],
    ['postgres://me:s3cret@h/d?sslrootcert=/nowhere.pem', /\/nowhere.pem/],
  ])('refuses %s, without showing the password', (dsn, message) => {
    const attempt = () => parseDsn(dsn)
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(attempt).not.toThrow(expect.objectContaining({ stack: expect.stringContaining('s3cret') }))
  })
})

describe('describeConnection', () => {
  it('shows the place and no credentials', () => {
    const shown = describeConnection(parseDsn('postgres://me:s3cret@[::1]/d'))
    expect(shown).toBe('[::1]:5432/d')
    expect(describeConnection(parseDsn('postgres://me:s3cret@h:1/d'))).toBe('h:1/d')
    expect(describeConnection(parseDsn('postgres://me:s3cret@a,b:1/d?hostaddr=10.0.0.1,'))).toBe('a:5432,b:1/d')
  })
})

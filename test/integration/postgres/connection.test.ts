import { createServer, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { connect, type PostgresConnection } from '../../../src/postgres/connection.ts'
import { copyOut } from '../../../src/postgres/copy-out.ts'
import type { ConnectionConfig, TLSConfig } from '../../../src/postgres/types.ts'
import { waitFor } from '../../cluster/processes.ts'
import { type PostgresServer, startPostgres, usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'

function activeOn({ processId }: PostgresConnection): string {
  return `select 1 as one from pg_stat_activity where pid = ${processId} and state = 'active'`
}

describe('connect', () => {
  const postgres = usePostgres({ authentication: 'scram-sha-256' })
  const opened: PostgresConnection[] = []

  async function open(config: Partial<ConnectionConfig> = {}, signal?: AbortSignal): Promise<PostgresConnection> {
    const options = signal === undefined ? {} : { signal }
    const connection = await connect(
      { ...postgres.database.config, ...config },
      { ...options, applicationName: 'pgpack/test' },
    )
    opened.push(connection)
    return connection
  }
  afterEach(async () => {
    for (const connection of opened.splice(0)) await connection.close()
  })

  it('tells what the server is', async () => {
    const connection = await open()
    expect(Math.floor(connection.versionNumber / 10_000)).toBe(testedMajor)
    expect(connection.version).toMatch(new RegExp(`^${testedMajor}\\.`))
    expect([connection.flavour, connection.inRecovery, connection.encoding]).toEqual(['PostgreSQL', false, 'UTF8'])
    expect(await connection.query('select pg_backend_pid() as pid')).toEqual([{ pid: connection.processId }])
  })

  it('takes a server with gp_toolkit for a Greenplum', async () => {
    await postgres.database.query('create schema gp_toolkit')
    expect((await open()).flavour).toBe('Greenplum')
  })

  it('gives UTF-8 out of a database in another encoding', async () => {
    const database = await postgres.server.createDatabase({ encoding: 'LATIN1' })
    try {
      const connection = await open({ database: database.name })
      expect(connection.encoding).toBe('LATIN1')
      expect(await connection.query('select chr(233) as letter, octet_length(chr(233)) as bytes')).toEqual([
        { letter: 'é', bytes: 1 },
      ])
      for await (const { data } of await copyOut(connection, 'COPY (select chr(233)) TO STDOUT')) {
        expect(data.toString('utf8')).toBe('é\n')
      }
      await connection.close()
    } finally {
      await database.drop()
    }
  })

  it('gives large numbers and dates as text, which loses nothing', async () => {
    const connection = await open()
    const sql = `select 9007199254740993::int8 as large, 1.10::numeric as exact, 'infinity'::date as day,
      true as yes, 7::int2 as small, 0.5::float8 as half, null::int4 as none, json_build_array('a') as list`
    expect(await connection.query(sql)).toEqual([
      {
        large: '9007199254740993',
        exact: '1.10',
        day: 'infinity',
        yes: true,
        small: 7,
        half: 0.5,
        none: null,
        list: ['a'],
      },
    ])
  })

  it('gives the rows of the last of several statements', async () => {
    expect(await (await open()).query('select 1 as a; select 2 as b')).toEqual([{ b: 2 }])
  })

  it('reaches the server by its Unix socket', async () => {
    const connection = await open({ host: postgres.server.socketDirectory, tls: { mode: 'Require' } })
    expect(await connection.query('select inet_client_addr() as address')).toEqual([{ address: null }])
    for await (const { data } of await copyOut(connection, 'COPY (select 1) TO STDOUT')) {
      expect(data.toString()).toBe('1\n')
    }
  })

  describe('failing', () => {
    it.each<[string, Partial<ConnectionConfig>, string, RegExp]>([
      [
        'a wrong password',
        { password: 'mistaken-s3cret' },
        'POSTGRES_AUTHENTICATION',
        /password authentication failed/,
      ],
      ['an unknown user', { user: 'nobody-at-all' }, 'POSTGRES_AUTHENTICATION', /nobody-at-all/],
      ['an unknown database', { database: 'nowhere' }, 'POSTGRES_NO_DATABASE', /nowhere.*does not exist/],
      ['a port where nobody listens', { port: 1 }, 'POSTGRES_UNREACHABLE', /ECONNREFUSED/],
      ['a name that does not resolve', { host: 'no.such.host.invalid' }, 'POSTGRES_UNREACHABLE', /no\.such\.host/],
      ['a Unix socket that is not there', { host: '/nowhere' }, 'POSTGRES_UNREACHABLE', /ENOENT/],
    ])('says so for %s, without the password', async (_, config, code, message) => {
      const error: unknown = await open(config).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
      expect(JSON.stringify(error) + String(error)).not.toMatch(/s3cret|p@ss/)
    })

    it('says that a password is wanted where none is given', async () => {
      const { password: _, ...config } = postgres.database.config
      await expect(connect(config)).rejects.toMatchObject({
        code: 'POSTGRES_AUTHENTICATION',
        message: expect.stringContaining('asks for a password and none was given'),
      })
    })

    it('names the place, not the credentials', async () => {
      const { host, port } = postgres.server
      const failing = open({ database: 'nowhere' })
      await expect(failing).rejects.toThrow(`cannot connect to ${host}:${port}/nowhere: `)
    })
  })

  it('calls a server without a free slot busy, which may pass', async () => {
    const small = await startPostgres({
      settings: { max_connections: 5, max_wal_senders: 0, superuser_reserved_connections: 0 },
    })
    const held: PostgresConnection[] = []
    try {
      const filling = async () => {
        for (;;) held.push(await connect(small.config('postgres')))
      }
      await expect(filling()).rejects.toMatchObject({ code: 'POSTGRES_BUSY', retryable: true })
    } finally {
      for (const connection of held) await connection.close()
      await small.stop()
    }
  })

  it('closes twice without harm, and refuses queries then', async () => {
    const connection = await open()
    await connection.close()
    await connection.close()
    await expect(connection.query('select 1')).rejects.toMatchObject({ code: 'POSTGRES_CONNECTION_LOST' })
  })

  it('rolls back what was not committed when it is closed', async () => {
    const connection = await open()
    await connection.query('create table t (id int)')
    await connection.query('begin; insert into t values (1)')
    await connection.close()
    expect(await postgres.database.query('select count(*)::int from t')).toEqual([{ count: 0 }])
  })

  it('notices that an idle session was terminated', async () => {
    const connection = await open()
    await postgres.server.query(`select pg_terminate_backend(${connection.processId})`)
    await waitFor('the session is closed', 5000, async () => connection.closed || undefined)
    await expect(connection.query('select 1')).rejects.toMatchObject({
      code: 'POSTGRES_CONNECTION_LOST',
      message: expect.stringContaining('terminating connection'),
    })
  })

  it('survives a restart of the server, as an error worth retrying', async () => {
    const connection = await open()
    const sleeping = connection.query('select pg_sleep(600)')
    const [failure] = await Promise.allSettled([sleeping, postgres.server.restart()])
    expect(failure).toMatchObject({ status: 'rejected', reason: { code: 'POSTGRES_CONNECTION_LOST', retryable: true } })
  })

  it('runs commands one after the other', async () => {
    const connection = await open()
    const answers = await Promise.allSettled([
      connection.query('select pg_sleep(0.1)::text, 1 as n'),
      connection.query('select 1 / 0 as n'),
      copyOut(connection, 'COPY (select 3) TO STDOUT').then(async (copy) => {
        for await (const { data } of copy) return data.toString()
        return undefined
      }),
      connection.query('select 4 as n'),
    ])
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(answers[2]).toMatchObject({ value: '3\n' })
    expect(answers[3]).toMatchObject({ value: [{ n: 4 }] })
  })

  describe('cancelling', () => {
    it('ends the query by its signal and keeps the session', async () => {
      const connection = await open()
      const controller = new AbortController()
      const sleeping = connection.query('select pg_sleep(600)', [], { signal: controller.signal })
      await waitFor('the backend sleeps', 5000, async () => (await postgres.server.query(activeOn(connection)))[0])
      controller.abort()
      await expect(sleeping).rejects.toMatchObject({ code: 'CANCELLED' })
      expect(await connection.query('select 1 as n')).toEqual([{ n: 1 }])
      expect(await postgres.server.query(activeOn(connection))).toEqual([])
    })

    it('is not lost on a command that the backend has yet to read', async () => {
      const connection = await open()
      for (let attempt = 0; attempt < 6; attempt += 1) {
        const controller = new AbortController()
        const sleeping = connection.query('select pg_sleep(600)', [], { signal: controller.signal })
        queueMicrotask(() => queueMicrotask(() => controller.abort()))
        await expect(sleeping).rejects.toMatchObject({ code: 'CANCELLED' })
      }
      expect(connection.closed).toBe(false)
    })

    it('ends whatever runs by the signal of the session', async () => {
      const controller = new AbortController()
      const connection = await open({}, controller.signal)
      const sleeping = connection.query('select pg_sleep(600)')
      setImmediate(() => controller.abort())
      await expect(sleeping).rejects.toMatchObject({ code: 'CANCELLED' })
      await expect(connection.query('select 1')).rejects.toMatchObject({ code: 'CANCELLED' })
    })

    it("tells somebody else's cancelling apart from our own", async () => {
      const connection = await open()
      const cancelled = Promise.allSettled([connection.query('select pg_sleep(600)')])
      await waitFor('the backend sleeps', 5000, async () => (await postgres.server.query(activeOn(connection)))[0])
      await connection.cancel()
      expect((await cancelled)[0]).toMatchObject({
        reason: { code: 'POSTGRES_STATEMENT', details: { status: '57014' } },
      })
    })

    it('keeps what a command achieved before the signal was heard', async () => {
      const connection = await open()
      const controller = new AbortController()
      const quick = connection.query('select 1 as n', [], { signal: controller.signal })
      expect(await quick).toEqual([{ n: 1 }])
      controller.abort()
      expect(await connection.query('select 2 as n')).toEqual([{ n: 2 }])
    })
  })

  describe('to a server that does not answer', () => {
    let silent: Server
    beforeAll(async () => {
      silent = createServer(() => undefined)
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    })
    afterAll(() => {
      silent.close()
    })
    const port = () => (silent.address() as { port: number }).port

    it.each<TLSConfig['mode']>(['Disable', 'Require', 'Prefer'])('gives up in time with TLS mode %s', async (mode) => {
      const failing = open({ port: port(), tls: { mode }, connectTimeoutSeconds: 0.3 })
      await expect(failing).rejects.toMatchObject({ code: 'POSTGRES_UNREACHABLE', message: /no session within 0.3 s/ })
    })

    it('stops connecting when the signal fires', async () => {
      const failing = open({ port: port() }, AbortSignal.timeout(100))
      await expect(failing).rejects.toMatchObject({ code: 'CANCELLED' })
    })
  })
})

describe('TLS', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ tls: true, authentication: 'scram-sha-256' })
  }, 60_000)
  afterAll(() => server.stop())

  async function encrypted(tls: TLSConfig, host = 'localhost', on = server): Promise<boolean> {
    const connection = await connect({ ...on.config('postgres'), host, tls })
    try {
      const [row] = await connection.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
      return row?.ssl === true
    } finally {
      await connection.close()
    }
  }
  const ca = () => server.certificates?.ca ?? ''

  it('is used as the mode asks', async () => {
    expect(await encrypted({ mode: 'Disable' })).toBe(false)
    expect(await encrypted({ mode: 'Prefer' })).toBe(true)
    expect(await encrypted({ mode: 'Require' })).toBe(true)
    expect(await encrypted({ mode: 'Require', ca: ca() })).toBe(true)
    expect(await encrypted({ mode: 'VerifyCA', ca: ca() })).toBe(true)
    expect(await encrypted({ mode: 'VerifyFull', ca: ca() })).toBe(true)
    expect(await encrypted({ mode: 'VerifyFull', ca: ca() }, '127.0.0.1')).toBe(true)
  })

  it('checks the name with VerifyFull only', async () => {
    // 127.0.0.2 is this machine too, and the certificate does not name it.
    const other = await startPostgres({ tls: true, settings: { listen_addresses: '127.0.0.2' } })
    const tls = { ca: other.certificates?.ca ?? '' }
    try {
      await expect(encrypted({ mode: 'VerifyFull', ...tls }, '127.0.0.2', other)).rejects.toMatchObject({
        code: 'POSTGRES_TLS',
        details: { status: 'ERR_TLS_CERT_ALTNAME_INVALID' },
      })
      expect(await encrypted({ mode: 'VerifyCA', ...tls }, '127.0.0.2', other)).toBe(true)
    } finally {
      await other.stop()
    }
  })

  it('refuses a certificate by another authority', async () => {
    const other = await startPostgres({ tls: true })
    const wrong = other.certificates?.ca ?? ''
    await other.stop()
    for (const mode of ['Require', 'VerifyCA', 'VerifyFull'] as const) {
      await expect(encrypted({ mode, ca: wrong })).rejects.toMatchObject({ code: 'POSTGRES_TLS', retryable: false })
    }
    await expect(encrypted({ mode: 'VerifyFull' })).rejects.toMatchObject({ code: 'POSTGRES_TLS' })
  })

  it('asks for a CA with VerifyCA', async () => {
    await expect(encrypted({ mode: 'VerifyCA' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('goes without under Prefer where the server has none, and under no other mode', async () => {
    const plain = await startPostgres()
    try {
      expect(await encrypted({ mode: 'Prefer' }, '127.0.0.1', plain)).toBe(false)
      await expect(encrypted({ mode: 'Require' }, '127.0.0.1', plain)).rejects.toMatchObject({
        code: 'POSTGRES_TLS',
        message: expect.stringContaining('does not offer TLS'),
      })
    } finally {
      await plain.stop()
    }
  })

  it('proves the client by its certificate', async () => {
    const strict = await startPostgres({ tls: true, authentication: 'cert' })
    try {
      const { tls } = strict.config('postgres')
      expect(await encrypted(tls, 'localhost', strict)).toBe(true)
      const { cert: _cert, key: _key, ...without } = tls
      await expect(encrypted(without, 'localhost', strict)).rejects.toMatchObject({ code: 'POSTGRES_AUTHENTICATION' })
    } finally {
      await strict.stop()
    }
  })

  it('carries a COPY, a cancelled one too', async () => {
    const connection = await connect(server.config('postgres'))
    try {
      let bytes = 0
      const rows = await copyOut(connection, "COPY (select repeat('x', 99) from generate_series(1, 200000)) TO STDOUT")
      for await (const { data } of rows) bytes += data.length
      expect([bytes, rows.rowCount]).toEqual([20_000_000, 200_000n])
      for await (const _ of await copyOut(connection, 'COPY (select generate_series(1, 1000000000)) TO STDOUT')) break
      expect(await connection.query('select 1 as n')).toEqual([{ n: 1 }])
    } finally {
      await connection.close()
    }
  })

  it('stops reading while the consumer is slow', async () => {
    const connection = await connect(server.config('postgres'))
    const sql = "COPY (select generate_series(1, 1000000000), repeat('x', 1000)) TO STDOUT"
    const iterator = (await copyOut(connection, sql, { chunkSize: 65_536 }))[Symbol.asyncIterator]()
    await iterator.next()
    const { socket } = connection.wire
    const read = await waitFor('reading has stopped', 10_000, async () => {
      const before = socket.bytesRead
      await new Promise((resolve) => setTimeout(resolve, 100))
      return socket.bytesRead === before ? before : undefined
    })
    expect(read).toBeLessThan(1_000_000)
    await iterator.return?.()
    await connection.close()
  })
})

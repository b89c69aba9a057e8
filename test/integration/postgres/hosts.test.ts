import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect } from '../../../src/postgres/connection.ts'
import { copyOut } from '../../../src/postgres/copy-out.ts'
import { atHosts } from '../../../src/postgres/hosts.ts'
import { exportSnapshot, importSnapshot } from '../../../src/postgres/snapshot.ts'
import type { ConnectionConfig, HostPort, TargetSessionAttrs } from '../../../src/postgres/types.ts'
import { waitFor } from '../../cluster/processes.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'

const nobody: HostPort = { host: '127.0.0.1', port: 1 }
let primary: PostgresServer
let standby: PostgresServer
/** Takes connections and says nothing. */
let silent: Server

beforeAll(async () => {
  primary = await startPostgres({ authentication: 'scram-sha-256' })
  standby = await primary.startStandby()
  silent = createServer(() => undefined)
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
}, 120_000)
afterAll(async () => {
  silent.close()
  await standby.stop()
  await primary.stop()
})

const placeOf = ({ host, port }: HostPort): HostPort => ({ host, port })
const silence = (): HostPort => ({ host: '127.0.0.1', port: (silent.address() as { port: number }).port })

function to(places: readonly HostPort[], rest: Partial<ConnectionConfig> = {}): ConnectionConfig {
  return { ...primary.config('postgres'), ...atHosts(places.map(placeOf)), ...rest }
}

/** The port of the server that a session is opened with. */
async function reached(places: readonly HostPort[], rest: Partial<ConnectionConfig> = {}): Promise<number> {
  const connection = await connect(to(places, rest))
  try {
    const [row] = await connection.query<{ port: number }>(`select current_setting('port')::int as port`)
    expect(connection.name).toBe(`127.0.0.1:${row?.port}/postgres`)
    return row?.port ?? 0
  } finally {
    await connection.close()
  }
}

describe('of several hosts', () => {
  it('the first that answers is taken', async () => {
    expect(await reached([standby, primary])).toBe(standby.port)
    expect(await reached([primary, standby])).toBe(primary.port)
    expect(await reached([nobody, standby, primary])).toBe(standby.port)
  })

  it('the first of the wanted kind is taken', async () => {
    const expected: readonly [TargetSessionAttrs, PostgresServer][] = [
      ['Any', standby],
      ['ReadWrite', primary],
      ['ReadOnly', standby],
      ['Primary', primary],
      ['Standby', standby],
      ['PreferStandby', standby],
    ]
    for (const [targetSessionAttrs, { port }] of expected) {
      const others = targetSessionAttrs === 'Any' ? [standby, primary] : [primary, standby]
      expect([targetSessionAttrs, await reached(others, { targetSessionAttrs })]).toEqual([targetSessionAttrs, port])
      if (targetSessionAttrs !== 'Any') expect(await reached(others.reverse(), { targetSessionAttrs })).toBe(port)
    }
  })

  it('a primary is taken where no standby is left', async () => {
    expect(await reached([nobody, primary], { targetSessionAttrs: 'PreferStandby' })).toBe(primary.port)
  })

  it('a primary whose sessions cannot write is no ReadWrite, but a Primary', async () => {
    const { name, drop } = await primary.createDatabase()
    await primary.query(`alter database "${name}" set default_transaction_read_only = on`)
    const toIt = async (targetSessionAttrs: TargetSessionAttrs) => {
      const connection = await connect(to([primary], { targetSessionAttrs, database: name }))
      await connection.close()
    }
    await expect(toIt('ReadWrite')).rejects.toMatchObject({
      code: 'POSTGRES_BUSY',
      message: expect.stringContaining('a primary whose sessions are read-only, but targetSessionAttrs is ReadWrite'),
    })
    await toIt('ReadOnly')
    await toIt('Primary')
    await drop()
  })

  it('each has the time to connect for itself', async () => {
    const config = to([silence(), silence(), primary], { connectTimeoutSeconds: 2 })
    const start = performance.now()
    const connection = await connect(config)
    await connection.close()
    expect(performance.now() - start).toBeGreaterThan(3900)
    expect(connection.name).toContain(`:${primary.port}/`)
  })

  it('none is tried any more when the signal fires', async () => {
    const failing = connect(to([silence(), silence(), primary]), { signal: AbortSignal.timeout(200) })
    await expect(failing).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('each is named with its cause when none will do', async () => {
    const failing = reached([nobody, standby], { targetSessionAttrs: 'ReadWrite' })
    const list = `127.0.0.1:1,127.0.0.1:${standby.port}/postgres`
    await expect(failing).rejects.toMatchObject({
      code: 'POSTGRES_UNREACHABLE',
      retryable: true,
      message: `cannot connect to ${list}: 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1; 127.0.0.1:${standby.port}: the server is a standby, but targetSessionAttrs is ReadWrite`,
    })
    // Both are there, and a failover may yet make one of them what is wanted.
    await expect(reached([standby, standby], { targetSessionAttrs: 'Primary' })).rejects.toMatchObject({
      code: 'POSTGRES_BUSY',
      retryable: true,
    })
  })

  it('a refusal that would be the same elsewhere ends the search', async () => {
    const failing = reached([nobody, primary, standby], { password: 'wrong-s3cret' })
    const error: unknown = await failing.catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'POSTGRES_AUTHENTICATION',
      retryable: false,
      message: expect.stringMatching(/ECONNREFUSED.*password authentication failed/),
    })
    expect((error as Error).message.match(new RegExp(`:${standby.port}`, 'g'))).toHaveLength(1)
    expect(String(error)).not.toContain('s3cret')
  })
})

describe('a standby', () => {
  it('gives a snapshot to other sessions on the same server, wherever the list of hosts would lead', async () => {
    await primary.query('create table if not exists t as select generate_series(1, 1000) as id')
    await waitFor(
      'the standby has the table',
      30_000,
      async () => (await standby.query(`select to_regclass('t') as t`))[0]?.['t'] ?? undefined,
    )
    const leader = await connect(to([primary, standby], { targetSessionAttrs: 'Standby' }))
    const follower = await connect(leader.config)
    try {
      expect([leader.inRecovery, leader.readOnly, follower.name]).toEqual([true, true, leader.name])
      await leader.query('begin isolation level repeatable read read only')
      const snapshot = await exportSnapshot(leader)
      await primary.query('insert into t values (0)')
      await waitFor(
        'the standby has the row',
        30_000,
        async () => (await standby.query('select 1 from t where id = 0'))[0],
      )
      await follower.query('begin isolation level repeatable read read only')
      await importSnapshot(follower, snapshot)
      let rows = 0
      for await (const chunk of await copyOut(follower, 'COPY t TO STDOUT')) rows += chunk.rows
      expect(rows).toBe(1000)
    } finally {
      await follower.close()
      await leader.close()
    }
  })

  it('has no snapshot of another server, which is said with what to do', async () => {
    const leader = await connect(to([standby]))
    const elsewhere = await connect(to([primary]))
    try {
      await leader.query('begin isolation level repeatable read read only')
      await elsewhere.query('begin isolation level repeatable read read only')
      await expect(importSnapshot(elsewhere, await exportSnapshot(leader))).rejects.toMatchObject({
        code: 'POSTGRES_STATEMENT',
        message: expect.stringContaining('must reach one and the same server: a Service or load balancer'),
      })
    } finally {
      await elsewhere.close()
      await leader.close()
    }
  })

  it('refuses what writes', async () => {
    const connection = await connect(to([standby]))
    await expect(connection.query('create table no (id int)')).rejects.toMatchObject({ details: { status: '25006' } })
    await connection.close()
  })

  it('cancels at the server that runs the query', async () => {
    const connection = await connect(to([nobody, standby, primary]))
    const controller = new AbortController()
    const sleeping = connection.query('select pg_sleep(600)', [], { signal: controller.signal })
    setImmediate(() => controller.abort())
    await expect(sleeping).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(connection.closed).toBe(false)
    await connection.close()
  })

  it('is found as the primary after a failover', async () => {
    await primary.stop()
    await standby.promote()
    expect(await reached([primary, standby], { targetSessionAttrs: 'ReadWrite' })).toBe(standby.port)
  })
})

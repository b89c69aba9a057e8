import { describe, expect, it } from '@jest/globals'
import { connect, type PostgresConnection } from '../../../src/postgres/connection.ts'
import type { SessionSettings } from '../../../src/postgres/types.ts'
import { usePostgres } from '../../support/postgres.ts'
import { testedMajor } from '../../support/postgres-versions.ts'

const postgres = usePostgres({ authentication: 'scram-sha-256' })

/**
 * Every value differs from what the session is to have. The timeouts hold until the session is set up, which takes its
 * time on a busy machine.
 */
const UNSUITABLE = {
  bytea_output: 'escape',
  datestyle: 'German',
  extra_float_digits: '-5',
  idle_in_transaction_session_timeout: '500ms',
  intervalstyle: 'iso_8601',
  lock_timeout: '500ms',
  statement_timeout: '500ms',
  synchronize_seqscans: 'on',
  xmloption: 'document',
}

async function within<T>(session: SessionSettings, work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
  const connection = await connect(postgres.database.config, { applicationName: 'pgpack/test', session })
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

async function show(connection: PostgresConnection, names: readonly string[]): Promise<Record<string, string>> {
  const rows = await connection.query<{ name: string; value: string }>(
    'select lower(name) as name, current_setting(name) as value from pg_settings where lower(name) = any($1)',
    [names],
  )
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}

async function unsettle(settings: Readonly<Record<string, string>>): Promise<void> {
  const { name } = postgres.database
  for (const [setting, value] of Object.entries(settings)) {
    await postgres.server.query(`alter database "${name}" set ${setting} = '${value}'`)
  }
}

describe('a session', () => {
  it('is set up as pg_dump does, whatever the database says', async () => {
    await unsettle(UNSUITABLE)
    const expected = {
      application_name: 'pgpack/test',
      bytea_output: 'hex',
      client_encoding: 'UTF8',
      datestyle: 'ISO, YMD',
      extra_float_digits: '3',
      idle_in_transaction_session_timeout: '0',
      intervalstyle: 'postgres',
      lock_timeout: '0',
      row_security: 'off',
      statement_timeout: '0',
      synchronize_seqscans: 'off',
      xmloption: 'content',
      ...(testedMajor >= 14 ? { idle_session_timeout: '0' } : {}),
      ...(testedMajor >= 17 ? { transaction_timeout: '0' } : {}),
    }
    await within({}, async (connection) => {
      expect(await show(connection, Object.keys(expected))).toEqual(expected)
    })
  })

  it('outlives timeouts that suit the application only', async () => {
    await unsettle({ ...UNSUITABLE, ...(testedMajor >= 17 ? { transaction_timeout: '500ms' } : {}) })
    await within({}, async (connection) => {
      await connection.query('begin')
      await connection.query('select pg_sleep(0.6)')
      await new Promise((resolve) => setTimeout(resolve, 600))
      expect(await connection.query('select 1 as n')).toEqual([{ n: 1 }])
    })
  })

  describe('with settings of the user', () => {
    it('has them instead of its own', async () => {
      const settings = [
        { name: 'DateStyle', value: 'SQL, DMY' },
        { name: 'search_path', value: 'pg_catalog, "Odd"' },
        { name: 'my.own', value: `it's "quoted" \\ ; drop` },
        { name: 'work_mem', value: '5MB' },
      ]
      await within({ statementTimeoutSeconds: 90, lockTimeoutSeconds: 1.5, settings }, async (connection) => {
        expect(await connection.query(`select current_setting('my.own') as own`)).toEqual([
          { own: `it's "quoted" \\ ; drop` },
        ])
        const names = ['datestyle', 'lock_timeout', 'search_path', 'statement_timeout', 'work_mem']
        expect(await show(connection, names)).toEqual({
          datestyle: 'SQL, DMY',
          lock_timeout: '1500ms',
          search_path: 'pg_catalog, "Odd"',
          statement_timeout: '90s',
          work_mem: '5MB',
        })
      })
    })

    it('sets them in their order, so that the last one counts', async () => {
      const settings = ['1MB', '2MB'].map((value) => ({ name: 'work_mem', value }))
      expect(await within({ settings }, (connection) => show(connection, ['work_mem']))).toEqual({ work_mem: '2MB' })
    })

    it('keeps them over a transaction that is rolled back', async () => {
      await within({ lockTimeoutSeconds: 7 }, async (connection) => {
        await connection.query('begin')
        await connection.query('rollback')
        expect(await show(connection, ['lock_timeout'])).toEqual({ lock_timeout: '7s' })
      })
    })

    it('ends a statement and a wait for a lock in time', async () => {
      await postgres.database.query('create table t (id int)')
      await within({}, async (holder) => {
        await holder.query('begin; lock table t')
        await within({ lockTimeoutSeconds: 0.05 }, async (connection) => {
          await expect(connection.query('table t')).rejects.toMatchObject({ code: 'POSTGRES_BUSY' })
        })
        await within({ statementTimeoutSeconds: 0.05 }, async (connection) => {
          await expect(connection.query('table t')).rejects.toMatchObject({ details: { status: '57014' } })
        })
      })
    })

    it.each<[string, SessionSettings, string]>([
      ['that the server does not know', { settings: [{ name: 'no_such', value: '1' }] }, 'the setting "no_such"'],
      ['whose name is no name', { settings: [{ name: "x'; drop table t --", value: '1' }] }, `"x'; drop table t --"`],
      ['whose value is none', { settings: [{ name: 'work_mem', value: 'plenty' }] }, 'the setting "work_mem"'],
      ['that needs a restart', { settings: [{ name: 'max_connections', value: '7' }] }, '"max_connections"'],
      ['that the engine relies on', { settings: [{ name: 'Client_Encoding', value: 'LATIN1' }] }, '"Client_Encoding"'],
      ['beyond what a timeout can be', { statementTimeoutSeconds: 1e9 }, 'statement_timeout of 1000000000 s'],
      ['below zero', { lockTimeoutSeconds: -1 }, 'lock_timeout of -1 s'],
    ])('refuses one %s, by name', async (_, session, message) => {
      const failing = connect(postgres.database.config, { session })
      await expect(failing).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        retryable: false,
        message: expect.stringContaining(message),
      })
    })

    it('says which one the role may not set', async () => {
      await postgres.server.query(`create role humble login password 'h'`)
      try {
        const config = { ...postgres.database.config, user: 'humble', password: 'h' }
        const session = { settings: [{ name: 'session_replication_role', value: 'replica' }] }
        await expect(connect(config, { session })).rejects.toMatchObject({
          code: 'POSTGRES_PRIVILEGE',
          message: expect.stringContaining('"session_replication_role"'),
        })
      } finally {
        await postgres.server.query('drop role humble')
      }
    })
  })
})

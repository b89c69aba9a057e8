import { describe, expect, it } from '@jest/globals'
import { startPostgres, usePostgres } from '../../support/postgres.ts'

describe('the PostgreSQL of the tests', () => {
  const postgres = usePostgres({ setup: 'create table t (id int); insert into t values (1)' })

  it('gives each test a database from the template', async () => {
    expect(await postgres.database.query('delete from t returning id')).toEqual([{ id: 1 }])
  })

  it('shows nothing of what another test did', async () => {
    expect(await postgres.database.query('select id from t')).toEqual([{ id: 1 }])
  })

  it('keeps its data and its port over a restart', async () => {
    await postgres.server.restart()
    expect(await postgres.database.query('select id from t')).toEqual([{ id: 1 }])
  })

  it('speaks TLS where asked', async () => {
    const server = await startPostgres({ tls: true, authentication: 'scram-sha-256' })
    try {
      expect(await server.query('show ssl')).toEqual([{ ssl: 'on' }])
      expect(server.config('postgres').tls.mode).toBe('VerifyFull')
    } finally {
      await server.stop()
    }
  })
})

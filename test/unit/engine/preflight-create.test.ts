import { describe, expect, it } from '@jest/globals'
import { planCreation } from '../../../src/engine/preflight-create.ts'
import { rehearseCreation } from '../../../src/engine/preflight-rehearsal.ts'
import type { TableDefinition } from '../../../src/engine/target-create.ts'
import { PgpackError } from '../../../src/errors.ts'
import type { UserType } from '../../../src/postgres/catalog-types.ts'
import type { PostgresConnection } from '../../../src/postgres/connection.ts'

type Answer = (sql: string) => readonly object[]

/** A server that answers as it is told, and what it was asked. */
function server(answer: Answer, versionNumber = 180_000) {
  const asked: string[] = []
  const query = async (sql: string) => {
    asked.push(sql)
    return answer(sql)
  }
  const version = `${versionNumber / 10_000}`
  const session = { query, name: 'db:5432/app', version, versionNumber, flavour: 'PostgreSQL' }
  return { asked, session: session as unknown as PostgresConnection }
}

const hstore: UserType = {
  kind: 'base',
  oid: 20_000,
  schema: 'public',
  name: 'hstore',
  arrayOid: 20_001,
  like: 'hstore',
  extension: { name: 'hstore', schema: 'public', version: '1.8' },
}
const definition: TableDefinition = {
  columns: [{ name: 'tags', type: 'public.hstore', typeOid: 20_000, notNull: false }],
  primaryKey: [],
  types: [hstore],
}
const to = { schema: 'public', name: 'made' }
const facts = {
  mayCreateSchemas: true,
  schemas: [{ name: 'public', creatable: true }],
  missing: ['public.hstore', '"public"."hstore"'],
  there: [],
}

const unreadable = () => new PgpackError('POSTGRES_STATEMENT', 'unrecognized parameter "trusted" in file other.control')

describe('the plan of a table that is made', () => {
  const planned = (extensions: Answer, versionNumber?: number) => {
    const { session } = server((sql) => (sql.includes('pg_extension') ? extensions(sql) : [facts]), versionNumber)
    return planCreation(session, { to, binary: true }, definition)
  }
  const available = () => [{ name: 'hstore', schema: null, available: true }]

  it('makes an extension with what it stands on, where the server can', async () => {
    const { statements, beside, problems } = await planned(available)
    expect(problems).toEqual([])
    expect(beside).toEqual(['extension hstore'])
    expect(statements).toEqual([
      'CREATE EXTENSION IF NOT EXISTS "hstore" SCHEMA "public" CASCADE',
      'CREATE TABLE "public"."made" (\n  "tags" public.hstore\n)',
    ])
    const old = await planned(available, 90_426)
    expect(old.statements[0]).toBe('CREATE EXTENSION IF NOT EXISTS "hstore" SCHEMA "public"')
  })

  it('leaves it to CREATE EXTENSION where the server cannot list its extensions for one that is broken', async () => {
    const { problems, statements } = await planned((sql) => {
      if (sql.includes('pg_available_extensions')) throw unreadable()
      return available()
    })
    expect(problems).toEqual([])
    expect(statements).toHaveLength(2)
  })

  it('fails with a server that is lost', async () => {
    const lost = new PgpackError('POSTGRES_CONNECTION_LOST', 'gone')
    const failing = planned(() => {
      throw lost
    })
    await expect(failing).rejects.toBe(lost)
  })
})

describe('a rehearsal', () => {
  const failingAt = (text: string, error: PgpackError) =>
    server((sql) => {
      if (sql === text) throw error
      return []
    })

  it('runs what several tables share once, and leaves nothing', async () => {
    const { session, asked } = server(() => [])
    expect(await rehearseCreation(session, [['SCHEMA', 'ONE'], [], ['SCHEMA', 'TWO']])).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(asked.filter((sql) => !sql.startsWith('SAVEPOINT'))).toEqual(['BEGIN', 'SCHEMA', 'ONE', 'TWO', 'ROLLBACK'])
  })

  it('tells of each table what the server refuses, and runs again what went with a refused one', async () => {
    const { session, asked } = failingAt('ONE', new PgpackError('POSTGRES_PRIVILEGE', 'ONE: permission denied'))
    const [first, second] = await rehearseCreation(session, [
      ['SCHEMA', 'ONE'],
      ['SCHEMA', 'TWO'],
    ])
    expect(first).toEqual({ code: 'POSTGRES_PRIVILEGE', text: 'it cannot be made: ONE: permission denied' })
    expect(second).toBeUndefined()
    const statements = asked.filter((sql) => !sql.startsWith('SAVEPOINT'))
    const back = 'ROLLBACK TO SAVEPOINT rehearsal'
    expect(statements).toEqual(['BEGIN', 'SCHEMA', 'ONE', back, 'SCHEMA', 'TWO', 'ROLLBACK'])
  })

  it('takes a control file that is not there for an extension that is not there, and no reason to try again', async () => {
    const missing = new PgpackError('POSTGRES_STATEMENT', 'no such file', { status: '58P01', retryable: true })
    const { session } = failingAt('ONE', missing)
    expect(await rehearseCreation(session, [['ONE']])).toEqual([
      { code: 'OBJECT_UNSUPPORTED', text: 'it cannot be made: no such file' },
    ])
  })

  it('fails with what another attempt may get through', async () => {
    const busy = new PgpackError('POSTGRES_BUSY', 'lock timeout')
    const { session } = failingAt('ONE', busy)
    await expect(rehearseCreation(session, [['ONE']])).rejects.toBe(busy)
  })
})

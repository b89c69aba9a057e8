import { describe, expect } from '@jest/globals'
import { writeSecret } from '../cluster/quickstart/objects.ts'
import type { Run } from '../cluster/quickstart/runs.ts'
import { useEnvironment } from '../support/e2e.ts'
import { checkAtTheEnd } from '../support/e2e-checks.ts'
import { type Scenario, scenario } from '../support/e2e-scenario.ts'

const TABLE = [{ table: { schema: 'public', name: 'pg_am' } }]
const WRONG_PASSWORD = 'never-the-right-password'

describe('a run that cannot work', () => {
  const environment = useEnvironment()

  /** Condition, phase and times of a run that has failed for good, and that it left nothing in the bucket. */
  async function expectCleanFailure(play: Scenario, run: Run, attempts: number): Promise<void> {
    expect(run.status).toMatchObject({
      phase: 'Failed',
      attempts,
      completionTime: expect.stringMatching(/^\d{4}-/),
      conditions: expect.arrayContaining([
        expect.objectContaining({ type: 'Reconciling', status: 'False' }),
        expect.objectContaining({ type: 'Stalled', status: 'True' }),
      ]),
    })
    expect(run.status?.artifact).toBeUndefined()
    expect(await environment.bucket.keys(play.keyPrefix(run))).toEqual([])
  }

  scenario(environment, 'fails at once when the password is wrong, and so does what waits for it', async (play) => {
    const { cluster, namespace } = environment
    const values = { username: 'orders_owner', password: WRONG_PASSWORD, host: 'postgres', dbname: 'shop' }
    await writeSecret(cluster, namespace, 'wrong-password', values)
    const dump = await play.dump('wrong-password', TABLE, { source: { secretRef: { name: 'wrong-password' } } })
    const restore = await play.restore('of-a-failed-dump', { dumpRef: { name: 'wrong-password' } })

    const { run, message } = await play.fails(dump, 'AuthenticationFailed')
    expect(message).toContain('password authentication failed for user "orders_owner"')
    await expectCleanFailure(play, run, 1)
    expect((await play.fails(restore, 'DumpFailed')).message).toContain('wrong-password')
  })

  scenario(environment, 'fails at once when the table does not exist', async (play) => {
    const dump = await play.dump('no-table', [{ table: { schema: 'public', name: 'Nowhere' } }])
    const { run, message } = await play.fails(dump, 'RelationNotFound')
    expect(message).toContain('no relation "public"."Nowhere"')
    await expectCleanFailure(play, run, 1)
  })

  scenario(environment, 'waits for a Secret that does not exist, and works when it comes', async (play) => {
    const { cluster, namespace, databases } = environment
    await databases.shop.query('create table waited_for as select 1 as id')
    const objects = [{ table: { schema: 'public', name: 'waited_for' } }]
    const dump = await play.dump('late-secret', objects, { source: { secretRef: { name: 'late' } } })
    expect((await play.shows(dump, 'SecretNotFound')).message).toContain('"late"')

    const values = { user: 'orders_owner', password: databases.shop.password, host: 'postgres', database: 'shop' }
    await writeSecret(cluster, namespace, 'late', values)
    expect((await play.succeeds(dump)).status?.artifact).toMatchObject({ rows: 1 })
  })

  scenario(environment, 'does not wait longer for a Secret than it is told to', async (play) => {
    const source = { secretRef: { name: 'never' } }
    const dump = await play.dump('no-secret', TABLE, { source, job: { pendingDeadlineSeconds: 10 } })
    const { run, message } = await play.fails(dump, 'PendingDeadlineExceeded')
    expect(message).toContain('"never"')
    await expectCleanFailure(play, run, 1)
  })

  scenario(environment, 'fails at once when the bucket does not exist', async (play) => {
    const dump = await play.dump('no-bucket', TABLE, { destination: play.store({ bucket: 'no-such-bucket' }) })
    const { run, message } = await play.fails(dump, 'BucketNotFound')
    expect(message).toContain('no-such-bucket')
    await expectCleanFailure(play, run, 1)
  })

  scenario(environment, 'is tried again when the store does not answer, as often as it is told to', async (play) => {
    const destination = play.store({ endpoint: 'http://127.0.0.1:9' })
    const dump = await play.dump('no-store', TABLE, { destination, job: { backoffLimit: 1 } })
    expect((await play.shows(dump, 'Retrying')).message).toContain('StoreUnreachable')
    const { run, message } = await play.fails(dump, 'StoreUnreachable')
    expect(message).toContain('127.0.0.1:9')
    expect(run.status?.lastFailure).toMatchObject({ reason: 'StoreUnreachable', attempt: run.status?.attempt })
    await expectCleanFailure(play, run, 2)
  })

  scenario(environment, 'is refused before a row moves when the target lacks a column', async (play) => {
    const { shop, copy } = environment.databases
    await shop.query('create table narrow as select n as id, n as wide from generate_series(1, 10) as n')
    await copy.query('create table narrow (id integer); insert into narrow values (42)')
    await play.succeeds(await play.dump('too-wide', [{ table: { schema: 'public', name: 'narrow' } }]))
    const restore = await play.restore('too-wide', { dumpRef: { name: 'too-wide' } }, { mode: 'Truncate' })

    const { run, message } = await play.fails(restore, 'ColumnMismatch')
    expect(message).toContain('column "wide" is in the file but not in the table')
    expect(run.status).toMatchObject({ phase: 'Failed', attempts: 1 })
    expect(await copy.query('select id from narrow')).toEqual([{ id: 42 }])
  })

  describe('afterwards', () => checkAtTheEnd(environment, () => [WRONG_PASSWORD]))
})

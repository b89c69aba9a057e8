import { describe, expect } from '@jest/globals'
import { waitFor } from '../../cluster/processes.ts'
import type { Database } from '../../cluster/quickstart/databases.ts'
import { OPERATOR } from '../../cluster/quickstart/operator.ts'
import type { Run, RunRef } from '../../cluster/quickstart/runs.ts'
import { useEnvironment } from '../../support/e2e.ts'
import { checkAtTheEnd } from '../../support/e2e-checks.ts'
import type { Gate } from '../../support/e2e-gate.ts'
import { type Scenario, scenario } from '../../support/e2e-scenario.ts'

/** Promised for the end of a backend's query, and for what is left in the store, after a run is stopped. */
const STOP_SECONDS = 10
/** The same, and the pod's end: its grace period is not used up. */
const CLEAN_SECONDS = 20

describe('a run that something happens to', () => {
  const environment = useEnvironment()

  /** A dump that has sent 40 MiB and stands before its gate. */
  interface Held {
    readonly ref: RunRef
    readonly gate: Gate
    readonly pid: number
    readonly attempt: string
    /** Everything of this attempt. */
    readonly prefix: string
    readonly key: string
  }

  async function hold(play: Scenario, name: string): Promise<Held> {
    const gate = await play.gate(environment.databases.shop)
    const objects = [{ query: { name: 'held', sql: gate.query } }]
    const ref = await play.dump(name, objects, { compression: { method: 'None' } })
    const attempt = await play.attempt(ref)
    const pid = await gate.reached()
    const run = environment.runs.latest(ref) as Run
    const prefix = `${play.keyPrefix(run)}${attempt}/`
    const key = `${prefix}held.pgpack`
    await waitFor('a multipart upload is under way', 30_000, async () =>
      (await environment.bucket.unfinishedUploads(key)) === 1 ? true : undefined,
    )
    return { ref, gate, pid, attempt, prefix, key }
  }

  /** No object and no unfinished upload of an attempt. */
  async function expectNothingLeft({ prefix, key }: Held): Promise<void> {
    await waitFor(`nothing is left below ${prefix}`, CLEAN_SECONDS * 1000, async () => {
      const found = [...(await environment.bucket.keys(prefix)), await environment.bucket.unfinishedUploads(key)]
      return found.length === 1 && found[0] === 0 ? true : undefined
    })
  }

  async function expectWholeDump(play: Scenario, ref: RunRef, attempts: number): Promise<Run> {
    const run = await play.succeeds(ref)
    const path = `e2e/${run.status?.artifact?.path}`
    expect(run.status).toMatchObject({
      attempts,
      artifact: { rows: 40961, path: expect.stringContaining(`${run.status?.attempt}`) },
    })
    expect(await environment.bucket.keys(play.keyPrefix(run))).toEqual([`${path}/held.pgpack`, `${path}/manifest.json`])
    return run
  }

  async function podExists(name: string): Promise<boolean> {
    return (await environment.kubectl('get', 'pod', name, '--ignore-not-found', '--output', 'name')) !== ''
  }

  scenario(environment, 'goes on under a new attempt when its pod is deleted', async (play) => {
    const held = await hold(play, 'pod-deleted')
    await environment.kubectl('delete', 'pod', held.attempt, '--wait=false')
    await held.gate.reached(90, held.pid)
    expect(await play.attempt(held.ref, held.attempt)).not.toBe(held.attempt)
    await expectNothingLeft(held)

    await held.gate.open()
    await expectWholeDump(play, held.ref, 2)
  })

  scenario(
    environment,
    'leaves neither manifest nor upload when its connection is cut, and is tried again',
    async (play) => {
      const held = await hold(play, 'connection-cut')
      await environment.databases.shop.query('select pg_terminate_backend($1)', [held.pid])
      const { run, message } = await play.shows(held.ref, 'Retrying')
      expect(message).toContain(`${held.attempt} failed`)
      expect(run.status?.lastFailure).toMatchObject({ reason: 'DatabaseConnectionLost', attempt: held.attempt })
      await expectNothingLeft(held)

      await held.gate.open()
      await expectWholeDump(play, held.ref, 2)
    },
  )

  scenario(environment, 'adds its rows once when the connection of a restore is cut', async (play) => {
    const { shop, copy } = environment.databases
    const gate = await play.gate(copy)
    await shop.query('create table once as select n as id from generate_series(1, 1000) as n')
    await copy.query(stopAtRow('once', 500, gate))
    await play.succeeds(await play.dump('once', [{ table: { schema: 'public', name: 'once' } }]))
    const restore = await play.restore('once', { dumpRef: { name: 'once' } })

    const pid = await gate.reached()
    await copy.query('select pg_terminate_backend($1)', [pid])
    await gate.reached(90, pid)
    expect(await countRows(copy, 'once')).toBe(0)
    await gate.open()

    expect((await play.succeeds(restore)).status).toMatchObject({ attempts: 2, artifact: { rows: 1000 } })
    expect(await countRows(copy, 'once')).toBe(1000)
  })

  scenario(environment, 'ends its query and leaves nothing when the resource is deleted', async (play) => {
    const held = await hold(play, 'deleted')
    await environment.kubectl('delete', 'pgd', 'deleted', '--wait=false')
    expect(await held.gate.left(STOP_SECONDS)).toBeLessThan(STOP_SECONDS)
    await expectNothingLeft(held)
    await waitFor('the pod is gone', CLEAN_SECONDS * 1000, async () => !(await podExists(held.attempt)) || undefined)
  })

  scenario(environment, 'stops when it is suspended, and starts again when it is not', async (play) => {
    const held = await hold(play, 'suspended')
    const suspend = (value: boolean) =>
      environment.kubectl(
        'patch',
        'pgd/suspended',
        '--type',
        'merge',
        '--patch',
        JSON.stringify({ spec: { suspend: value } }),
      )
    await suspend(true)
    expect((await play.shows(held.ref, 'Suspended')).run.status?.phase).toBe('Suspended')
    expect(await held.gate.left(STOP_SECONDS)).toBeLessThan(STOP_SECONDS)
    await expectNothingLeft(held)

    await held.gate.open()
    await suspend(false)
    await expectWholeDump(play, held.ref, 2)
  })

  scenario(environment, 'shows no secret in its command line and environment', async (play) => {
    const { databases, bucket, kubectl } = environment
    const held = await hold(play, 'looked-at')
    const look = ['sh', '-c', 'cat /proc/[0-9]*/cmdline /proc/1/environ']
    const found = await kubectl('exec', held.attempt, '--', ...look)
    expect(found).toContain('/app/dist/main.js')
    expect(found).toContain('PGPACK_ATTEMPT=')
    for (const secret of [databases.shop.password, bucket.secretKey]) expect(found).not.toContain(secret)
    await held.gate.open()
    await play.succeeds(held.ref)
  })

  describe('with an operator that is not there for a while', () => {
    scenario(environment, 'goes on, and one that has ended is not done again', async (play) => {
      const { kubectl, cluster, api, namespace } = environment
      const ended = await play.succeeds(await play.dump('ended', [{ query: { name: 'one', sql: 'select 1 as id' } }]))
      const held = await hold(play, 'operator-restarted')

      await kubectl('delete', 'job', ended.status?.jobName ?? '', '--cascade=foreground')
      const operator = ['--namespace', OPERATOR.namespace, '--selector', 'app.kubernetes.io/component=operator']
      await cluster.kubectl(['delete', 'pod', ...operator])
      await held.gate.open()
      await expectWholeDump(play, held.ref, 1)
      // The new operator has been through its queue when it has followed a run that came after it.
      await play.succeeds(await play.dump('afterwards', [{ query: { name: 'one', sql: 'select 1 as id' } }]))

      const again = await api.get<Run>(`/apis/pgpack.io/v1alpha1/namespaces/${namespace}/pgpackdumps/ended`)
      expect(again.status).toEqual(ended.status)
      expect(await kubectl('get', 'jobs', '--output', 'name')).not.toContain(ended.status?.jobName)
    })
  })

  describe('afterwards', () => checkAtTheEnd(environment))
})

/** A table that stops at the gate when a row of this id comes in. */
function stopAtRow(name: string, id: number, gate: Gate): string {
  return `
    create table ${name} (id integer);
    create function stop_${name}() returns trigger language plpgsql as $$
    begin
      if new.id = ${id} then perform ${gate.passage}; end if;
      return new;
    end $$;
    create trigger stop before insert on ${name} for each row execute function stop_${name}()`
}

async function countRows(database: Database, table: string): Promise<number> {
  const [row] = await database.query<{ rows: number }>(`select count(*)::int as rows from ${table}`)
  return row?.rows ?? 0
}

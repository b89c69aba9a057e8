import { afterEach, describe, expect, it } from '@jest/globals'
import type { RunStatus } from '../../../../src/api/v1alpha1/status.ts'
import { DUMPS, RESTORES, TRANSFERS } from '../../../../src/operator/controllers/kinds.ts'
import { JOBS } from '../../../../src/operator/manager/resources.ts'
import type { DumpRun } from '../../../../src/operator/specs/run.ts'
import { useApiServer } from '../../../support/use-api-server.ts'
import { RecordingLog } from '../../../unit/operator/manager/recordinglog.ts'
import { eventually, type RunningOperator, TestCluster } from './cluster.ts'
import { Kubelet } from './kubelet.ts'
import { dump, restore, transfer } from './manifests.ts'
import { conditionOf, Scenario, succeeded } from './scenario.ts'

/** Visits that a run may need to get from nothing to where it stays. */
const MAX_VISITS = 25

let cluster: TestCluster
let kubelet: Kubelet
let namespace: string
let scenario: Scenario
let operator: RunningOperator
let log: RecordingLog

useApiServer(TestCluster.shared, (shared, fresh) => {
  cluster = shared
  kubelet = new Kubelet(cluster.client)
  namespace = fresh
  scenario = new Scenario(cluster, namespace)
  log = new RecordingLog()
  operator = cluster.startOperator(namespace, { log })
})
/** Whatever a test does to it, the operator still serves a run like any other, and has not span. */
afterEach(async () => {
  const good = await scenario.create(DUMPS, dump(namespace, 'good'))
  const job = await scenario.jobOf(good)
  const pod = await kubelet.run(await kubelet.createPod(job))
  await kubelet.finish(pod, succeeded(pod))
  await kubelet.completeJob(job)
  await scenario.reaches(good, 'Succeeded')
  await operator.stop()
  for (const [name, visits] of visitsByName())
    expect({ name, calm: visits <= MAX_VISITS }).toEqual({ name, calm: true })
}, 30_000)

function visitsByName(): Map<string, number> {
  const visits = new Map<string, number>()
  for (const { message, fields } of log.lines) {
    const name = `${fields['controller']} ${fields['name']}`
    if (message === 'reconciled' || message === 'reconcile failed') visits.set(name, (visits.get(name) ?? 0) + 1)
  }
  return visits
}

const long = (length: number, unit = 'é'): string => unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
const name253 = `${'a'.repeat(62)}.`.repeat(4).slice(0, 252).concat('z')
const s3 = { endpoint: 'http://minio:9000', bucket: 'backups', credentialsSecretRef: { name: 'minio' } }

describe('a resource with everything at its bounds', () => {
  const table = {
    schema: long(63),
    name: long(63, '"'),
    columns: Array.from({ length: 1600 }, (_, i) => long(63, `${i}é`)),
  }
  const settings = Array.from({ length: 64 }, (_, i) => ({ name: `x${i}.${'y'.repeat(100)}`, value: long(1024, "';") }))
  const session = { isolation: 'Serializable', statementTimeoutSeconds: 365 * 24 * 3600, settings } as const
  const job = {
    activeDeadlineSeconds: 365 * 24 * 3600,
    backoffLimit: 100,
    ttlSecondsAfterFinished: 365 * 24 * 3600,
    pendingDeadlineSeconds: 365 * 24 * 3600,
  }
  const database = {
    secretRef: { name: name253 },
    host: Array(40).fill('h'.repeat(20)).join(),
    port: 65535,
    database: long(63),
  }

  it('is a dump whose Job starts', async () => {
    const objects = [
      { table: { ...table, where: long(16384, '💥 ') } },
      { tables: { schema: long(63), include: Array(64).fill(long(127, '*')), exclude: Array(64).fill('[a-z]?') } },
      { query: { name: long(63, '\u202e'), sql: long(65536, 'SELECT 1, ') } },
    ]
    const spec = {
      source: database,
      objects,
      session,
      job,
      before: [long(65536, '--\n')],
      parallelism: { connections: 64 },
    }
    const run = await scenario.create(DUMPS, dump(namespace, name253, spec as Partial<DumpRun['spec']>))
    await scenario.jobOf(run)
    await scenario.reaches(run, 'Pending')
  })

  it('is a restore by path whose Job starts', async () => {
    const objects = Array.from({ length: 64 }, (_, i) => ({
      from: long(127, `${i}-é`),
      to: { name: long(63) },
      columns: [long(63)],
    }))
    const source = { s3: { ...s3, prefix: long(256, 'é') }, path: long(1024, 'é') }
    const run = await scenario.create(
      RESTORES,
      restore(namespace, name253, { source, target: database, objects, session, job }),
    )
    await scenario.jobOf(run)
  })

  it('is a transfer whose Job starts', async () => {
    const objects = Array.from({ length: 64 }, (_, i) => ({ table: { name: `t${i}` }, to: { name: long(63) } }))
    const spec = { source: database, target: database, objects, session, sourceSession: session, job }
    const run = await scenario.create(TRANSFERS, transfer(namespace, name253, spec))
    await scenario.jobOf(run)
  })

  it('fails with a word on its size when its configuration fits into no ConfigMap', async () => {
    const before = Array.from({ length: 18 }, () => long(65536, 'SELECT 1; '))
    const run = await scenario.create(DUMPS, dump(namespace, 'large', { before }))
    const failed = await scenario.reaches(run, 'InvalidSpec')
    expect(conditionOf(failed)?.message).toMatch(/1048576|too large|too long/i)
  })
})

describe('a resource that no Job can be made of', () => {
  it.each([
    ['a label that is none', { labels: { 'not a label!': 'x' } }, 'label'],
    ['a label that is too long', { labels: { team: long(200, 'x') } }, 'label'],
    ['an annotation that is none', { annotations: { ' ': 'x' } }, 'annotations'],
    ['a node selector that is none', { nodeSelector: { 'a b': 'c' } }, 'nodeSelector'],
    ['an affinity of another type', { affinity: { nodeAffinity: 'near' } }, 'affinity'],
    ['a toleration that makes no sense', { tolerations: [{ operator: 'Perhaps' }] }, 'tolerations'],
    ['memory below nothing', { resources: { limits: { memory: '-1Gi' } } }, 'resources'],
    ['requests beyond limits', { resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }, 'resources'],
    ['a priority class that is no name', { priorityClassName: 'No Name' }, 'priorityClass'],
  ])('fails with the words of the API server: %s', async (_, job, word) => {
    const run = await scenario.create(
      DUMPS,
      dump(namespace, 'bad', { job: job as NonNullable<DumpRun['spec']['job']> }),
    )
    const failed = await eventually('it is judged', async () => {
      const now = await scenario.read(run)
      return conditionOf(now)?.status !== undefined && conditionOf(now)?.reason !== 'Pending' && now
    })
    expect(conditionOf(failed)).toMatchObject({
      reason: 'InvalidSpec',
      message: expect.stringMatching(new RegExp(word, 'i')),
    })
  })
})

describe('a run that was created', () => {
  it('keeps what it is about, while its policy and its suspension may change', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'fixed'))
    const change = (spec: object) => cluster.client.patch(DUMPS, run.metadata, { spec })
    await expect(change({ parallelism: { connections: 2 } })).rejects.toThrow(
      'immutable except for suspend, deletionPolicy',
    )
    await expect(change({ objects: [{ table: { name: 'others' } }] })).rejects.toThrow('create a new resource')
    await change({ suspend: true, deletionPolicy: 'Delete' })
    await scenario.reaches(run, 'Suspended')
  })
})

describe('a status that somebody else has written', () => {
  const forge = async (status: RunStatus): Promise<DumpRun> => {
    const run = await scenario.create(DUMPS, dump(namespace, 'forged', { suspend: true }))
    await scenario.reaches(run, 'Suspended')
    await cluster.client.patchStatus(DUMPS, run.metadata, status)
    await cluster.client.patch(DUMPS, run.metadata, { spec: { suspend: false } })
    return run
  }

  it('does not make the operator take the Job of another run for its own', async () => {
    const other = await scenario.create(DUMPS, dump(namespace, 'other'))
    const foreign = await scenario.jobOf(other)
    const run = await forge({ jobName: foreign.metadata?.name ?? '', attempts: 1 })
    const own = await scenario.jobOf(run)
    expect(own.metadata?.name).toMatch(/^forged-dump-.*-2$/)
    expect((await cluster.client.get(JOBS, { namespace, name: foreign.metadata?.name ?? '' })).spec?.suspend).not.toBe(
      true,
    )
  })

  it('may claim more attempts than there can be', async () => {
    const run = await forge({ jobName: 'none', attempts: 2 ** 31 - 1 })
    await scenario.reaches(run, 'JobDeleted')
  })

  it('may say that it is final: nobody does it again', async () => {
    const condition = {
      type: 'Succeeded',
      status: 'True',
      reason: 'Magic',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }
    const run = await forge({ conditions: [condition as NonNullable<RunStatus['conditions']>[number]] })
    await scenario.create(DUMPS, dump(namespace, 'after')).then((after) => scenario.jobOf(after))
    expect((await scenario.jobs()).filter(({ metadata }) => metadata?.name?.startsWith('forged'))).toEqual([])
    expect(conditionOf(await scenario.read(run))?.reason).toBe('Magic')
  })
})

describe('an engine that leaves nonsense behind', () => {
  it.each([
    ['nothing', ''],
    ['half a result', '{"outcome":"Succeeded","attempt":"x"'],
    ['a result of another kind', '{"outcome":"Succeeded","attempt":"x","totals":{},"seconds":-1}'],
    ['text in any script', long(2000, '\u202e💥\u0000é')],
  ])('fails by what is known: %s', async (_, message) => {
    const run = await scenario.create(DUMPS, dump(namespace, 'crashing', { job: { backoffLimit: 0 } }))
    const job = await scenario.jobOf(run)
    const pod = await kubelet.run(await kubelet.createPod(job))
    await kubelet.end(pod, { exitCode: 139, message })
    await kubelet.failJob(job, 'BackoffLimitExceeded')
    const failed = await scenario.reaches(run, 'EngineCrashed')
    expect(conditionOf(failed)?.status).toBe('False')
  })

  it('has counts beyond what a number can hold', async () => {
    const run = await scenario.create(DUMPS, dump(namespace, 'vast'))
    const job = await scenario.jobOf(run)
    const pod = await kubelet.run(await kubelet.createPod(job))
    const vast = '9'.repeat(40)
    const totals = { objects: 1, rows: vast, bytes: vast, storedBytes: vast }
    await kubelet.finish(pod, { ...succeeded(pod), totals } as ReturnType<typeof succeeded>)
    await kubelet.completeJob(job)
    const done = await scenario.reaches(run, 'Succeeded')
    expect(done.status?.artifact?.rows).toBe(Number.MAX_SAFE_INTEGER)
  })
})

import { describe, expect, it } from '@jest/globals'
import { PgpackError } from '../../../../src/errors.ts'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import { type Pod, refKey } from '../../../../src/operator/manager/resources.ts'
import { buildRemovalJob } from '../../../../src/operator/specs/job.ts'
import type { DumpRun, Run } from '../../../../src/operator/specs/run.ts'
import { deleted, dumpRun, endedPod, jobOf, podOf, restoreRun, SUCCESS, transferRun } from './fixtures.ts'

import { COMPLETE, SETTINGS, setUp } from './world.ts'

describe('the reconciler', () => {
  it('creates the Job, records its name, and looks again', async () => {
    const { server, reconcile, status, told } = setUp()
    await expect(reconcile()).resolves.toEqual({ requeueAfterSeconds: 5 })
    expect(server.calls).toEqual(['createJob orders-dump-1a2b3c4d', 'patchStatus'])
    expect(status()).toMatchObject({ jobName: 'orders-dump-1a2b3c4d', phase: 'Pending' })
    expect(told.map(({ reason }) => reason)).toEqual(['RunStarted'])
  })

  it('writes and tells nothing when nothing has changed', async () => {
    const { cache, server, reconcile, told } = setUp()
    await reconcile()
    cache.runs = new Map(server.runs)
    cache.jobs = new Map(server.jobs)
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual(['warnings orders-dump-1a2b3c4d'])
    expect(told).toHaveLength(1)
  })

  it('makes no second Job from a cache that has not seen the first', async () => {
    const { server, reconcile } = setUp()
    await reconcile()
    await reconcile()
    await reconcile()
    expect(server.calls.filter((call) => call.startsWith('createJob'))).toHaveLength(1)
  })

  it('makes no Job from a cache that has not seen that the run is final and its Job gone', async () => {
    const { cache, server, reconcile, status } = setUp()
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d' })
    cache.runs.set('shop/orders', run)
    server.setJob(jobOf(run, COMPLETE))
    server.podList = [endedPod(SUCCESS)]
    await reconcile()
    expect(status()?.phase).toBe('Succeeded')
    server.jobs.clear()
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('asks the API server for the run and what surrounds it at once', async () => {
    const { server, reconcile } = setUp()
    const asked: string[] = []
    const answered = Promise.withResolvers<void>()
    server.run = async (ref) => {
      asked.push('run')
      await answered.promise
      return server.runs.get(refKey(ref))
    }
    server.job = async (ref) => {
      asked.push('job')
      answered.resolve()
      return server.jobs.get(refKey(ref))
    }
    await reconcile()
    expect(asked.sort()).toEqual(['job', 'run'])
    expect(server.calls).toEqual(['createJob orders-dump-1a2b3c4d', 'patchStatus'])
  })

  it('decides by the Job that the run has, where the cache only knows the one before', async () => {
    const { server, reconcile, status } = setUp()
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d-2', attempts: 1 })
    server.runs.set('shop/orders', run)
    server.setJob(jobOf(run, { name: 'orders-dump-1a2b3c4d-2' }))
    server.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    expect(server.calls).toEqual(['patchStatus'])
    expect(status()).toMatchObject({ jobName: 'orders-dump-1a2b3c4d-2', phase: 'Running' })
  })

  it('looks for the removal of a run that the cache does not know to be deleted', async () => {
    const run = dumpRun({ deletionPolicy: 'Delete' })
    const { cache, server, reconcile } = setUp({
      ...run,
      metadata: { ...run.metadata, finalizers: ['pgpack.io/artifact'] },
    })
    const known = cache.runs.get('shop/orders') as Run
    server.runs.set('shop/orders', deleted(known))
    server.setJob(buildRemovalJob(known as DumpRun, [], SETTINGS, 600))
    const asked: string[] = []
    server.job = async (ref) => {
      asked.push(ref.name)
      return server.jobs.get(refKey(ref))
    }
    await reconcile()
    expect(asked).toContain('orders-remove-1a2b3c4d')
    expect(server.calls.filter((call) => call.startsWith('createJob'))).toEqual([])
  })

  it('makes no Job for a run that is gone behind a stale cache', async () => {
    const { server, reconcile } = setUp()
    server.runs.clear()
    await expect(reconcile()).resolves.toBeUndefined()
    expect(server.calls).toEqual([])
  })

  it('makes no Job for a run whose name belongs to another one by now', async () => {
    const { server, reconcile } = setUp()
    const other = dumpRun()
    server.runs.set('shop/orders', { ...other, metadata: { ...other.metadata, uid: 'another' } })
    await expect(reconcile()).resolves.toBeUndefined()
    expect(server.calls).toEqual([])
  })

  it('takes no Job for its own that another run controls', async () => {
    const { cache, reconcile, server } = setUp()
    const foreign = jobOf(
      { ...dumpRun(), metadata: { ...dumpRun().metadata, uid: 'another' } },
      { name: 'orders-dump-1a2b3c4d' },
    )
    cache.setJob(foreign)
    server.setJob(foreign)
    server.refuse = new PgpackError('CONFIG_INVALID', 'Job exists and is not controlled by orders', { retryable: true })
    await expect(reconcile()).resolves.toEqual({ requeueAfterSeconds: 30 })
    expect(server.runs.get('shop/orders')?.status?.conditions?.[0]).toMatchObject({ reason: 'JobNotCreated' })
  })

  it('does not believe a cache that sees a complete Job and not yet the end of its pod', async () => {
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d' })
    const { cache, server, reconcile, status } = setUp(run)
    cache.setJob(jobOf(run, COMPLETE))
    cache.podList = [podOf({ phase: 'Running' })]
    server.setJob(jobOf(run, COMPLETE))
    server.podList = [endedPod(SUCCESS)]
    await reconcile()
    expect(status()?.phase).toBe('Succeeded')
  })

  it('lets the Job expire in the visit after the one that recorded the result', async () => {
    const run = dumpRun({ job: { ttlSecondsAfterFinished: 9 } })
    const { cache, server, reconcile, counted, told } = setUp(run)
    cache.setJob(jobOf(run, COMPLETE))
    cache.podList = [endedPod(SUCCESS)]
    await reconcile()
    expect(server.calls).toEqual(['patchStatus'])
    cache.runs = new Map(server.runs)
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'expireJob 9'])
    expect(counted).toEqual(['Succeeded'])
    expect(told.map(({ reason }) => reason)).toEqual(['RunStarted', 'Succeeded'])
  })

  it('decides again when the run was changed meanwhile', async () => {
    const { cache, server, reconcile, status } = setUp()
    cache.setJob(jobOf(dumpRun()))
    const changed = dumpRun({ suspend: true })
    server.runs.set('shop/orders', { ...changed, metadata: { ...changed.metadata, resourceVersion: '7' } })
    await reconcile()
    expect(status()?.phase).toBe('Suspended')
  })

  it('writes nothing over what another operator has made final', async () => {
    const run = dumpRun()
    const { cache, server, reconcile, status, told } = setUp(run)
    cache.setJob(jobOf(run))
    cache.podList = [podOf({ phase: 'Running' })]
    const final = {
      observedGeneration: 1,
      conditions: [
        { type: 'Succeeded', status: 'True' as const, reason: 'Succeeded', message: '', lastTransitionTime: '' },
      ],
    }
    server.runs.set('shop/orders', { ...run, metadata: { ...run.metadata, resourceVersion: '7' }, status: final })
    await reconcile()
    expect(status()).toEqual(final)
    expect(told).toEqual([])
  })

  it('writes nothing of a Job that another operator has replaced', async () => {
    const run = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d' })
    const { cache, server, reconcile, status } = setUp(run)
    cache.setJob(jobOf(run))
    const replaced = dumpRun({}, { jobName: 'orders-dump-1a2b3c4d-2' })
    server.runs.set('shop/orders', { ...replaced, metadata: { ...replaced.metadata, resourceVersion: '7' } })
    await reconcile()
    expect(status()).toEqual({ jobName: 'orders-dump-1a2b3c4d-2' })
  })

  it('gives up on a run that changes all the time, to be tried again later', async () => {
    const { cache, server, reconcile } = setUp()
    cache.setJob(jobOf(dumpRun()))
    server.conflicts = 100
    await expect(reconcile()).rejects.toThrow('changed')
  })

  it.each([
    [422, 'Job is invalid: quantities must match', 'InvalidSpec', 'False'],
    [400, 'json: cannot unmarshal', 'InvalidSpec', 'False'],
    [400, 'admission webhook "x" denied the request', 'JobNotCreated', 'Unknown'],
    [403, 'exceeded quota', 'QuotaExceeded', 'Unknown'],
    [403, 'cannot be created because it is being terminated', 'NamespaceTerminating', 'Unknown'],
    [404, 'namespaces "shop" not found', 'JobNotCreated', 'Unknown'],
  ])('shows what the API server refuses with %i %s', async (statusCode, message, reason, succeeded) => {
    const { server, reconcile, status } = setUp()
    server.refuse = new ApiError(message, { request: 'POST', statusCode })
    await reconcile()
    expect(status()?.conditions?.[0]).toMatchObject({
      reason,
      status: succeeded,
      message: expect.stringContaining(message),
    })
  })

  it.each([
    ['no answer', new ApiError('no answer', { request: 'POST' })],
    ['an overloaded server', new ApiError('overloaded', { request: 'POST', statusCode: 503 })],
    ['a fault of ours', new Error('a fault of ours')],
  ])('tries again, and writes nothing, after %s', async (_, error) => {
    const { server, reconcile, status } = setUp()
    server.refuse = error
    await expect(reconcile()).rejects.toThrow(error.message)
    expect(status()).toBeUndefined()
  })

  it('follows the log of a pod that runs, and of no other', async () => {
    const { cache, reconcile, followed } = setUp()
    cache.setJob(jobOf(dumpRun()))
    cache.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    cache.podList = [podOf({ name: 'pod-2' })]
    await reconcile()
    expect(followed).toEqual(['follow shop/orders pod-1', 'stop shop/orders'])
  })

  it('stops to follow a run that was deleted', async () => {
    const { cache, reconcile, followed } = setUp()
    cache.runs.clear()
    await expect(reconcile()).resolves.toBeUndefined()
    expect(followed).toEqual(['stop shop/orders'])
  })

  it('reads Events only while a pod is awaited', async () => {
    const { cache, server, reconcile } = setUp()
    const reads = async (pods: Pod[], job = jobOf(dumpRun())) => {
      server.calls.length = 0
      cache.setJob(job)
      cache.podList = pods
      await reconcile()
      return server.calls.filter((call) => call.startsWith('warnings'))
    }
    expect(await reads([podOf()])).toEqual(['warnings pod-1'])
    expect(await reads([])).toEqual(['warnings orders-dump-1a2b3c4d'])
    expect(await reads([podOf({ phase: 'Running' })])).toEqual([])
  })

  it('reads no Events for runs that are final: there may be thousands', async () => {
    const { cache, server, reconcile } = setUp()
    const job = jobOf(dumpRun(), { conditions: [['Failed', 'BackoffLimitExceeded']], ttlSecondsAfterFinished: 1 })
    cache.setJob(job)
    server.setJob(job)
    await reconcile()
    cache.runs = new Map(server.runs)
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('suspends and resumes the Job after it has said so', async () => {
    const { cache, server, reconcile } = setUp(dumpRun({ suspend: true }))
    cache.setJob(jobOf(dumpRun()))
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'suspendJob true'])
  })

  it('starts a restore with what its dump has written', async () => {
    const { cache, server, reconcile } = setUp(restoreRun())
    await reconcile()
    expect(server.runs.get('shop/orders')?.status?.conditions?.[0]?.reason).toBe('DumpNotFound')
    const dump = dumpRun(
      {},
      {
        conditions: [{ type: 'Succeeded', status: 'True', reason: 'Succeeded', message: '', lastTransitionTime: '' }],
        artifact: { path: 'p', manifestSHA256: 'f'.repeat(64) },
      },
    )
    cache.runs = new Map(server.runs).set('dump:shop/orders', dump)
    server.runs.set('dump:shop/orders', dump)
    await reconcile()
    expect(server.calls).toContain('createJob orders-restore-1a2b3c4d')
  })

  it('starts a transfer, which waits for nothing', async () => {
    const { server, reconcile } = setUp(transferRun())
    await reconcile()
    expect(server.calls).toContain('createJob orders-transfer-1a2b3c4d')
  })

  it('starts no restore with a dump that only a stale cache knows', async () => {
    const { cache, server, reconcile } = setUp(restoreRun())
    cache.runs.set(
      'dump:shop/orders',
      dumpRun(
        {},
        {
          conditions: [{ type: 'Succeeded', status: 'True', reason: 'Succeeded', message: '', lastTransitionTime: '' }],
          artifact: { path: 'p', manifestSHA256: 'f'.repeat(64) },
        },
      ),
    )
    await reconcile()
    expect(server.calls).toEqual(['patchStatus'])
    expect(server.runs.get('shop/orders')?.status?.conditions?.[0]?.reason).toBe('DumpNotFound')
  })
})

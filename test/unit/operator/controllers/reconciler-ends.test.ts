import { describe, expect, it } from '@jest/globals'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import { deleted, dumpRun, endedPod, jobOf, podOf, SUCCESS } from './fixtures.ts'

import { COMPLETE, setUp } from './world.ts'

describe('the Job of a run that is gone', () => {
  const gone = () => {
    const world = setUp()
    world.cache.runs.clear()
    world.server.runs.clear()
    return world
  }

  it('has its pods ended by the Job controller, and is deleted when they are told to end', async () => {
    const { cache, server, reconcile } = gone()
    cache.setJob(jobOf(dumpRun()))
    cache.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    expect(server.calls).toEqual(['suspendJob true'])
    cache.setJob(jobOf(dumpRun(), { suspend: true }))
    await reconcile()
    expect(server.calls).toHaveLength(1)
    cache.podList = [podOf({ phase: 'Running', deleting: true })]
    await reconcile()
    expect(server.calls).toEqual(['suspendJob true', 'deleteJob'])
  })

  it.each([
    ['that has ended', jobOf(dumpRun(), COMPLETE), [endedPod(SUCCESS)]],
    ['without a pod', jobOf(dumpRun()), []],
  ])('is deleted at once: one %s', async (_, job, pods) => {
    const { cache, server, reconcile } = gone()
    cache.setJob(job)
    cache.podList = pods
    await reconcile()
    expect(server.calls).toEqual(['deleteJob'])
  })

  it('is left alone while it is being deleted', async () => {
    const { cache, server, reconcile } = gone()
    cache.setJob(jobOf(dumpRun(), { deleting: true }))
    cache.podList = [podOf({ phase: 'Running' })]
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('is not ended when only the cache has not seen its run', async () => {
    const { cache, server, reconcile } = setUp()
    cache.runs.clear()
    cache.setJob(jobOf(dumpRun()))
    await reconcile()
    expect(server.calls).toEqual([])
  })

  it('is ended when another run of its name is there', async () => {
    const { cache, server, reconcile } = setUp()
    const former = { ...dumpRun(), metadata: { ...dumpRun().metadata, uid: 'ffffffff-0000' } }
    cache.setJob(jobOf(former, { name: 'orders-dump-ffffffff' }))
    await reconcile()
    expect(server.calls).toEqual(['deleteJob', 'createJob orders-dump-1a2b3c4d', 'patchStatus'])
  })
})

describe('a dump whose artefact goes with it', () => {
  const policy = { deletionPolicy: 'Delete' } as const
  const REMOVAL = 'orders-remove-1a2b3c4d'

  it('has its finalizer before it has a Job', async () => {
    const { server, reconcile } = setUp(dumpRun(policy))
    await reconcile()
    expect(server.calls.slice(0, 2)).toEqual(['finalizers pgpack.io/artifact', 'createJob orders-dump-1a2b3c4d'])
  })

  it('is let go after its removal, and the result is written before', async () => {
    const run = deleted(dumpRun(policy, { jobName: 'orders-dump-1a2b3c4d' }))
    const { cache, server, reconcile, status, told } = setUp(run)
    await reconcile()
    expect(server.calls).toEqual([`createJob ${REMOVAL}`, 'patchStatus'])
    cache.runs = new Map(server.runs)
    const removal = jobOf(run, { name: REMOVAL, ...COMPLETE })
    cache.setJob(removal)
    server.setJob(removal)
    server.calls.length = 0
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'finalizers '])
    expect(status()?.conditions?.at(-1)).toMatchObject({ type: 'ArtifactRemoved', status: 'True', reason: 'Removed' })
    expect(told.map(({ reason }) => reason)).toEqual(['RemovingArtifact', 'ArtifactRemoved'])
  })

  it.each([
    [403, 'jobs.batch is forbidden: it cannot be created because it is being terminated', 'NamespaceTerminating'],
    [422, 'quantities must match', 'InvalidSpec'],
  ])('is let go when its removal can never be made (%i)', async (statusCode, message, cause) => {
    const run = deleted(dumpRun(policy, { jobName: 'orders-dump-1a2b3c4d' }))
    const { server, reconcile, status, told } = setUp(run)
    server.refuse = new ApiError(message, { request: 'POST', statusCode })
    await reconcile()
    expect(server.calls).toEqual(['patchStatus', 'finalizers '])
    expect(status()?.conditions?.at(-1)).toMatchObject({
      status: 'False',
      reason: 'RemovalFailed',
      message: expect.stringContaining(cause),
    })
    expect(told).toMatchObject([{ type: 'Warning', reason: 'ArtifactNotRemoved' }])
  })
})

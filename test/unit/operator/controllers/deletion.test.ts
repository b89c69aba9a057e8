import { describe, expect, it } from '@jest/globals'
import type { Decision } from '../../../../src/operator/controllers/decision.ts'
import { decide } from '../../../../src/operator/controllers/machine.ts'
import type { Observation } from '../../../../src/operator/controllers/observation.ts'
import type { Job, Pod } from '../../../../src/operator/manager/resources.ts'
import type { DumpRun, Run } from '../../../../src/operator/specs/run.ts'
import { findCondition } from '../../../../src/operator/status/conditions.ts'
import {
  deleted,
  dumpRun,
  endedPod,
  jobOf,
  observationOf,
  PERMANENT,
  podOf,
  restoreRun,
  SUCCESS,
  TRANSIENT,
} from './fixtures.ts'

const FINALIZER = 'pgpack.io/artifact'
const REMOVAL = 'orders-remove-1a2b3c4d'
const STARTED = { jobName: 'orders-dump-1a2b3c4d', attempts: 1 }
const dumpToRemove = (spec: Partial<DumpRun['spec']> = {}) => dumpRun({ deletionPolicy: 'Delete', ...spec }, STARTED)

const see = (run: Run, seen: Partial<Observation> = {}): Decision => decide(observationOf(run, seen))
const removalOf = (decision: Decision) => {
  const { status, reason, message } = findCondition(decision.status, 'ArtifactRemoved') ?? {}
  return { status, reason, message, action: decision.action?.type }
}

describe('a run that is deleted', () => {
  const run = deleted(restoreRun({}, { jobName: 'orders-restore-1a2b3c4d' }), [])
  const ending = (job: Job, pods: readonly Pod[]) => see(run, { job, pods, live: false })

  it('has the pods of its Job ended by the Job controller, and then its Job deleted', () => {
    const pods = [podOf({ phase: 'Running' })]
    expect(ending(jobOf(run), pods).action).toEqual({ type: 'SuspendJob', suspend: true })
    expect(ending(jobOf(run, { suspend: true }), pods).action).toBeUndefined()
    expect(ending(jobOf(run, { suspend: true }), [podOf({ phase: 'Running', deleting: true })]).action).toEqual({
      type: 'DeleteJob',
    })
    expect(ending(jobOf(run, { deleting: true }), pods).action).toBeUndefined()
  })

  it('has a pod ended that has not started yet, and would', () => {
    expect(ending(jobOf(run), [podOf()]).action).toEqual({ type: 'SuspendJob', suspend: true })
  })

  it('leaves its Job to whoever wants it orphaned', () => {
    const orphaning = deleted(restoreRun(), ['orphan'])
    expect(see(orphaning, { job: jobOf(orphaning), pods: [podOf({ phase: 'Running' })] }).action).toBeUndefined()
  })

  it('keeps its status', () => expect(ending(jobOf(run), [endedPod(SUCCESS)]).status).toBe(run.status))

  it('gets no Job', () => expect(see(run)).toEqual({ status: run.status }))
})

describe('the finalizer', () => {
  const held = <R extends Run>(run: R): R => ({ ...run, metadata: { ...run.metadata, finalizers: ['x', FINALIZER] } })

  it('is added to a dump that is to take its artefact with it, before anything else', () => {
    const run = dumpRun({ deletionPolicy: 'Delete' })
    expect(see(run, { live: false }).action).toEqual({ type: 'ObserveLive' })
    expect(see(run).action).toEqual({ type: 'AddFinalizer' })
    expect(see(held(run)).action).toMatchObject({ type: 'CreateJob' })
  })

  it('is on no other run', () => {
    const dryRun = dumpRun({ deletionPolicy: 'Delete', runMode: 'DryRun' })
    for (const run of [dumpRun(), dumpRun({ deletionPolicy: 'Retain' }), dryRun, restoreRun()]) {
      expect(see(run).action).toMatchObject({ type: 'CreateJob' })
    }
  })

  it('follows the policy when that changes, also of a run that is final', () => {
    const final = see(dumpRun(), { job: jobOf(dumpRun(), { conditions: [['Complete']] }), pods: [endedPod(SUCCESS)] })
    const run = (deletionPolicy: 'Retain' | 'Delete') => dumpRun({ deletionPolicy }, final.status)
    expect(see(run('Delete')).action).toEqual({ type: 'AddFinalizer' })
    expect(see(held(run('Retain'))).action).toEqual({ type: 'RemoveFinalizer' })
    expect(see(run('Retain')).action).toBeUndefined()
  })

  it('cannot be added to what is being deleted', () => {
    expect(see(deleted(dumpToRemove(), ['other'])).action).toBeUndefined()
  })

  it('is removed from what is being deleted when the policy says Retain by now', () => {
    expect(see(deleted(dumpRun({ deletionPolicy: 'Retain' }, STARTED)))).toEqual({
      status: STARTED,
      action: { type: 'RemoveFinalizer' },
    })
  })
})

describe('a deleted dump whose artefact goes with it', () => {
  const run = deleted(dumpToRemove())
  const removal = (job?: Job, pods: readonly Pod[] = []) => ({ removal: { job, pods } })

  it('is let go at once when nothing was ever begun', () => {
    expect(see(deleted(dumpRun({ deletionPolicy: 'Delete' }))).action).toEqual({ type: 'RemoveFinalizer' })
  })

  it('ends its own Job first', () => {
    const pods = [podOf({ phase: 'Running' })]
    const decision = see(run, { job: jobOf(run), pods })
    expect(decision.action).toEqual({ type: 'SuspendJob', suspend: true })
    expect(removalOf(decision)).toMatchObject({ status: 'Unknown', reason: 'Removing' })
    const suspended = jobOf(run, { suspend: true })
    expect(see(run, { job: suspended, pods }).action).toBeUndefined()
    // A cache may not have seen the pod that the Job counts.
    expect(see(run, { job: jobOf(run, { suspend: true, active: 1 }) }).action).toBeUndefined()
    expect(see(run, { job: suspended, pods: [endedPod(TRANSIENT)] }).action).toMatchObject({ type: 'CreateRemovalJob' })
  })

  it.each([
    ['has succeeded', jobOf(run, { conditions: [['Complete']] }), [endedPod(SUCCESS)]],
    ['has failed', jobOf(run, { conditions: [['Failed']] }), [endedPod(PERMANENT)]],
    ['has no Job any more', undefined, []],
  ])('is followed by a Job that removes it when it %s', (_, job, pods) => {
    expect(see(run, { job, pods, live: false }).action).toEqual({ type: 'ObserveLive' })
    expect(see(run, { job, pods }).action).toEqual({ type: 'CreateRemovalJob', deadlineSeconds: 659 })
  })

  it.each(['foregroundDeletion', 'orphan'])(
    'waits for the garbage collector, which would take the Job (%s)',
    (name) => {
      const decision = see(deleted(dumpToRemove(), [FINALIZER, name]))
      expect(decision.action).toBeUndefined()
      expect(decision.requeueAfterSeconds).toBe(5)
    },
  )

  it('is let go when its artefact is removed', () => {
    const job = jobOf(run, { name: REMOVAL, conditions: [['Complete']] })
    expect(removalOf(see(run, removal(job)))).toEqual({
      status: 'True',
      reason: 'Removed',
      message: 'removed everything below s3://b-1/shop/orders-1a2b3c4d',
      action: 'RemoveFinalizer',
    })
  })

  const removing = jobOf(run, { name: REMOVAL })
  const mount = { reason: 'FailedMount', message: 'secret "minio" not found' }

  it.each([
    ['the missing Secret', [podOf()], [mount], 'SecretNotFound'],
    ['what the store said', [endedPod(TRANSIENT)], [], 'StoreUnreachable'],
    ['a full quota', [], [{ reason: 'FailedCreate', message: 'exceeded quota' }], 'QuotaExceeded'],
    ['that it runs', [podOf({ phase: 'Running' })], [], 'Removing'],
    ['that it starts', [], [], 'Removing'],
  ])('tells %s while it waits', (_, pods, warnings, reason) => {
    const decision = see(run, { ...removal(removing, pods), warnings, live: false })
    expect(removalOf(decision)).toMatchObject({ status: 'Unknown', reason, action: undefined })
    expect(decision.requeueAfterSeconds).toBe(5)
  })

  it('is let go after ten minutes, and says what is left and why', () => {
    const late = deleted(dumpToRemove(), [FINALIZER], 601)
    const seen = { ...removal(removing, [podOf()]), warnings: [mount] }
    expect(see(late, { ...seen, live: false }).action).toEqual({ type: 'ObserveLive' })
    expect(removalOf(see(late, seen))).toEqual({
      status: 'False',
      reason: 'RemovalDeadlineExceeded',
      message: expect.stringMatching(/^remove what lies below s3:.*yourself; last seen: SecretNotFound: Secret minio/),
      action: 'RemoveFinalizer',
    })
  })

  it('is let go after ten minutes when its own pod does not end, as on a node that is lost', () => {
    const late = deleted(dumpToRemove(), [FINALIZER], 601)
    const seen = { job: jobOf(late, { suspend: true }), pods: [podOf({ phase: 'Running', deleting: true })] }
    expect(removalOf(see(late, seen))).toMatchObject({ reason: 'RemovalDeadlineExceeded', action: 'RemoveFinalizer' })
  })

  it('is let go when the removal has failed', () => {
    const job = jobOf(run, { name: REMOVAL, conditions: [['Failed', 'BackoffLimitExceeded']] })
    expect(removalOf(see(run, removal(job, [endedPod(TRANSIENT)])))).toMatchObject({
      status: 'False',
      reason: 'RemovalFailed',
      message: expect.stringContaining('StoreUnreachable'),
      action: 'RemoveFinalizer',
    })
  })

  it('is removed anew when somebody deletes the Job that does it', () => {
    const job = jobOf(run, { name: REMOVAL, deleting: true })
    expect(see(run, removal(job)).action).toBeUndefined()
    expect(see(run, removal()).action).toMatchObject({ type: 'CreateRemovalJob' })
  })

  it('waits while a quota refuses the Job, and is let go where none can be made', () => {
    const refused = (reason: 'QuotaExceeded' | 'NamespaceTerminating' | 'InvalidSpec', final: boolean) =>
      removalOf(see(run, { rejection: { reason, final, message: 'm' } }))
    expect(refused('QuotaExceeded', false)).toMatchObject({ status: 'Unknown', action: undefined })
    expect(refused('NamespaceTerminating', false)).toMatchObject({ status: 'False', action: 'RemoveFinalizer' })
    expect(refused('InvalidSpec', true)).toMatchObject({ status: 'False', action: 'RemoveFinalizer' })
  })

  it('keeps the verdict on the run', () => {
    const job = jobOf(dumpRun(), { conditions: [['Complete']] })
    const { status } = see(dumpRun(), { job, pods: [endedPod(SUCCESS)] })
    const done = see(deleted(dumpRun({ deletionPolicy: 'Delete' }, status)))
    expect(done.status.conditions?.slice(0, 3)).toEqual(status.conditions)
    expect(done.status).toMatchObject({ artifact: status.artifact, phase: 'Succeeded' })
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { RunStatus } from '../../../../src/api/v1alpha1/status.ts'
import type { Decision } from '../../../../src/operator/controllers/decision.ts'
import { decide } from '../../../../src/operator/controllers/machine.ts'
import type { Observation } from '../../../../src/operator/controllers/observation.ts'
import type { Job, Pod } from '../../../../src/operator/manager/resources.ts'
import type { Run } from '../../../../src/operator/specs/run.ts'
import { isFinal } from '../../../../src/operator/status/conditions.ts'
import {
  ago,
  dumpRun,
  endedPod,
  jobOf,
  NOW,
  observationOf,
  PERMANENT,
  podOf,
  restoreRun,
  SUCCESS,
  TRANSIENT,
  transferRun,
} from './fixtures.ts'

const JOB = 'orders-dump-1a2b3c4d'
const RESTORE_JOB = 'orders-restore-1a2b3c4d'

function see(run: Run, seen: Partial<Observation> = {}): Decision {
  return decide(observationOf(run, seen))
}

/** Status and reason of Succeeded, and the phase. */
function verdict({ status }: Decision): string {
  const succeeded = status.conditions?.find(({ type }) => type === 'Succeeded')
  return `${succeeded?.status} ${succeeded?.reason} ${status.phase}`
}

function messageOf({ status }: Decision): string {
  return status.conditions?.find(({ type }) => type === 'Succeeded')?.message ?? ''
}

/** The status that a decision leaves behind for the next one. */
function after(run: Run, seen: Partial<Observation> = {}): RunStatus {
  return see(run, seen).status
}

const withStatus = <R extends Run>(run: R, status: RunStatus): R => ({ ...run, status })

describe('a run without a Job', () => {
  it('is not begun on the word of a cache', () => {
    const decision = see(dumpRun(), { live: false })
    expect(decision).toEqual({ status: {}, action: { type: 'ObserveLive' } })
  })

  it('gets its first Job', () => {
    const decision = see(dumpRun())
    expect(decision.action).toEqual({ type: 'CreateJob', turn: { incarnation: 1, attemptsBefore: 0 } })
  })

  it('shows all three conditions on the first visit', () => {
    const { status } = see(dumpRun())
    expect(status.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Succeeded=Unknown',
      'Reconciling=True',
      'Stalled=False',
    ])
    expect(status.observedGeneration).toBe(1)
  })

  it('waits while it is suspended, cache or not', () => {
    const decision = see(dumpRun({ suspend: true }), { live: false })
    expect(verdict(decision)).toBe('Unknown Suspended Suspended')
    expect(decision.action).toBeUndefined()
  })

  it('waits for its dump', () => {
    const prerequisite = { ready: false, final: false, reason: 'DumpNotFound', message: 'no dump' } as const
    const decision = see(restoreRun(), { prerequisite, live: false })
    expect(verdict(decision)).toBe('Unknown DumpNotFound Pending')
    expect(decision.action).toBeUndefined()
  })

  it('fails with its dump, once the API server says so itself', () => {
    const prerequisite = { ready: false, final: true, reason: 'DumpFailed', message: 'it failed' } as const
    expect(see(restoreRun(), { prerequisite, live: false }).action).toEqual({ type: 'ObserveLive' })
    expect(verdict(see(restoreRun(), { prerequisite }))).toBe('False DumpFailed Failed')
  })

  it('is tried again later when the API server refuses the Job for now', () => {
    const rejection = { final: false, reason: 'JobNotCreated', message: 'exceeded quota' } as const
    const decision = see(dumpRun(), { rejection })
    expect(verdict(decision)).toBe('Unknown JobNotCreated Pending')
    expect(decision).toMatchObject({ requeueAfterSeconds: 30 })
    expect(decision.action).toBeUndefined()
  })

  it('fails when the API server will never take its Job', () => {
    const rejection = { final: true, reason: 'InvalidSpec', message: 'bad quantity' } as const
    expect(verdict(see(dumpRun(), { rejection }))).toBe('False InvalidSpec Failed')
  })
})

describe('a run whose Job is gone', () => {
  const status: RunStatus = { jobName: JOB, attempts: 1 }
  const restoreStatus: RunStatus = { jobName: RESTORE_JOB, attempts: 1 }

  it.each([dumpRun({}, status), restoreRun({}, restoreStatus)])('is read live first (%#)', (run) => {
    expect(see(run, { live: false })).toEqual({ status: run.status, action: { type: 'ObserveLive' } })
  })

  it.each([
    ['a dump', dumpRun({}, status)],
    ['a restore that empties its tables', restoreRun({ mode: 'Truncate' }, restoreStatus)],
    ['a restore that adds rows: the ledger knows the run', restoreRun({}, restoreStatus)],
    ['a transfer', transferRun({}, { jobName: 'orders-transfer-1a2b3c4d', attempts: 1 })],
  ])('is done again if it is %s, with one attempt less', (_, run) => {
    expect(see(run).action).toEqual({ type: 'CreateJob', turn: { incarnation: 2, attemptsBefore: 1 } })
  })

  it('counts a lost Job whose pods were never seen', () => {
    const run = dumpRun({}, { jobName: `${JOB}-3` })
    expect(see(run).action).toEqual({ type: 'CreateJob', turn: { incarnation: 4, attemptsBefore: 3 } })
  })

  it('fails when its Jobs were deleted more often than it may be tried', () => {
    const run = dumpRun({ job: { backoffLimit: 2 } }, { jobName: `${JOB}-3`, attempts: 3 })
    expect(verdict(see(run))).toBe('False JobDeleted Failed')
  })

  it('waits with the next Job while it is suspended', () => {
    const decision = see(dumpRun({ suspend: true }, status))
    expect(verdict(decision)).toBe('Unknown Suspended Suspended')
    expect(decision.action).toBeUndefined()
  })
})

describe('a run whose Job is active', () => {
  const active = (seen: Partial<Observation>, run = dumpRun()) => see(run, { job: jobOf(run), live: false, ...seen })

  it('waits for its pod', () => {
    const decision = active({})
    expect(verdict(decision)).toBe('Unknown Pending Pending')
    expect(decision).toMatchObject({ status: { jobName: JOB, startTime: ago(1) }, requeueAfterSeconds: 5 })
  })

  it('says why the Job has no pod', () => {
    const warnings = [{ reason: 'FailedCreate', message: 'pods is forbidden: exceeded quota' }]
    const decision = active({ warnings })
    expect(verdict(decision)).toBe('Unknown QuotaExceeded Pending')
    expect(messageOf(decision)).toContain('exceeded quota')
  })

  it('runs', () => {
    const decision = active({ pods: [podOf({ phase: 'Running' })] })
    expect(verdict(decision)).toBe('Unknown Running Running')
    expect(decision).toMatchObject({ status: { attempts: 1, attempt: 'pod-1' } })
    expect(messageOf(decision)).toBe('attempt 1 of 4, pod pod-1')
    expect(decision.requeueAfterSeconds).toBeUndefined()
  })

  it('shows the progress of its pod', () => {
    const progress = { objects: 3, objectsDone: 1, rows: '10', bytes: '2048', storedBytes: '1536', percent: 33.9 }
    const { status } = active({ pods: [podOf({ phase: 'Running' })], progress })
    expect(status.progress).toEqual({
      objects: 3,
      objectsDone: 1,
      rows: 10,
      bytes: 2048,
      storedBytes: 1536,
      percent: 33,
      display: '33%',
      size: '1.5 KiB',
    })
  })

  it('still runs when its pod has succeeded and the Job does not say so yet', () => {
    expect(verdict(active({ pods: [endedPod(SUCCESS)] }))).toBe('Unknown Running Running')
  })

  it('is retried after what can pass, and tells the cause', () => {
    const decision = active({ pods: [endedPod(TRANSIENT)] })
    expect(verdict(decision)).toBe('Unknown Retrying Pending')
    expect(decision.status.lastFailure).toEqual({
      attempt: 'pod-1',
      reason: 'StoreUnreachable',
      message: 'connect ECONNREFUSED',
      time: '2026-01-02T03:04:05Z',
    })
  })

  it('does not claim a retry after what cannot pass', () => {
    expect(verdict(active({ pods: [endedPod(PERMANENT)] }))).toBe('Unknown RelationNotFound Pending')
  })

  it('remembers the failure of the attempt before in the message of the next', () => {
    const pods = [endedPod(TRANSIENT, { ageSeconds: 60 }), podOf({ name: 'pod-2', phase: 'Running' })]
    const decision = active({ pods })
    expect(messageOf(decision)).toBe(
      'attempt 2 of 4, pod pod-2; attempt pod-1 failed: StoreUnreachable: connect ECONNREFUSED',
    )
  })

  it('lists the last ten failed attempts with their causes, cut short', () => {
    const long = { ...TRANSIENT, message: 'x'.repeat(3000) }
    const pods = Array.from({ length: 12 }, (_, index) =>
      endedPod(long, { name: `pod-${index}`, ageSeconds: 100 - index }),
    )
    const { status } = active({ pods })
    expect(status.failures?.map(({ attempt }) => attempt)).toEqual(
      Array.from({ length: 10 }, (_, index) => `pod-${index + 2}`),
    )
    expect(status.failures?.[0]?.message).toHaveLength(512)
    expect(status.lastFailure).toMatchObject({ attempt: 'pod-11', message: expect.stringMatching(/^x{2047}…$/) })
    const run = withStatus(dumpRun(), status)
    const next = see(run, { job: jobOf(run), pods: [...pods, endedPod(PERMANENT, { name: 'pod-12', ageSeconds: 1 })] })
    expect(next.status.failures?.map(({ attempt }) => attempt).at(-1)).toBe('pod-12')
    expect(next.status.failures).toHaveLength(10)
  })

  it('does not date a failure anew at every visit', () => {
    const run = dumpRun()
    const pods = [endedPod(TRANSIENT)]
    const first = after(run, { job: jobOf(run), pods })
    const second = see(withStatus(run, first), { job: jobOf(run), pods, now: new Date(NOW.getTime() + 60_000) })
    expect(second.status.lastFailure).toEqual(first.lastFailure)
  })

  it('counts attempts whose pods are gone', () => {
    const run = dumpRun({}, { jobName: JOB, attempts: 2, attempt: 'pod-2' })
    expect(active({ pods: [podOf({ name: 'pod-3' })] }, run).status.attempts).toBe(3)
    expect(active({ pods: [podOf({ name: 'pod-2' })] }, run).status.attempts).toBe(2)
    expect(active({ pods: [] }, run).status.attempts).toBe(2)
  })

  it('counts the attempts of an earlier Job', () => {
    const run = dumpRun({}, { jobName: JOB, attempts: 2, attempt: 'pod-2' })
    const job = jobOf(run, { name: `${JOB}-2`, attemptsBefore: 2 })
    const decision = see(run, { job, pods: [podOf({ name: 'pod-3', phase: 'Running' })] })
    expect(decision.status).toMatchObject({ jobName: `${JOB}-2`, attempts: 3 })
  })

  it('counts an attempt once that its Job tells of before its pod is seen', () => {
    const run = dumpRun({}, { jobName: JOB, attempts: 1, attempt: 'pod-1' })
    const job = jobOf(run, { name: `${JOB}-2`, attemptsBefore: 1, active: 1 })
    const { status } = see(run, { job, pods: [] })
    const later = see({ ...run, status }, { job, pods: [podOf({ name: 'pod-2' })] })
    expect(later.status).toMatchObject({ attempts: 2, attempt: 'pod-2' })
  })

  it('does not promise a limit that disruptions have passed', () => {
    const run = dumpRun({ job: { backoffLimit: 0 } }, { jobName: JOB, attempts: 1, attempt: 'pod-1' })
    expect(messageOf(active({ pods: [podOf({ name: 'pod-2', phase: 'Running' })] }, run))).toBe('attempt 2, pod pod-2')
  })

  it('says that its pod is ending', () => {
    expect(messageOf(active({ pods: [podOf({ phase: 'Running', deleting: true })] }))).toContain('which is ending')
  })

  it('says that its node is lost when its pod does not end, and what to do', () => {
    const pods = [podOf({ phase: 'Running', deleting: true })]
    expect(active({ pods }).requeueAfterSeconds).toBe(30)
    const decision = active({ pods, now: new Date(NOW.getTime() + 31_000) })
    expect(verdict(decision)).toBe('Unknown NodeLost Pending')
    expect(messageOf(decision)).toContain('delete the node if it is gone for good')
  })

  it('waits for a Job that is being deleted', () => {
    const run = dumpRun()
    const decision = see(run, { job: jobOf(run, { deleting: true }), live: false })
    expect(verdict(decision)).toBe('Unknown Pending Pending')
    expect(decision.action).toBeUndefined()
  })
})

describe('a Job that is to be suspended or resumed', () => {
  it('is suspended, whatever its pod does', () => {
    const run = dumpRun({ suspend: true })
    const decision = see(run, { job: jobOf(run), pods: [podOf({ phase: 'Running' })] })
    expect(verdict(decision)).toBe('Unknown Suspended Suspended')
    expect(decision.action).toEqual({ type: 'SuspendJob', suspend: true })
  })

  it('is left alone once it is suspended', () => {
    const run = dumpRun({ suspend: true })
    expect(see(run, { job: jobOf(run, { suspend: true }) }).action).toBeUndefined()
  })

  it('is resumed', () => {
    const run = dumpRun({ suspend: false })
    const decision = see(run, { job: jobOf(run, { suspend: true }) })
    expect(verdict(decision)).toBe('Unknown Pending Pending')
    expect(decision.action).toEqual({ type: 'SuspendJob', suspend: false })
  })

  it('does not report what the suspension itself ended as a failure', () => {
    const run = dumpRun({ suspend: true })
    const cancelled = { ...TRANSIENT, code: 'CANCELLED', message: 'SIGTERM' } as const
    const decision = see(run, { job: jobOf(run, { suspend: true }), pods: [endedPod(cancelled)] })
    expect(decision.status.lastFailure).toBeUndefined()
  })

  it.each([
    ['while the API server has not heard of it', jobOf(dumpRun(), { suspend: true, ageSeconds: 9000 })],
    ['while its controller has not', jobOf(dumpRun(), { conditions: [['Suspended']], ageSeconds: 9000 })],
  ])('has all its time to start a pod, %s', (_, job) => {
    expect(verdict(see(dumpRun(), { job }))).toBe('Unknown Pending Pending')
  })
})

describe('a pod that does not start', () => {
  const run = dumpRun()
  const late = (pod: Pod | undefined, live = true) =>
    see(run, { job: jobOf(run, { ageSeconds: 601 }), pods: pod === undefined ? [] : [pod], live })
  const stuck = podOf({
    ageSeconds: 601,
    state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } },
  })

  it('fails the run with what it waited for', () => {
    const decision = late(stuck)
    expect(verdict(decision)).toBe('False PendingDeadlineExceeded Failed')
    expect(messageOf(decision)).toContain('(600 s): ImagePullFailed: ImagePullBackOff: no such image')
  })

  it('fails the run only when the API server agrees', () => {
    expect(late(stuck, false).action).toEqual({ type: 'ObserveLive' })
  })

  it('fails the run when there is no pod at all', () => {
    expect(verdict(late(undefined))).toBe('False PendingDeadlineExceeded Failed')
  })

  it('has its own time after an attempt that ran for long', () => {
    expect(verdict(late(endedPod(TRANSIENT, { ageSeconds: 601 })))).toBe('Unknown Retrying Pending')
    expect(verdict(late(podOf({ ageSeconds: 2 })))).toBe('Unknown Pending Pending')
  })

  it('is looked at again at its deadline', () => {
    const seen = { job: jobOf(run, { ageSeconds: 598 }), pods: [podOf({ ageSeconds: 598 })] }
    expect(see(run, seen).requeueAfterSeconds).toBeCloseTo(1.322, 2)
  })
})

describe('a Job that has ended', () => {
  const run = dumpRun({}, { jobName: JOB })
  const complete = jobOf(run, { conditions: [['Complete']] })
  const failed = (reason: string) => jobOf(run, { conditions: [['Failed', reason]], activeDeadlineSeconds: 60 })

  it('is a success with the result of its pod', () => {
    const decision = see(run, { job: complete, pods: [endedPod(SUCCESS)], live: false })
    expect(verdict(decision)).toBe('True Succeeded Succeeded')
    expect(decision.status).toMatchObject({
      artifact: { path: SUCCESS.artifact.path, manifestSHA256: SUCCESS.artifact.manifestSHA256, rows: 5_000_000 },
      progress: { objects: 2, objectsDone: 2, percent: 100 },
      completionTime: '2026-01-02T03:04:05Z',
    })
  })

  it('is a success by the pod that succeeded, not by one before', () => {
    const pods = [endedPod(TRANSIENT, { name: 'pod-0', ageSeconds: 90 }), endedPod(SUCCESS)]
    expect(verdict(see(run, { job: complete, pods }))).toBe('True Succeeded Succeeded')
  })

  it.each([
    ['no pod', []],
    ['a pod that the cache still sees running', [podOf({ phase: 'Running' })]],
    ['a pod without a result', [podOf({ phase: 'Succeeded', state: { terminated: { exitCode: 0 } } })]],
    ['a pod that says it failed', [endedPod(PERMANENT, { phase: 'Succeeded' })]],
  ])('is no success with %s', (_, pods) => {
    expect(see(run, { job: complete, pods, live: false }).action).toEqual({ type: 'ObserveLive' })
    expect(see(run, { job: complete, pods }).action).toEqual({
      type: 'CreateJob',
      turn: { incarnation: 2, attemptsBefore: 1 },
    })
  })

  const without = (candidate: Run) =>
    see(withStatus(candidate, { jobName: 'j', attempts: 1 }), { job: jobOf(candidate, { conditions: [['Complete']] }) })

  it.each([
    ['a dump', dumpRun()],
    ['an Append, whose ledger row tells what was committed', restoreRun()],
    ['a table made where it is missing', transferRun({ mode: 'CreateIfMissing' })],
    ['a dry run', restoreRun({ mode: 'Truncate', runMode: 'DryRun' })],
  ])('without a result is done again: %s', (_, candidate) => {
    expect(without(candidate).action).toMatchObject({ type: 'CreateJob' })
  })

  it.each(['Truncate', 'Replace'] as const)(
    'without a result is unknown where another attempt replaces rows (%s)',
    (mode) => {
      expect(verdict(without(restoreRun({ mode })))).toBe('False ResultUnknown Failed')
      expect(without(transferRun({ mode })).action).toBeUndefined()
    },
  )

  it('without a result is unknown when no attempt is left', () => {
    expect(verdict(without(dumpRun({ job: { backoffLimit: 0 } })))).toBe('False ResultUnknown Failed')
  })

  it('is still a success while it is being deleted', () => {
    const job = jobOf(run, { conditions: [['Complete']], deleting: true })
    expect(verdict(see(run, { job, pods: [endedPod(SUCCESS)] }))).toBe('True Succeeded Succeeded')
  })

  it('is a failure by what its last attempt said', () => {
    const decision = see(run, { job: failed('PodFailurePolicy'), pods: [endedPod(PERMANENT)], live: false })
    expect(verdict(decision)).toBe('False RelationNotFound Failed')
    expect(messageOf(decision)).toBe(PERMANENT.message)
  })

  it('says how often it was tried', () => {
    const pods = [endedPod(TRANSIENT, { ageSeconds: 60 }), endedPod(TRANSIENT, { name: 'pod-2' })]
    const decision = see(run, { job: failed('BackoffLimitExceeded'), pods })
    expect(verdict(decision)).toBe('False StoreUnreachable Failed')
    expect(messageOf(decision)).toBe('connect ECONNREFUSED (last of 2 attempts)')
  })

  it('is a failure of its deadline, whatever ended the pod', () => {
    const decision = see(run, { job: failed('DeadlineExceeded'), pods: [endedPod(TRANSIENT)] })
    expect(verdict(decision)).toBe('False DeadlineExceeded Failed')
    expect(messageOf(decision)).toContain('(60 s)')
    expect(verdict(see(run, { job: failed('DeadlineExceeded') }))).toBe('False DeadlineExceeded Failed')
  })

  it('is a failure without a cause when its pods are gone', () => {
    expect(see(run, { job: failed('BackoffLimitExceeded'), live: false }).action).toEqual({ type: 'ObserveLive' })
    expect(verdict(see(run, { job: failed('BackoffLimitExceeded') }))).toBe('False BackoffLimitExceeded Failed')
  })
})

describe('a final run', () => {
  const base = dumpRun({ job: { ttlSecondsAfterFinished: 60 } })
  const success = after(base, { job: jobOf(base, { conditions: [['Complete']] }), pods: [endedPod(SUCCESS)] })
  const run = withStatus(base, success)

  it('lets its finished Job expire', () => {
    const decision = see(run, { job: jobOf(run, { conditions: [['Complete']] }) })
    expect(decision.action).toEqual({ type: 'ExpireJob', ttlSecondsAfterFinished: 60 })
  })

  it('expires its Job after a day when nobody said otherwise', () => {
    const plain = withStatus(dumpRun(), success)
    expect(see(plain, { job: jobOf(plain, { conditions: [['Failed']] }) }).action).toMatchObject({
      ttlSecondsAfterFinished: 86400,
    })
  })

  it('does not expire it twice', () => {
    const job = jobOf(run, { conditions: [['Complete']], ttlSecondsAfterFinished: 60 })
    expect(see(run, { job }).action).toBeUndefined()
  })

  it('ends a Job that goes on', () => {
    expect(see(run, { job: jobOf(run) }).action).toEqual({ type: 'DeleteJob' })
    expect(see(run, { job: jobOf(run, { deleting: true }) }).action).toBeUndefined()
  })

  const anyJob: fc.Arbitrary<Job | undefined> = fc.option(
    fc
      .record({
        conditions: fc.constantFrom([], [['Complete'] as const], [['Failed', 'DeadlineExceeded'] as const]),
        deleting: fc.boolean(),
        suspend: fc.boolean(),
        ageSeconds: fc.constantFrom(1, 100_000),
      })
      .map((shape) => jobOf(dumpRun(), shape)),
    { nil: undefined },
  )
  const anyPods = fc.subarray([
    endedPod(SUCCESS, { name: 'a' }),
    endedPod(PERMANENT, { name: 'b' }),
    endedPod(TRANSIENT, { name: 'c' }),
    podOf({ name: 'd', phase: 'Running' }),
    podOf({ name: 'e', ageSeconds: 100_000 }),
  ])
  const anyObservation = fc.record({ job: anyJob, pods: anyPods, live: fc.boolean(), suspend: fc.boolean() })

  it('stays as it is and gets no Job, whatever is observed', () => {
    fc.assert(
      fc.property(anyObservation, ({ suspend, ...seen }) => {
        const decision = see({ ...run, spec: { ...run.spec, suspend } }, seen)
        expect(decision.status).toBe(run.status)
        expect(decision.action?.type).not.toBe('CreateJob')
        expect(decision.action?.type).not.toBe('ObserveLive')
      }),
    )
  })

  it('is reached by no walk that does not stay there, and success by none without a result', () => {
    fc.assert(
      fc.property(
        fc.array(anyObservation, { maxLength: 12 }),
        fc.constantFrom(dumpRun(), restoreRun()),
        (walk, start) => {
          let current: Run = start
          for (const { suspend, ...seen } of walk) {
            const wasFinal = isFinal(current.status)
            const { status, action } = see({ ...current, spec: { ...current.spec, suspend } } as Run, seen)
            if (wasFinal) expect(status).toBe(current.status)
            if (!wasFinal && status.phase === 'Succeeded') {
              expect(seen.job?.status?.conditions?.[0]?.type).toBe('Complete')
              expect(seen.pods.some((pod) => pod.metadata?.name === 'a')).toBe(true)
            }
            if (action?.type === 'CreateJob') {
              expect(seen.live).toBe(true)
              const hasResult = seen.pods.some((pod) => pod.metadata?.name === 'a')
              const isLost = seen.job?.status?.conditions?.[0]?.type === 'Complete' && !hasResult
              expect(seen.job === undefined || isLost).toBe(true)
            }
            current = { ...current, status } as Run
          }
        },
      ),
    )
  })

  it('asks for a live look at most once', () => {
    fc.assert(
      fc.property(anyObservation, fc.constantFrom({}, { jobName: JOB }), ({ suspend, ...seen }, status) => {
        const decision = see(dumpRun({ suspend }, status), { ...seen, live: true })
        expect(decision.action?.type).not.toBe('ObserveLive')
      }),
    )
  })
})

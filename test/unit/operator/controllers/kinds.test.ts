import { describe, expect, it } from '@jest/globals'
import type { RunStatus } from '../../../../src/api/v1alpha1/status.ts'
import { indexByDumpRef, indexByRun, trimJob, trimPod } from '../../../../src/operator/controllers/caches.ts'
import { dumpRefOf, kindOf, planOf, prerequisiteOf } from '../../../../src/operator/controllers/kinds.ts'
import { mapPodToRun } from '../../../../src/operator/controllers/sources.ts'
import { buildJob } from '../../../../src/operator/specs/job.ts'
import { deleted, dumpRun, jobOf, podOf, restoreRun, transferRun } from './fixtures.ts'

const succeeded = (status: 'True' | 'False' | 'Unknown', reason = 'Because'): RunStatus => ({
  conditions: [{ type: 'Succeeded', status, reason, message: 'the message', lastTransitionTime: '' }],
})
const ARTIFACT = { path: 'a/b', manifestSHA256: 'f'.repeat(64) }
const WHOLE = { ...succeeded('True'), artifact: ARTIFACT }
const s3 = { endpoint: 'http://s3', bucket: 'b-3', credentialsSecretRef: { name: 's' } }

describe('what a run waits for', () => {
  it('is nothing for a dump, or for a restore by path', () => {
    expect(prerequisiteOf(dumpRun(), undefined)).toEqual({ ready: true })
    expect(prerequisiteOf(transferRun(), undefined)).toEqual({ ready: true })
    expect(prerequisiteOf(restoreRun({ source: { s3, path: 'p' } }), undefined)).toEqual({ ready: true })
  })

  it.each([
    ['that does not exist', undefined, false, 'DumpNotFound'],
    ['that nobody has looked at', dumpRun(), false, 'DumpNotSucceeded'],
    ['that runs', dumpRun({}, succeeded('Unknown')), false, 'DumpNotSucceeded'],
    ['that goes with its artefact', deleted(dumpRun({}, WHOLE)), false, 'DumpNotFound'],
    ['that was a DryRun', dumpRun({}, succeeded('True')), true, 'DumpFailed'],
    ['that has failed', dumpRun({}, succeeded('False', 'StoreFull')), true, 'DumpFailed'],
  ] as const)('is a dump %s', (_, dump, final, reason) => {
    expect(prerequisiteOf(restoreRun(), dump)).toMatchObject({ ready: false, final, reason })
  })

  it('names why the dump has failed', () => {
    const prerequisite = prerequisiteOf(restoreRun(), dumpRun({}, succeeded('False', 'StoreFull')))
    expect(prerequisite).toMatchObject({ message: 'PGPackDump orders has failed: StoreFull: the message' })
  })

  it('is there when the dump has succeeded', () => {
    const dump = dumpRun({}, WHOLE)
    expect(prerequisiteOf(restoreRun(), dump)).toEqual({ ready: true })
  })
})

describe('the plan of a restore', () => {
  it('takes place, path and manifest of its dump', () => {
    const { config, mounts } = planOf(restoreRun(), dumpRun({}, WHOLE))
    expect(config).toMatchObject({ path: 'a/b', manifestSHA256: 'f'.repeat(64), source: { bucket: 'b-1' } })
    expect(mounts.map(({ volume }) => volume.secret?.secretName)).toEqual(['copy-app', 'minio'])
  })

  it('takes place and path that the user names', () => {
    const { config } = planOf(restoreRun({ source: { s3, path: 'a/p/' } }), undefined)
    expect(config).toMatchObject({ path: 'a/p', source: { bucket: 'b-3' } })
  })

  it('is none without its dump', () => {
    expect(() => planOf(restoreRun(), undefined)).toThrow('has no artefact')
  })
})

describe('the plan of a transfer', () => {
  it('takes two databases and no store', () => {
    const { config, mounts } = planOf(transferRun(), undefined)
    expect(config.kind).toBe('Transfer')
    expect(mounts.map(({ volume }) => volume.secret?.secretName)).toEqual(['orders-app', 'copy-app'])
  })
})

describe('the kinds', () => {
  it.each([
    [dumpRun(), 'pgpackdumps'],
    [restoreRun(), 'pgpackrestores'],
    [transferRun(), 'pgpacktransfers'],
  ])('are served where their CRDs say (%#)', (run, plural) => expect(kindOf(run).plural).toBe(plural))
})

describe('the sources of events', () => {
  it('map a pod to the run that its annotation names', () => {
    const run = dumpRun()
    const template = buildJob(run, [], { image: 'i', imagePullPolicy: 'Never' }, { incarnation: 1, attemptsBefore: 0 })
      .spec?.template
    const pod = { metadata: { ...template?.metadata, namespace: 'shop', name: 'pod' } }
    const event = { type: 'add', object: pod } as const
    expect(mapPodToRun('pgpack.io/dump')(pod, event)).toEqual(['shop/orders'])
    expect(mapPodToRun('pgpack.io/restore')(pod, event)).toEqual([])
    expect(mapPodToRun('pgpack.io/dump')({ metadata: { name: 'x' } }, event)).toEqual([])
  })

  it('find Jobs by the run that controls them', () => {
    expect(indexByRun(jobOf(transferRun()))).toEqual(['PGPackTransfer shop/orders'])
    expect(indexByRun({ metadata: { namespace: 'shop', name: 'j' } })).toEqual([])
  })

  it('find restores by their dump', () => {
    expect(dumpRefOf(restoreRun())).toBe('orders')
    expect(indexByDumpRef(restoreRun())).toEqual(['shop/orders'])
    expect(indexByDumpRef(restoreRun({ source: { s3, path: 'p' } }))).toEqual([])
  })
})

describe('what the caches keep', () => {
  it('of a pod is what decisions are taken from', () => {
    const pod = podOf({ memory: '512Mi', state: { running: {} } })
    const kept = trimPod({
      ...pod,
      metadata: { ...pod.metadata, managedFields: [{}] },
      spec: { ...pod.spec, containers: [{ ...pod.spec?.containers[0], name: 'engine', args: ['run'] }], volumes: [] },
    })
    expect(kept).toEqual(pod)
  })

  it('of a Job is all but the template of its pods', () => {
    const job = jobOf(dumpRun(), { suspend: true })
    const full = { ...job, spec: { ...job.spec, template: { spec: { containers: [{ name: 'engine' }] } } } }
    expect(trimJob(full)).toEqual(job)
  })
})

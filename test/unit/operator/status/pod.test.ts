import { describe, expect, it } from '@jest/globals'
import { failureOf, podCreationFailure, resultOf, waitOf } from '../../../../src/operator/status/pod.ts'
import { encodeProgress } from '../../../../src/run/progress.ts'
import { endedPod, PERMANENT, podOf, SUCCESS, TRANSIENT } from '../controllers/fixtures.ts'

const DISRUPTED = [
  { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' },
]
const terminated = (state: object, rest = {}) => podOf({ phase: 'Failed', ...rest, state: { terminated: state } })

describe('why a pod failed', () => {
  it('is what the engine said', () => {
    expect(failureOf(endedPod(TRANSIENT))).toEqual({ reason: 'StoreUnreachable', message: 'connect ECONNREFUSED' })
  })

  it('is what the engine said even of a disrupted pod, when a retry cannot help', () => {
    expect(failureOf(endedPod(PERMANENT, { conditions: DISRUPTED })).reason).toBe('RelationNotFound')
  })

  it('is the disruption that cut an engine off', () => {
    const expected = { reason: 'Evicted', message: 'Eviction API: evicting' }
    expect(failureOf(endedPod(TRANSIENT, { conditions: DISRUPTED }))).toEqual(expected)
    expect(failureOf(terminated({ exitCode: 137 }, { conditions: DISRUPTED }))).toEqual(expected)
  })

  it('is the memory limit, by name', () => {
    const cause = failureOf(terminated({ exitCode: 137, reason: 'OOMKilled' }, { memory: '512Mi' }))
    expect(cause.reason).toBe('OOMKilled')
    expect(cause.message).toContain('its memory limit of 512Mi: raise spec.job.resources.limits.memory')
    expect(failureOf(terminated({ exitCode: 137, reason: 'OOMKilled' })).message).toContain('the memory of its node')
  })

  it('is a lost node or an eviction when the container was never seen to end', () => {
    const pod = podOf({ phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' })
    expect(failureOf(pod)).toEqual({ reason: 'Evicted', message: 'The node was low on resource: memory.' })
    expect(failureOf(podOf({ phase: 'Failed' })).reason).toBe('NodeLost')
  })

  it.each([
    ['DeletionByTaintManager', 'NodeLost'],
    ['DeletionByPodGC', 'NodeLost'],
    ['EvictionByEvictionAPI', 'Evicted'],
    ['PreemptionByScheduler', 'Evicted'],
    ['TerminationByKubelet', 'Evicted'],
  ])('is %s as %s', (reason, expected) => {
    const conditions = [{ type: 'DisruptionTarget', status: 'True', reason, message: 'said the cluster' }]
    const pod = podOf({ phase: 'Failed', conditions })
    expect(failureOf(pod)).toEqual({ reason: expected, message: 'said the cluster' })
  })

  it('is SIGTERM by its exit code', () => expect(failureOf(terminated({ exitCode: 143 })).reason).toBe('Cancelled'))

  it('is a crash with the last words of the log, without progress', () => {
    const message = `line 1\n${encodeProgress({ objects: 1, objectsDone: 0, rows: '1', bytes: '2', storedBytes: '3' })}\nSegmentation fault\n`
    expect(failureOf(terminated({ exitCode: 139, message }))).toEqual({
      reason: 'EngineCrashed',
      message: 'the engine ended with exit code 139 and no result; its last words: line 1\nSegmentation fault',
    })
    expect(failureOf(terminated({ exitCode: 1 })).message).toContain('it left no message')
    expect(failureOf(terminated({ exitCode: 1, message: 'x'.repeat(4096) })).message.length).toBeLessThan(700)
  })

  it('is a crash when the engine said that it succeeded', () => {
    expect(failureOf(endedPod(SUCCESS, { phase: 'Failed' })).reason).toBe('EngineCrashed')
  })
})

describe('the result of a pod', () => {
  it('is what it left behind', () => expect(resultOf(endedPod(SUCCESS))).toEqual(SUCCESS))

  it.each([
    podOf(),
    podOf({ phase: 'Running', state: { running: {} } }),
    terminated({ exitCode: 0, message: '{"outcome":' }),
  ])('is nothing without one (%#)', (pod) => expect(resultOf(pod)).toBeUndefined())
})

describe('what a pod waits for', () => {
  const waiting = (reason: string, message: string) => podOf({ state: { waiting: { reason, message } } })
  const mount = (message: string) => [{ reason: 'FailedMount', message }]

  it('is a node', () => {
    const pod = podOf({ conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' }] })
    expect(waitOf(pod, [])).toEqual({ reason: 'Unschedulable', message: '0/3 nodes are available' })
  })

  it.each(['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull'])(
    'is its image (%s)',
    (reason) => {
      expect(waitOf(waiting(reason, 'no such image'), [])).toEqual({
        reason: 'ImagePullFailed',
        message: `${reason}: no such image`,
      })
    },
  )

  it.each([
    [
      'MountVolume.SetUp failed for volume "database" : secret "orders-app" not found',
      'Secret orders-app does not exist',
    ],
    [
      'MountVolume.SetUp failed for volume "database-ca" : references non-existent secret key: root.pem',
      'the Secret with the key root.pem does not exist',
    ],
  ])('is a Secret: %s', (message, named) => {
    const cause = waitOf(waiting('ContainerCreating', ''), mount(message))
    expect(cause.reason).toBe('SecretNotFound')
    expect(cause.message).toContain(named)
  })

  it('is a Secret by the state of the container', () => {
    const pod = waiting('CreateContainerConfigError', 'secret "orders-app" not found')
    expect(waitOf(pod, []).reason).toBe('SecretNotFound')
  })

  it('is another mount', () => {
    expect(waitOf(podOf(), mount('timed out waiting for the condition')).reason).toBe('VolumeMountFailed')
  })

  it('is the newest of its mounts', () => {
    const warnings = [...mount('secret "a" not found'), ...mount('secret "b" not found')]
    expect(waitOf(podOf(), warnings).message).toContain('Secret b')
  })

  it('is its container', () => {
    expect(waitOf(waiting('CreateContainerError', 'no such user'), []).reason).toBe('ContainerCreateFailed')
  })

  it('is nothing in particular', () => {
    expect(waitOf(podOf(), [{ reason: 'Unhealthy', message: 'x' }])).toEqual({
      reason: 'Pending',
      message: 'pod pod-1 is starting',
    })
  })
})

describe('why a Job has no pod', () => {
  it('is in its Events', () => {
    const warnings = [
      { reason: 'FailedCreate', message: 'old' },
      { reason: 'FailedCreate', message: 'violates PodSecurity' },
      { reason: 'Other', message: 'x' },
    ]
    expect(podCreationFailure(warnings)).toEqual({ reason: 'PodNotCreated', message: 'violates PodSecurity' })
    expect(podCreationFailure([])).toBeUndefined()
  })

  it('is a quota by its own name', () => {
    const message = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1'
    expect(podCreationFailure([{ reason: 'FailedCreate', message }])).toEqual({ reason: 'QuotaExceeded', message })
  })
})

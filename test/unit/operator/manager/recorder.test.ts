import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { EventRecorder } from '../../../../src/operator/manager/recorder.ts'
import type { ApiObject, Event } from '../../../../src/operator/manager/resources.ts'
import { RestClient, type RestRequest } from '../../../../src/operator/manager/rest.ts'
import { FakeClock, settle } from './fakeclock.ts'
import { RecordingLog } from './recordinglog.ts'

const DUMP: ApiObject = {
  apiVersion: 'pgpack.io/v1alpha1',
  kind: 'PGPackDump',
  metadata: { namespace: 'ns', name: 'nightly', uid: 'u1', resourceVersion: '7' },
}

/** Keeps what would be sent; fails with what is in `failures` first. */
class FakeRest extends RestClient {
  readonly sent: RestRequest[] = []
  failures: ApiError[] = []

  constructor() {
    super({ access: { getCurrentCluster: () => null, applyToHTTPSOptions: () => Promise.resolve() } })
  }

  override json<T>(request: RestRequest): Promise<T> {
    const failure = this.failures.shift()
    if (failure !== undefined) return Promise.reject(failure)
    this.sent.push(request)
    return Promise.resolve(request.body as T)
  }

  bodies(): Event[] {
    return this.sent.map((request) => request.body as Event)
  }
}

let rest: FakeRest
let clock: FakeClock
let log: RecordingLog
let results: string[]
let recorder: EventRecorder

beforeEach(() => {
  rest = new FakeRest()
  clock = new FakeClock()
  log = new RecordingLog()
  results = []
  recorder = new EventRecorder({
    client: new KubernetesClient(rest),
    component: 'pgpack-operator',
    instance: 'pod-1',
    clock,
    log,
    random: () => 1,
    observe: (result) => results.push(result),
  })
})

afterEach(async () => {
  await recorder.close(0)
  rest.close()
})

function refuse(code: number, reason: string, message = reason): ApiError {
  return ApiError.fromStatus({ code, reason, message }, { request: 'POST /events' })
}

describe('EventRecorder', () => {
  it('writes an event about the object, its uid included', async () => {
    recorder.event(DUMP, 'Normal', 'JobCreated', 'Created Job nightly-1')
    await settle()
    expect(rest.sent).toMatchObject([{ method: 'POST', path: '/api/v1/namespaces/ns/events' }])
    expect(rest.bodies()).toMatchObject([
      {
        metadata: { namespace: 'ns', name: expect.stringMatching(/^nightly\.[0-9a-f]+$/) },
        involvedObject: {
          apiVersion: 'pgpack.io/v1alpha1',
          kind: 'PGPackDump',
          namespace: 'ns',
          name: 'nightly',
          uid: 'u1',
          resourceVersion: '7',
        },
        type: 'Normal',
        reason: 'JobCreated',
        message: 'Created Job nightly-1',
        count: 1,
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        reportingComponent: 'pgpack-operator',
        reportingInstance: 'pod-1',
        source: { component: 'pgpack-operator' },
      },
    ])
    expect(results).toEqual(['sent'])
  })

  it('counts a repetition on the event that is there', async () => {
    recorder.event(DUMP, 'Warning', 'StoreUnreachable', 'no answer')
    await clock.advance(60_000)
    recorder.event(DUMP, 'Warning', 'StoreUnreachable', 'no answer')
    await settle()
    const [, patched] = rest.sent
    expect(patched).toMatchObject({
      method: 'PATCH',
      path: `/api/v1/namespaces/ns/events/${rest.bodies()[0]?.metadata.name}`,
      body: { count: 2, lastTimestamp: '2026-01-01T00:01:00Z' },
    })
  })

  it.each([
    ['another message', DUMP, 'Warning', 'A', 'other'],
    ['another reason', DUMP, 'Warning', 'B', 'text'],
    ['another type', DUMP, 'Normal', 'A', 'text'],
    ['another object', { ...DUMP, metadata: { ...DUMP.metadata, uid: 'u2' } }, 'Warning', 'A', 'text'],
  ] as const)('makes a new event for %s', async (_, object, type, reason, message) => {
    recorder.event(DUMP, 'Warning', 'A', 'text')
    recorder.event(object, type, reason, message)
    await settle()
    expect(rest.sent.map((request) => request.method)).toEqual(['POST', 'POST'])
    expect(new Set(rest.bodies().map((event) => event.metadata.name)).size).toBe(2)
  })

  it('sends what came together as one event with its count', async () => {
    rest.failures = [new ApiError('no answer', { request: 'POST /events' })]
    for (let i = 0; i < 5; i++) recorder.event(DUMP, 'Warning', 'A', 'text')
    await clock.advance(2_000)
    expect(rest.bodies()).toMatchObject([{ count: 5 }])
  })

  it('tries again while the server is away, in order', async () => {
    rest.failures = Array.from({ length: 5 }, () => new ApiError('no answer', { request: 'POST /events' }))
    recorder.event(DUMP, 'Normal', 'First', 'one')
    recorder.event(DUMP, 'Normal', 'Second', 'two')
    await clock.advance(60_000)
    expect(rest.bodies().map((event) => event.reason)).toEqual(['First', 'Second'])
    expect(results).toEqual(['sent', 'sent'])
  })

  it('gives up on an event that is refused, says so, and goes on', async () => {
    rest.failures = [refuse(422, 'Invalid')]
    recorder.event(DUMP, 'Normal', 'First', 'one')
    recorder.event(DUMP, 'Normal', 'Second', 'two')
    await settle()
    expect(log.lines).toMatchObject([
      {
        level: 'warn',
        message: 'event was not sent',
        fields: { namespace: 'ns', name: 'nightly', eventReason: 'First' },
      },
    ])
    expect(results).toEqual(['failed', 'sent'])
  })

  it('is not loud about a namespace that goes away', async () => {
    const message =
      'events "x" is forbidden: unable to create new content in namespace ns because it is being terminated'
    rest.failures = [refuse(403, 'Forbidden', message)]
    recorder.event(DUMP, 'Normal', 'First', 'one')
    await settle()
    expect(log.messages('warn')).toEqual([])
    expect(results).toEqual(['failed'])
  })

  it('makes a new event when the server has forgotten the old one', async () => {
    recorder.event(DUMP, 'Normal', 'First', 'one')
    await settle()
    rest.failures = [refuse(404, 'NotFound')]
    recorder.event(DUMP, 'Normal', 'First', 'one')
    await settle()
    expect(rest.sent.map((request) => request.method)).toEqual(['POST', 'POST'])
    expect(rest.bodies()[1]).toMatchObject({ count: 2 })
  })

  it('takes an event for sent that had arrived before its answer was lost', async () => {
    rest.failures = [refuse(409, 'AlreadyExists')]
    recorder.event(DUMP, 'Normal', 'First', 'one')
    await settle()
    expect(results).toEqual(['sent'])
  })

  it('lets an object have 25 events at once, then one in five minutes, and another object its own', async () => {
    for (let i = 0; i < 40; i++) recorder.event(DUMP, 'Normal', 'Progress', `step ${i}`)
    recorder.event({ ...DUMP, metadata: { ...DUMP.metadata, uid: 'u2' } }, 'Normal', 'Progress', 'step')
    await settle()
    expect(rest.sent).toHaveLength(26)
    expect(results.filter((result) => result === 'dropped')).toHaveLength(15)
    await clock.advance(300_000)
    recorder.event(DUMP, 'Normal', 'Progress', 'later')
    recorder.event(DUMP, 'Normal', 'Progress', 'too soon')
    await settle()
    expect(rest.sent).toHaveLength(27)
  })

  it.each([
    ['x'.repeat(1024), 'x'.repeat(1024)],
    ['x'.repeat(1025), `${'x'.repeat(1021)}…`],
    ['ж'.repeat(600), `${'ж'.repeat(510)}…`],
    ['🐘'.repeat(300), `${'🐘'.repeat(255)}…`],
  ])('keeps a message within 1024 bytes, cut between characters', async (message, expected) => {
    recorder.event(DUMP, 'Normal', 'First', message)
    await settle()
    expect(rest.bodies()[0]?.message).toBe(expected)
    expect(Buffer.byteLength(expected)).toBeLessThanOrEqual(1024)
  })

  it('sends an event that comes at the very moment the last one is done', async () => {
    for (let ticks = 1; ticks <= 30; ticks++) {
      const object = { ...DUMP, metadata: { ...DUMP.metadata, uid: `u${ticks}` } }
      let moment = Promise.resolve()
      recorder.event(object, 'Normal', 'First', 'before')
      for (let i = 0; i < ticks; i++) moment = moment.then(() => undefined)
      await moment
      recorder.event(object, 'Normal', 'Second', 'after')
      await settle()
      expect(rest.sent).toHaveLength(2 * ticks)
    }
  })

  it('keeps the name of an event about a 253-character object valid', async () => {
    const name = `${`${'a'.repeat(63)}.`.repeat(3)}${'b'.repeat(43)}-${'c'.repeat(17)}`
    recorder.event({ ...DUMP, metadata: { ...DUMP.metadata, name } }, 'Normal', 'First', 'one')
    await settle()
    const found = rest.bodies()[0]?.metadata.name ?? ''
    expect(found.length).toBeLessThanOrEqual(253)
    expect(found).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)
  })

  it('puts events about cluster-scoped objects into default', async () => {
    recorder.event({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', uid: 'u' } }, 'Normal', 'First', 'one')
    await settle()
    expect(rest.bodies()[0]).toMatchObject({ metadata: { namespace: 'default' } })
    expect(rest.bodies()[0]?.involvedObject).not.toHaveProperty('namespace')
  })

  it('sends what is left when it is closed, within the time it is given, and takes nothing more', async () => {
    recorder.event(DUMP, 'Normal', 'First', 'one')
    await recorder.close(1_000)
    recorder.event(DUMP, 'Normal', 'Second', 'two')
    await settle()
    expect(rest.bodies().map((event) => event.reason)).toEqual(['First'])
    expect(results).toEqual(['sent', 'dropped'])
    expect(clock.timers).toBe(0)
  })

  it('does not wait longer than that for a server that is away', async () => {
    rest.failures = Array.from({ length: 50 }, () => new ApiError('no answer', { request: 'POST /events' }))
    recorder.event(DUMP, 'Normal', 'First', 'one')
    await settle()
    const closing = recorder.close(1_000)
    await clock.advance(1_000)
    await closing
    expect(results).toEqual(['failed'])
  })

  it('forgets the oldest of thousands of different events', async () => {
    for (let i = 0; i < 4200; i++) {
      recorder.event({ ...DUMP, metadata: { ...DUMP.metadata, uid: `u${i}` } }, 'Normal', 'First', 'one')
    }
    // The first 104 are forgotten before they are sent, as thousands came at once
    await clock.advance(1)
    expect(results.filter((result) => result === 'dropped').length).toBeGreaterThan(0)
    rest.sent.length = 0
    recorder.event({ ...DUMP, metadata: { ...DUMP.metadata, uid: 'u4199' } }, 'Normal', 'First', 'one')
    recorder.event({ ...DUMP, metadata: { ...DUMP.metadata, uid: 'u0' } }, 'Normal', 'First', 'one')
    await settle()
    expect(rest.sent.map((request) => request.method)).toEqual(['PATCH', 'POST'])
  })
})

import { describe, expect, it, jest } from '@jest/globals'
import { Controller, mapToController, type Reconcile } from '../../../../src/operator/manager/controller.ts'
import { Informer, type ListWatch } from '../../../../src/operator/manager/informer.ts'
import type { ControllerMetrics } from '../../../../src/operator/manager/metrics.ts'
import type { ApiObject } from '../../../../src/operator/manager/resources.ts'
import { FakeClock, settle } from './fakeclock.ts'
import { RecordingLog } from './recordinglog.ts'

interface Harness {
  readonly clock: FakeClock
  readonly log: RecordingLog
  readonly controller: Controller
  readonly metrics: string[]
}

function createController(reconcile: Reconcile, options: { workers?: number; stuckAfterMs?: number } = {}): Harness {
  const clock = new FakeClock()
  const log = new RecordingLog()
  const metrics: string[] = []
  const queue: ControllerMetrics['queue'] = {
    depth: () => undefined,
    added: () => undefined,
    waited: () => undefined,
    worked: () => undefined,
    retried: () => metrics.push('retried'),
  }
  const controller = new Controller({
    ...options,
    name: 'dumps',
    reconcile,
    clock,
    log,
    metrics: {
      queue,
      started: () => metrics.push('started'),
      finished: (result, seconds) => metrics.push(`${result} ${seconds}`),
    },
  })
  return { clock, log, controller, metrics }
}

describe('Controller', () => {
  it('reconciles each key that is added', async () => {
    const reconcile = jest.fn<Reconcile>().mockResolvedValue(undefined)
    const { controller, metrics } = createController(reconcile)
    controller.start()
    controller.queue.add('ns/a')
    controller.queue.add('ns/b')
    await settle()
    expect(reconcile.mock.calls.map(([key]) => key)).toEqual(['ns/a', 'ns/b'])
    expect(metrics).toEqual(['started', 'success 0', 'started', 'success 0'])
    expect(await controller.stop(0)).toBe(true)
  })

  it('tries a key that throws again after its backoff, and lets the others pass', async () => {
    let failures = 2
    const done: string[] = []
    const { controller, clock, log, metrics } = createController((key) => {
      // Thrown at once, as a bug would be, and not as a rejected promise
      if (key === 'ns/bad' && failures-- > 0) throw new Error('cannot reach it')
      done.push(key)
      return Promise.resolve(undefined)
    })
    controller.start()
    controller.queue.add('ns/bad')
    controller.queue.add('ns/good')
    await settle()
    expect(done).toEqual(['ns/good'])
    await clock.advance(15)
    expect(done).toEqual(['ns/good', 'ns/bad'])
    expect(metrics.filter((entry) => entry.startsWith('error'))).toHaveLength(2)
    expect(log.lines.filter((line) => line.level === 'error')).toMatchObject([
      {
        message: 'reconcile failed',
        fields: { controller: 'dumps', namespace: 'ns', name: 'bad', reason: 'cannot reach it', failures: 1 },
      },
      { message: 'reconcile failed', fields: { failures: 2 } },
    ])
    expect(controller.queue.failures('ns/bad')).toBe(0)
    await controller.stop(0)
  })

  it('comes back when the reconcile asks for it', async () => {
    const reconcile = jest.fn<Reconcile>().mockResolvedValue({ requeueAfterSeconds: 30 })
    const { controller, clock, metrics } = createController(reconcile)
    controller.start()
    controller.queue.add('ns/a')
    await clock.advance(29_999)
    expect(reconcile).toHaveBeenCalledTimes(1)
    await clock.advance(1)
    expect(reconcile).toHaveBeenCalledTimes(2)
    expect(metrics).toContain('requeue_after 0')
    await controller.stop(0)
    expect(clock.timers).toBe(0)
  })

  it('reconciles as many keys at once as it has workers', async () => {
    const running: string[] = []
    const { controller } = createController(
      (key) => {
        running.push(key)
        return new Promise(() => undefined)
      },
      { workers: 2 },
    )
    controller.start()
    for (const key of ['a', 'b', 'c']) controller.queue.add(key)
    await settle()
    expect(running).toEqual(['a', 'b'])
  })

  it('aborts the signal of a reconcile that takes too long', async () => {
    let seen: AbortSignal | undefined
    const { controller, clock } = createController((_, { signal }) => {
      seen = signal
      return new Promise(() => undefined)
    })
    controller.start()
    controller.queue.add('ns/a')
    await clock.advance(119_999)
    expect(seen?.aborted).toBe(false)
    await clock.advance(1)
    expect(seen?.reason).toMatchObject({ message: 'reconcile took over 120000 ms' })
  })

  describe('stop', () => {
    it('lets running reconciles finish, and starts no other', async () => {
      const finish = Promise.withResolvers<undefined>()
      const reconcile = jest.fn<Reconcile>(() => finish.promise)
      const { controller } = createController(reconcile)
      controller.start()
      controller.queue.add('running')
      controller.queue.add('waiting')
      await settle()
      const stopped = jest.fn()
      const stopping = controller.stop(10_000).then(stopped)
      await settle()
      expect(stopped).not.toHaveBeenCalled()
      expect(reconcile.mock.calls[0]?.[1].signal.aborted).toBe(false)
      finish.resolve(undefined)
      await stopping
      expect(stopped).toHaveBeenCalledWith(true)
      expect(reconcile).toHaveBeenCalledTimes(1)
    })

    it('aborts what is not done in time, and waits for it to clean up', async () => {
      const cleaned = jest.fn()
      const { controller, clock } = createController(async (_, { signal }) => {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        cleaned()
        return undefined
      })
      controller.start()
      controller.queue.add('a')
      await settle()
      const stopping = controller.stop(10_000)
      await clock.advance(9_999)
      expect(cleaned).not.toHaveBeenCalled()
      await clock.advance(1)
      expect(await stopping).toBe(true)
      expect(cleaned).toHaveBeenCalled()
    })

    it('does not take a reconcile that it interrupts for one that failed', async () => {
      const { controller, clock, log, metrics } = createController(async (_, { signal }) => {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return undefined
      })
      controller.start()
      controller.queue.add('a')
      await settle()
      const stopping = controller.stop(1_000)
      await clock.advance(1_000)
      expect(await stopping).toBe(true)
      expect(log.messages('error')).toEqual([])
      expect(log.messages('info')).toEqual(['reconcile interrupted'])
      expect(metrics).not.toContain('retried')
    })

    it('says when a reconcile does not even heed its signal', async () => {
      const { controller, clock, log } = createController(() => new Promise(() => undefined))
      controller.start()
      controller.queue.add('a')
      await settle()
      const stopping = controller.stop(1_000)
      await clock.advance(3_000)
      expect(await stopping).toBe(false)
      expect(log.messages('error')).toEqual(['reconciles still run after stop'])
    })
  })

  describe('check', () => {
    it('finds a reconcile that hangs', async () => {
      const { controller, clock } = createController(() => new Promise(() => undefined), { stuckAfterMs: 60_000 })
      controller.start()
      controller.queue.add('a')
      await clock.advance(60_000)
      expect(controller.check()).toBeUndefined()
      await clock.advance(1_000)
      expect(controller.check()?.message).toBe('dumps: a key is worked on for 61 s, one waits for 0 s')
    })

    it('finds a queue that nobody serves', async () => {
      const { controller, clock } = createController(() => Promise.resolve(undefined), { stuckAfterMs: 60_000 })
      controller.queue.add('a')
      await clock.advance(61_000)
      expect(controller.check()?.message).toContain('one waits for 61 s')
    })
  })
})

describe('Controller.watch', () => {
  const job = (name: string, owner?: string, apiVersion = 'pgpack.io/v1alpha1'): ApiObject => ({
    metadata: {
      namespace: 'ns',
      name,
      resourceVersion: '1',
      ...(owner && {
        ownerReferences: [{ apiVersion, kind: 'PGPackDump', name: owner, uid: owner, controller: true }],
      }),
    },
  })

  async function startInformer(clock: FakeClock, ...items: ApiObject[]) {
    const changes: Array<(object: ApiObject) => void> = []
    const source: ListWatch<ApiObject> = {
      list: () => Promise.resolve({ items, resourceVersion: '1' }),
      async *watch({ signal }) {
        for (;;) {
          const changed = Promise.withResolvers<ApiObject>()
          changes.push(changed.resolve)
          signal.addEventListener('abort', () => changed.reject(signal.reason))
          yield { type: 'MODIFIED', object: await changed.promise }
        }
      },
    }
    const informer = new Informer({ name: 'jobs', source, clock, log: new RecordingLog() })
    const stop = new AbortController()
    const running = informer.run(stop.signal)
    await settle()
    return {
      informer,
      change: (object: ApiObject) => changes.shift()?.(object),
      async stop() {
        stop.abort(new Error('stopped'))
        await running
      },
    }
  }

  it('starts with what the informer holds, and queues nothing before it starts', async () => {
    const reconciled: string[] = []
    const { controller, clock } = createController((key) => {
      reconciled.push(key)
      return Promise.resolve(undefined)
    })
    const jobs = await startInformer(clock, job('a'), job('b'))
    controller.watch(jobs.informer)
    expect(controller.queue.depth).toBe(0)
    controller.start()
    await settle()
    expect(reconciled).toEqual(['ns/a', 'ns/b'])
    await controller.stop(0)
    await jobs.stop()
  })

  it('queues the owner of a child, and both owners of a child that changes hands', async () => {
    const reconciled: string[] = []
    const { controller, clock } = createController((key) => {
      reconciled.push(key)
      return Promise.resolve(undefined)
    })
    const jobs = await startInformer(clock, job('a', 'first'), job('orphan'))
    controller.watch(jobs.informer, mapToController('PGPackDump', 'pgpack.io'))
    controller.start()
    await settle()
    expect(reconciled).toEqual(['ns/first'])
    jobs.change(job('a', 'second'))
    await settle()
    expect(reconciled).toEqual(['ns/first', 'ns/first', 'ns/second'])
    await controller.stop(0)
    jobs.change(job('a', 'third'))
    await settle()
    expect(reconciled).toHaveLength(3)
    await jobs.stop()
  })

  it('heeds the group of an owner and not its version', () => {
    const map = mapToController('PGPackDump', 'pgpack.io')
    const event = { type: 'add' as const, object: job('a') }
    expect(map(job('a', 'x', 'pgpack.io/v2'), event)).toEqual(['ns/x'])
    expect(map(job('a', 'x', 'other.io/v1alpha1'), event)).toEqual([])
    expect(map(job('a'), event)).toEqual([])
  })
})

import { describe, expect, it, jest } from '@jest/globals'
import fc from 'fast-check'
import { createExponentialRateLimiter } from '../../../../src/operator/manager/ratelimiter.ts'
import { WorkQueue, type WorkQueueMetrics } from '../../../../src/operator/manager/workqueue.ts'
import { FakeClock, settle } from './fakeclock.ts'

function createQueue(metrics?: WorkQueueMetrics): { queue: WorkQueue; clock: FakeClock } {
  const clock = new FakeClock()
  return { clock, queue: new WorkQueue({ clock, ...(metrics && { metrics }) }) }
}

describe('WorkQueue', () => {
  it('hands keys out in the order they were added', async () => {
    const { queue } = createQueue()
    for (const key of ['c', 'a', 'b']) queue.add(key)
    expect([await queue.get(), await queue.get(), await queue.get()]).toEqual(['c', 'a', 'b'])
  })

  it('holds a key once, however often it is added', async () => {
    const { queue } = createQueue()
    for (let i = 0; i < 10; i++) queue.add('a')
    expect(queue.depth).toBe(1)
    queue.done((await queue.get()) ?? '')
    expect(queue.depth).toBe(0)
  })

  it('gives a key that is added during its work out again only after it is done', async () => {
    const { queue } = createQueue()
    queue.add('a')
    await queue.get()
    const next = jest.fn()
    const waiting = queue.get().then(next)
    queue.add('a')
    queue.add('a')
    await settle()
    expect(next).not.toHaveBeenCalled()
    queue.done('a')
    await waiting
    expect(next).toHaveBeenCalledWith('a')
    queue.done('a')
    expect(queue.depth).toBe(0)
  })

  it('wakes a worker that waits', async () => {
    const { queue } = createQueue()
    const waiting = queue.get()
    queue.add('a')
    expect(await waiting).toBe('a')
    expect(queue.depth).toBe(0)
  })

  it('ignores done for a key that nobody holds', async () => {
    const { queue } = createQueue()
    queue.done('a')
    queue.add('a')
    expect(await queue.get()).toBe('a')
    queue.done('a')
    queue.done('a')
    expect(queue.depth).toBe(0)
  })

  describe('addAfter', () => {
    it('adds the key when the time has come', async () => {
      const { queue, clock } = createQueue()
      queue.addAfter('a', 1000)
      await clock.advance(999)
      expect(queue.depth).toBe(0)
      await clock.advance(1)
      expect(queue.depth).toBe(1)
    })

    it('lets the earliest of several delays count', async () => {
      const { queue, clock } = createQueue()
      queue.addAfter('a', 1000)
      queue.addAfter('a', 200)
      queue.addAfter('a', 3000)
      await clock.advance(200)
      expect(await queue.get()).toBe('a')
      queue.done('a')
      await clock.advance(5000)
      expect(queue.depth).toBe(0)
      expect(clock.timers).toBe(0)
    })

    it.each([0, -1])('adds at once for a delay of %d', (ms) => {
      const { queue, clock } = createQueue()
      queue.addAfter('a', ms)
      expect(queue.depth).toBe(1)
      expect(clock.timers).toBe(0)
    })

    it('keeps a delayed key although the key comes earlier by itself', async () => {
      const { queue, clock } = createQueue()
      queue.addAfter('a', 1000)
      queue.add('a')
      queue.done((await queue.get()) ?? '')
      await clock.advance(1000)
      expect(queue.depth).toBe(1)
    })
  })

  it('backs a failing key off until it is forgotten', async () => {
    const { queue, clock } = createQueue()
    const waits: number[] = []
    const fail = async (): Promise<void> => {
      queue.addRateLimited('a')
      waits.push(clock.untilNext ?? 0)
      await clock.advance(clock.untilNext ?? 0)
      queue.done((await queue.get()) ?? '')
    }
    for (let i = 0; i < 3; i++) await fail()
    expect(queue.failures('a')).toBe(3)
    queue.forget('a')
    await fail()
    expect(waits).toEqual([5, 10, 20, 5])
  })

  describe('shutDown', () => {
    it('ends the workers that wait', async () => {
      const { queue } = createQueue()
      const waiting = [queue.get(), queue.get()]
      queue.shutDown('drain')
      expect(await Promise.all(waiting)).toEqual([undefined, undefined])
    })

    it('still hands out what is queued when draining', async () => {
      const { queue } = createQueue()
      queue.add('a')
      queue.shutDown('drain')
      expect(await queue.get()).toBe('a')
      expect(await queue.get()).toBeUndefined()
    })

    it('drops what is queued when discarding', async () => {
      const { queue } = createQueue()
      queue.add('a')
      queue.shutDown('discard')
      expect(await queue.get()).toBeUndefined()
      expect(queue.depth).toBe(0)
    })

    it('takes nothing more and leaves no timer', async () => {
      const { queue, clock } = createQueue()
      queue.addAfter('later', 1000)
      queue.shutDown('discard')
      queue.add('a')
      queue.addAfter('b', 10)
      queue.addRateLimited('c')
      expect(clock.timers).toBe(0)
      expect(queue.depth).toBe(0)
    })

    it('is drained when the last worker gives its key back, dirty keys included', async () => {
      const { queue } = createQueue()
      const drained = jest.fn()
      queue.add('a')
      await queue.get()
      queue.add('a')
      queue.shutDown('drain')
      const draining = queue.drained().then(drained)
      queue.done('a')
      await settle()
      expect(drained).not.toHaveBeenCalled()
      expect(await queue.get()).toBe('a')
      queue.done('a')
      await draining
      expect(drained).toHaveBeenCalled()
    })
  })

  it('reports depth, adds, waits, work and retries', async () => {
    const seen: Array<readonly [string, number]> = []
    const { queue, clock } = createQueue({
      depth: (keys) => seen.push(['depth', keys]),
      added: () => seen.push(['added', 1]),
      waited: (seconds) => seen.push(['waited', seconds]),
      worked: (seconds) => seen.push(['worked', seconds]),
      retried: () => seen.push(['retried', 1]),
    })
    queue.add('a')
    queue.add('a')
    await clock.advance(2000)
    await queue.get()
    await clock.advance(3000)
    queue.addRateLimited('a')
    queue.done('a')
    expect(seen).toEqual([
      ['added', 1],
      ['depth', 1],
      ['waited', 2],
      ['depth', 0],
      ['retried', 1],
      ['worked', 3],
    ])
  })

  it('knows how long its workers and keys have been at it', async () => {
    const { queue, clock } = createQueue()
    expect([queue.unfinishedWorkSeconds, queue.longestRunningSeconds, queue.longestWaitSeconds]).toEqual([0, 0, 0])
    queue.add('a')
    queue.add('b')
    queue.add('c')
    await queue.get()
    await clock.advance(10_000)
    await queue.get()
    await clock.advance(5_000)
    expect(queue.unfinishedWorkSeconds).toBe(20)
    expect(queue.longestRunningSeconds).toBe(15)
    expect(queue.longestWaitSeconds).toBe(15)
    queue.done('a')
    expect(queue.longestRunningSeconds).toBe(5)
  })
})

/** What client-go's queue is, in the plainest words. */
interface Model {
  queued: string[]
  processing: Set<string>
  dirty: Set<string>
  delayed: Map<string, number>
  failures: Map<string, number>
  now: number
  down: boolean
}

interface Real {
  readonly queue: WorkQueue
  readonly clock: FakeClock
}

function add(model: Model, key: string): void {
  if (model.down || model.queued.includes(key)) return
  if (model.processing.has(key)) model.dirty.add(key)
  else model.queued.push(key)
}

function addAfter(model: Model, key: string, ms: number): void {
  if (model.down) return
  if (ms <= 0) return void add(model, key)
  const readyAt = model.now + ms
  if ((model.delayed.get(key) ?? Number.POSITIVE_INFINITY) <= readyAt) return
  model.delayed.delete(key)
  model.delayed.set(key, readyAt)
}

type QueueCommand = fc.AsyncCommand<Model, Real>

function command(name: string, run: (model: Model, real: Real) => Promise<void> | void): QueueCommand {
  return {
    check: () => true,
    toString: () => name,
    async run(model, real) {
      await run(model, real)
      expect(real.queue.depth).toBe(model.queued.length)
    },
  }
}

const takeOne: QueueCommand = {
  check: (model) => model.queued.length > 0 || model.down,
  toString: () => 'get',
  async run(model, { queue }) {
    const key = await queue.get()
    expect(key).toBe(model.queued.shift())
    if (key === undefined) return
    // Never two workers on one key
    expect(model.processing.has(key)).toBe(false)
    model.processing.add(key)
  },
}

const keyOf = fc.constantFrom('a', 'b', 'c', 'd')

const commands = fc.commands(
  [
    keyOf.map((key) =>
      command(`add ${key}`, (model, { queue }) => {
        add(model, key)
        queue.add(key)
      }),
    ),
    fc.tuple(keyOf, fc.integer({ min: -1, max: 50 })).map(([key, ms]) =>
      command(`addAfter ${key} ${ms}`, (model, { queue }) => {
        addAfter(model, key, ms)
        queue.addAfter(key, ms)
      }),
    ),
    keyOf.map((key) =>
      command(`addRateLimited ${key}`, (model, { queue }) => {
        const failures = model.failures.get(key) ?? 0
        if (!model.down) model.failures.set(key, failures + 1)
        addAfter(model, key, Math.min(40, 5 * 2 ** failures))
        queue.addRateLimited(key)
      }),
    ),
    keyOf.map((key) =>
      command(`forget ${key}`, (model, { queue }) => {
        model.failures.delete(key)
        queue.forget(key)
      }),
    ),
    fc.constant(takeOne),
    keyOf.map((key) =>
      command(`done ${key}`, (model, { queue }) => {
        const held = model.processing.delete(key)
        if (held && model.dirty.delete(key)) model.queued.push(key)
        queue.done(key)
      }),
    ),
    fc.integer({ min: 0, max: 60 }).map((ms) =>
      command(`advance ${ms}`, (model, { clock }) => {
        model.now += ms
        const due = [...model.delayed].filter(([, at]) => at <= model.now).toSorted(([, a], [, b]) => a - b)
        for (const [key] of due) {
          model.delayed.delete(key)
          add(model, key)
        }
        clock.advanceNow(ms)
      }),
    ),
    fc.constantFrom('drain' as const, 'discard' as const).map((mode) =>
      command(`shutDown ${mode}`, (model, { queue }) => {
        model.down = true
        model.delayed.clear()
        if (mode === 'discard') {
          model.queued = []
          model.dirty.clear()
        }
        queue.shutDown(mode)
      }),
    ),
  ],
  { maxCommands: 60 },
)

describe('WorkQueue against its model', () => {
  it('never gives a key to two workers and never loses one, whatever the order of calls', async () => {
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const clock = new FakeClock()
        const rateLimiter = createExponentialRateLimiter({ baseMs: 5, maxMs: 40 })
        const real: Real = { clock, queue: new WorkQueue({ clock, rateLimiter }) }
        const model: Model = {
          queued: [],
          processing: new Set(),
          dirty: new Set(),
          delayed: new Map(),
          failures: new Map(),
          now: 0,
          down: false,
        }
        await fc.asyncModelRun(() => ({ model, real }), sequence)
      }),
      { numRuns: 300 },
    )
  })

  it('keeps every key that was added until a worker has seen it after the add', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(keyOf, fc.nat({ max: 20 })), { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (adds, workers) => {
          const clock = new FakeClock()
          const queue = new WorkQueue({ clock })
          const wanted = new Map<string, number>()
          const seen = new Map<string, number>()
          const held = new Set<string>()
          const work = async (): Promise<void> => {
            for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
              expect(held.has(key)).toBe(false)
              held.add(key)
              seen.set(key, wanted.get(key) ?? 0)
              await new Promise<void>((resolve) => clock.setTimeout(resolve, 7))
              held.delete(key)
              queue.done(key)
            }
          }
          const running = Array.from({ length: workers }, work)
          for (const [key, pause] of adds) {
            wanted.set(key, (wanted.get(key) ?? 0) + 1)
            queue.add(key)
            await clock.advance(pause)
          }
          await clock.advance(7 * (adds.length + 1))
          queue.shutDown('drain')
          await Promise.all(running)
          expect(seen).toEqual(wanted)
        },
      ),
      { numRuns: 40 },
    )
  })
})

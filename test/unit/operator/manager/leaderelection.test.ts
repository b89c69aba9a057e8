import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ApiError } from '../../../../src/operator/manager/apierror.ts'
import { LeaderElector, type LeaseLock } from '../../../../src/operator/manager/leaderelection.ts'
import type { Lease } from '../../../../src/operator/manager/resources.ts'
import type { CallOptions } from '../../../../src/operator/manager/rest.ts'
import { FakeClock, settle } from './fakeclock.ts'
import { RecordingLog } from './recordinglog.ts'

function refuse(code: number, reason: string): ApiError {
  return ApiError.fromStatus({ code, reason }, { request: 'PUT /lease' })
}

/** The API server's part: one lease, optimistic locking, and a link to it that can be cut for each candidate. */
class FakeLeases {
  lease: Lease | undefined
  writes = 0
  reads = 0
  readonly #clock: FakeClock
  #version = 0
  readonly #away = new Map<string, 'refused' | 'silent'>()
  /** How long an answer takes after the write. */
  answerMs = 0

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  disconnect(identity: string, how: 'refused' | 'silent'): void {
    this.#away.set(identity, how)
  }

  reconnect(identity: string): void {
    this.#away.delete(identity)
  }

  lockFor(identity: string): LeaseLock {
    return {
      namespace: 'ns',
      name: 'operator',
      get: async (call) => {
        await this.#reach(identity, call)
        this.reads += 1
        return structuredClone(this.lease)
      },
      create: async (lease, call) => {
        await this.#reach(identity, call)
        if (this.lease !== undefined) throw refuse(409, 'AlreadyExists')
        return this.#write(lease)
      },
      replace: async (lease, call) => {
        await this.#reach(identity, call)
        if (this.lease?.metadata?.resourceVersion !== lease.metadata?.resourceVersion) throw refuse(409, 'Conflict')
        const written = this.#write(lease)
        if (this.answerMs > 0) await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, this.answerMs))
        return written
      },
    }
  }

  #write(lease: Lease): Lease {
    this.writes += 1
    this.lease = {
      ...structuredClone(lease),
      metadata: { ...lease.metadata, resourceVersion: String(++this.#version) },
    }
    return structuredClone(this.lease)
  }

  async #reach(identity: string, call: CallOptions): Promise<void> {
    const away = this.#away.get(identity)
    if (away === undefined) return
    if (away === 'silent') {
      await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, call.timeoutMs ?? 15_000))
    }
    throw new ApiError('no answer', { request: 'GET /lease' })
  }
}

interface Candidate {
  readonly identity: string
  readonly elector: LeaderElector
  readonly log: RecordingLog
  leads: boolean
  /** When it began and ended to lead, on the common clock. */
  readonly terms: Array<{ from: number; to: number | undefined }>
  readonly done: Promise<unknown>
  stop(): void
}

function join(leases: FakeLeases, clock: FakeClock, identity: string, random = () => 0.5): Candidate {
  const log = new RecordingLog()
  const stop = new AbortController()
  const terms: Candidate['terms'] = []
  const elector = new LeaderElector({ lock: leases.lockFor(identity), identity, clock, log, random })
  const lead = async (lost: AbortSignal): Promise<void> => {
    const term: { from: number; to: number | undefined } = { from: clock.now(), to: undefined }
    terms.push(term)
    candidate.leads = true
    await new Promise<void>((resolve) => {
      for (const signal of [stop.signal, lost]) {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve())
      }
    })
    term.to = clock.now()
    candidate.leads = false
  }
  const done = elector.run(stop.signal, lead).catch((error: unknown) => error)
  const candidate: Candidate = { identity, elector, log, leads: false, terms, done, stop: () => stop.abort() }
  return candidate
}

function setUp(): { clock: FakeClock; leases: FakeLeases } {
  const clock = new FakeClock()
  return { clock, leases: new FakeLeases(clock) }
}

describe('LeaderElector', () => {
  it('creates the lease and leads', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await settle()
    expect(a.leads).toBe(true)
    expect(leases.lease).toMatchObject({
      metadata: { namespace: 'ns', name: 'operator' },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        leaseTransitions: 0,
        acquireTime: '2026-01-01T00:00:00.000000Z',
        renewTime: '2026-01-01T00:00:00.000000Z',
      },
    })
    a.stop()
    expect(await a.done).toBeUndefined()
  })

  it('renews every two seconds, without reading, and keeps the time it was acquired', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(60_000)
    expect(a.leads).toBe(true)
    expect(leases.writes).toBe(31)
    expect(leases.reads).toBe(1)
    expect(leases.lease?.spec).toMatchObject({
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:01:00.000000Z',
      leaseTransitions: 0,
    })
    a.stop()
    await a.done
  })

  it('lets one of many lead', async () => {
    const { clock, leases } = setUp()
    const candidates = ['a', 'b', 'c'].map((identity) => join(leases, clock, identity))
    await clock.advance(120_000)
    expect(candidates.filter((candidate) => candidate.leads)).toHaveLength(1)
    expect(new Set(candidates.map((candidate) => candidate.elector.holder)).size).toBe(1)
    for (const candidate of candidates) candidate.stop()
    await Promise.all(candidates.map((candidate) => candidate.done))
  })

  it('hands over within seconds on a clean stop', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await settle()
    const b = join(leases, clock, 'b')
    await clock.advance(10_000)
    a.stop()
    await a.done
    expect(leases.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 })
    await clock.advance(4_400)
    expect(b.leads).toBe(true)
    expect(leases.lease?.spec?.leaseTransitions).toBe(1)
    b.stop()
    await b.done
  })

  it('takes over from a leader that vanished only after a whole lease without a change', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    const b = join(leases, clock, 'b')
    await clock.advance(9_000)
    const lastRenewal = 8_000
    leases.disconnect('a', 'refused')
    await clock.advance(60_000)
    expect(b.terms).toHaveLength(1)
    expect(b.terms[0]?.from).toBeGreaterThanOrEqual(lastRenewal + 15_000)
    expect(b.terms[0]?.from).toBeLessThanOrEqual(lastRenewal + 15_000 + 2 * 4_400)
    expect(a.terms[0]?.to).toBeLessThan(b.terms[0]?.from ?? 0)
    expect(await a.done).toMatchObject({
      code: 'LEADERSHIP_LOST',
      message: 'lost leadership: lease ns/operator of a was not renewed for 10000 ms; the process has to end',
    })
    b.stop()
    await b.done
  })

  it('gives up after the renew deadline although the server is silent instead of refusing', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(5_000)
    leases.disconnect('a', 'silent')
    await clock.advance(9_000)
    expect(a.leads).toBe(false)
    expect(a.terms[0]?.to).toBe(14_000)
    expect(await a.done).toMatchObject({ code: 'LEADERSHIP_LOST' })
  })

  it('counts from when it asked, not from when a slow server answered: peers count from the write in between', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(1_000)
    leases.answerMs = 3_000
    // Asked at 2 s, written at 2 s, answered at 5 s
    await clock.advance(4_500)
    leases.disconnect('a', 'refused')
    await clock.advance(30_000)
    expect(a.terms[0]?.to).toBe(12_000)
    expect(await a.done).toMatchObject({ code: 'LEADERSHIP_LOST' })
  })

  it('survives an API server that is away for less than the renew deadline', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(5_000)
    leases.disconnect('a', 'refused')
    await clock.advance(6_500)
    leases.reconnect('a')
    await clock.advance(60_000)
    expect(a.leads).toBe(true)
    expect(a.log.messages('warn').length).toBeGreaterThan(0)
    a.stop()
    await a.done
  })

  it("does not look at the holder's clock: a lease from the future expires like any other", async () => {
    const { clock, leases } = setUp()
    const future = '2099-01-01T00:00:00.000000Z'
    leases.lease = {
      metadata: { namespace: 'ns', name: 'operator', resourceVersion: '0' },
      spec: { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: future, acquireTime: future },
    }
    const a = join(leases, clock, 'a')
    await clock.advance(14_999)
    expect(a.leads).toBe(false)
    await clock.advance(4_401)
    expect(a.leads).toBe(true)
    a.stop()
    await a.done
  })

  it('leaves a lease alone whose times lie in the past as long as it changes', async () => {
    const { clock, leases } = setUp()
    leases.lease = {
      metadata: { namespace: 'ns', name: 'operator', resourceVersion: '0' },
      spec: { holderIdentity: 'alive', leaseDurationSeconds: 15, renewTime: '2001-01-01T00:00:00.000000Z' },
    }
    const a = join(leases, clock, 'a')
    for (let second = 1; second <= 59; second++) {
      const renewTime = `2001-01-01T00:00:${String(second).padStart(2, '0')}.000000Z`
      leases.lease = { ...leases.lease, spec: { ...leases.lease.spec, renewTime } }
      await clock.advance(2_000)
    }
    expect(a.terms).toEqual([])
    a.stop()
    await a.done
  })

  it('takes its own lease up at once after a restart under the same name', async () => {
    const { clock, leases } = setUp()
    leases.lease = {
      metadata: { namespace: 'ns', name: 'operator', resourceVersion: '0' },
      spec: { holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 3, acquireTime: 'then' },
    }
    const a = join(leases, clock, 'a')
    await settle()
    expect(a.leads).toBe(true)
    expect(leases.lease?.spec).toMatchObject({ leaseTransitions: 3, acquireTime: 'then' })
    a.stop()
    await a.done
  })

  it('stops at once when another one has taken the lease', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(1_000)
    leases.lease = {
      metadata: { ...leases.lease?.metadata, resourceVersion: 'x' },
      spec: { holderIdentity: 'usurper', leaseDurationSeconds: 15 },
    }
    await clock.advance(3_000)
    // The Conflict of the first renewal makes it read; the second one sees the other holder
    expect(a.terms[0]?.to).toBe(4_000)
    expect(await a.done).toMatchObject({ message: expect.stringContaining('was held by usurper') })
    expect(leases.lease?.spec?.holderIdentity).toBe('usurper')
  })

  it('stops when the whole process stood still for longer than the lease', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(1_000)
    const { writes } = leases
    clock.freeze(60_000)
    await clock.advance(1)
    expect(a.leads).toBe(false)
    expect(leases.writes).toBe(writes)
    expect(await a.done).toMatchObject({ code: 'LEADERSHIP_LOST' })
  })

  it('ends quietly when it is stopped while it waits', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await settle()
    const b = join(leases, clock, 'b')
    await clock.advance(5_000)
    b.stop()
    expect(await b.done).toBeUndefined()
    expect(b.terms).toEqual([])
    expect(leases.lease?.spec?.holderIdentity).toBe('a')
    a.stop()
    await a.done
  })

  it('releases the lease also after a renewal that failed', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(1_000)
    leases.disconnect('a', 'refused')
    await clock.advance(2_000)
    leases.reconnect('a')
    a.stop()
    expect(await a.done).toBeUndefined()
    expect(leases.lease?.spec?.holderIdentity).toBe('')
  })

  it('ends although the lease cannot be released, and says so', async () => {
    const { clock, leases } = setUp()
    const a = join(leases, clock, 'a')
    await clock.advance(1_000)
    leases.disconnect('a', 'refused')
    a.stop()
    expect(await a.done).toBeUndefined()
    expect(a.log.messages('warn')).toEqual(['leadership was not released'])
  })

  it('passes on what the leader throws, and releases the lease', async () => {
    const { clock, leases } = setUp()
    const log = new RecordingLog()
    const elector = new LeaderElector({ lock: leases.lockFor('a'), identity: 'a', clock, log })
    const running = elector.run(new AbortController().signal, () => Promise.reject(new Error('bug')))
    const failed = expect(running).rejects.toThrow('bug')
    await clock.advance(2_000)
    await failed
    expect(leases.lease?.spec?.holderIdentity).toBe('')
  })

  it('refuses durations under which two could lead at once', () => {
    const { clock, leases } = setUp()
    const options = { lock: leases.lockFor('a'), identity: 'a', clock, log: new RecordingLog() }
    expect(() => new LeaderElector({ ...options, renewDeadlineMs: 15_000 })).toThrow('retry < renew deadline < lease')
    expect(() => new LeaderElector({ ...options, retryPeriodMs: 10_000 })).toThrow('retry < renew deadline < lease')
  })

  it('never has two leaders, however the candidates lose and regain their connection', async () => {
    const fault = fc.record({
      who: fc.constantFrom('a', 'b', 'c'),
      what: fc.constantFrom('refused' as const, 'silent' as const, 'back' as const),
      after: fc.integer({ min: 100, max: 12_000 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 12 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        async (faults, jitter) => {
          const { clock, leases } = setUp()
          const random = (): number => jitter.next().value
          const candidates = ['a', 'b', 'c'].map((identity) => join(leases, clock, identity, random))
          for (const { who, what, after } of faults) {
            if (what === 'back') leases.reconnect(who)
            else leases.disconnect(who, what)
            await clock.advance(after)
          }
          for (const candidate of candidates) candidate.stop()
          await clock.advance(30_000)
          await Promise.all(candidates.map((candidate) => candidate.done))
          const terms = candidates.flatMap((candidate) => candidate.terms).toSorted((x, y) => x.from - y.from)
          for (const [index, term] of terms.entries()) {
            const next = terms[index + 1]
            if (next !== undefined) expect(term.to).toBeLessThanOrEqual(next.from)
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})

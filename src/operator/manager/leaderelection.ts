import { PgpackError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { isAlreadyExists, isConflict } from './apierror.ts'
import type { KubernetesClient } from './client.ts'
import { type Clock, sleep } from './clock.ts'
import { LEASES, type Lease } from './resources.ts'
import type { CallOptions } from './rest.ts'

/** The one record that candidates write under optimistic locking. */
export interface LeaseLock {
  readonly namespace: string
  readonly name: string
  get(call: CallOptions): Promise<Lease | undefined>
  create(lease: Lease, call: CallOptions): Promise<Lease>
  /** Refused as a Conflict when somebody has written since `lease` was read. */
  replace(lease: Lease, call: CallOptions): Promise<Lease>
}

export function createLeaseLock(client: KubernetesClient, namespace: string, name: string): LeaseLock {
  return {
    namespace,
    name,
    get: (call) => client.find(LEASES, { namespace, name }, call),
    create: (lease, call) => client.create(LEASES, lease, call),
    replace: (lease, call) => client.replace(LEASES, lease, call),
  }
}

/** client-go's and controller-runtime's durations. */
export interface LeaderElectionTiming {
  /** How long others leave a record alone that does not change. Default 15 s. */
  readonly leaseDurationMs?: number
  /** How long the leader tries to renew before it gives up; shorter, so that it ends before another begins. 10 s. */
  readonly renewDeadlineMs?: number
  /** Between two attempts. 2 s. */
  readonly retryPeriodMs?: number
}

export interface LeaderElectionOptions extends LeaderElectionTiming {
  readonly lock: LeaseLock
  /** Unique among living processes. The pod's name: a container that restarts takes its own lease up again at once. */
  readonly identity: string
  readonly clock: Clock
  readonly log: Logger
  readonly random?: () => number
  /** Told when this process begins and ends to lead. */
  readonly onLeading?: (leads: boolean) => void
}

/** client-go's JitterFactor: an attempt to acquire comes 1 to 2.2 retry periods after the last. */
const ACQUIRE_JITTER = 1.2
/** A process that ends does not wait longer for an API server that is away. */
const RELEASE_TIMEOUT_MS = 5_000

type Attempt = 'leading' | 'held'

/**
 * Leader election on a Lease as client-go does it. The lease's times are written for people; whether it has expired is
 * judged by how long we have seen it unchanged on our own monotonic clock, so clocks that differ do no harm.
 */
export class LeaderElector {
  readonly #options: LeaderElectionOptions
  readonly #leaseDurationMs: number
  readonly #renewDeadlineMs: number
  readonly #retryPeriodMs: number
  readonly #random: () => number
  /** The record as last read or written, and when its spec last changed before our eyes. */
  #observed: { lease: Lease; fingerprint: string; at: number } | undefined
  /** What we wrote last. While we lead nobody else writes, so it need not be read; after any failure it must be. */
  #written: Lease | undefined
  /** When the request was sent that renewed last: peers count from no earlier moment. */
  #renewedAt = 0

  constructor(options: LeaderElectionOptions) {
    this.#options = options
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000
    this.#random = options.random ?? Math.random
    if (!(this.#retryPeriodMs < this.#renewDeadlineMs && this.#renewDeadlineMs < this.#leaseDurationMs)) {
      const found = `${this.#retryPeriodMs}, ${this.#renewDeadlineMs}, ${this.#leaseDurationMs} ms`
      throw new PgpackError('CONFIG_INVALID', `leader election wants retry < renew deadline < lease, found ${found}`)
    }
  }

  /** Who holds the lease as far as we know. */
  get holder(): string | undefined {
    return this.#observed?.lease.spec?.holderIdentity || undefined
  }

  /**
   * Waits for leadership, then runs `lead`, and hands the lease over when that is done: the next leader begins within
   * seconds. `lead` is to end by itself when `signal` is aborted, and at once when its own signal `lost` is.
   * @throws PgpackError INTERNAL when leadership was lost; the process must not go on
   */
  async run(signal: AbortSignal, lead: (lost: AbortSignal) => Promise<void>): Promise<void> {
    if (!(await this.#acquire(signal))) return
    const { log, lock, identity, onLeading } = this.#options
    log.info({ lease: lock.name, identity }, 'became leader')
    onLeading?.(true)
    const lost = new AbortController()
    const ended = new AbortController()
    const renewing = this.#renew(ended.signal).then((renewed) => {
      if (!renewed) lost.abort(this.#lostError())
    })
    try {
      await lead(lost.signal)
    } finally {
      ended.abort()
      await renewing
      onLeading?.(false)
      if (!lost.signal.aborted) await this.#release()
    }
    lost.signal.throwIfAborted()
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if ((await this.#attempt(this.#renewDeadlineMs)) === 'leading') return true
      await sleep(this.#options.clock, this.#retryPeriodMs * (1 + ACQUIRE_JITTER * this.#random()), signal)
    }
    return false
  }

  /** Keeps the lease until `ended`; false as soon as it is lost. */
  async #renew(ended: AbortSignal): Promise<boolean> {
    const { clock } = this.#options
    const leftMs = (): number => this.#renewedAt + this.#renewDeadlineMs - clock.now()
    for (;;) {
      await sleep(clock, Math.min(this.#retryPeriodMs, leftMs()), ended)
      if (ended.aborted) return true
      // Also so after the process itself was stopped for a while
      if (leftMs() <= 0) return false
      if ((await this.#attempt(leftMs())) === 'held') return false
    }
  }

  /**
   * One try to take or renew the lease; undefined when it failed and may succeed the next time. Not cut short by a stop:
   * a write that arrives all the same would leave the lease with a process that is gone.
   */
  async #attempt(timeoutMs: number): Promise<Attempt | undefined> {
    const { clock, log, lock } = this.#options
    const sentAt = clock.now()
    try {
      const attempt = await this.#acquireOrRenew({ timeoutMs, retry: false })
      if (attempt === 'leading') this.#renewedAt = sentAt
      return attempt
    } catch (error) {
      // Another candidate was faster; the next attempt reads what it wrote
      if (!isConflict(error) && !isAlreadyExists(error))
        log.warn({ lease: lock.name, err: error }, 'leader election attempt failed')
      return undefined
    }
  }

  async #acquireOrRenew(call: CallOptions): Promise<Attempt> {
    const { lock, identity } = this.#options
    const current = this.#written ?? (await lock.get(call))
    this.#written = undefined
    if (current === undefined) {
      const metadata = { namespace: lock.namespace, name: lock.name }
      this.#written = this.#observe(await lock.create({ metadata, spec: this.#claim(undefined) }, call))
      return 'leading'
    }
    this.#observe(current)
    if (current.spec?.holderIdentity !== identity && this.#isHeld()) return 'held'
    this.#written = this.#observe(await lock.replace({ ...current, spec: this.#claim(current.spec) }, call))
    return 'leading'
  }

  /** Gives the lease up; when that fails, the others wait until it expires. */
  async #release(): Promise<void> {
    const { lock, log, identity } = this.#options
    const call = { timeoutMs: Math.min(RELEASE_TIMEOUT_MS, this.#renewDeadlineMs), retry: false }
    try {
      const current = this.#written ?? (await lock.get(call))
      this.#written = undefined
      if (current?.spec?.holderIdentity !== identity) return
      const now = this.#microTime()
      // A duration of zero would be refused; client-go writes one second, too
      const spec = { ...current.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now }
      this.#observe(await lock.replace({ ...current, spec }, call))
      log.info({ lease: lock.name }, 'released leadership')
    } catch (error) {
      log.warn({ lease: lock.name, err: error }, 'leadership was not released')
    }
  }

  #claim(previous: Lease['spec']): NonNullable<Lease['spec']> {
    const { identity } = this.#options
    const now = this.#microTime()
    const keeps = previous?.holderIdentity === identity
    const transitions = previous?.leaseTransitions ?? 0
    return {
      ...previous,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      acquireTime: keeps ? (previous?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: previous === undefined || keeps ? transitions : transitions + 1,
    }
  }

  #observe(lease: Lease): Lease {
    const fingerprint = JSON.stringify(lease.spec)
    const unchanged = this.#observed?.fingerprint === fingerprint
    const at = unchanged && this.#observed ? this.#observed.at : this.#options.clock.now()
    const before = this.holder
    this.#observed = { lease, fingerprint, at }
    if (this.holder !== before && this.holder !== undefined) {
      this.#options.log.info({ lease: this.#options.lock.name, holder: this.holder }, 'new leader')
    }
    return lease
  }

  #isHeld(): boolean {
    const { lease, at } = this.#observed ?? { lease: undefined, at: 0 }
    if (!lease?.spec?.holderIdentity) return false
    const durationMs = (lease.spec.leaseDurationSeconds ?? 0) * 1000
    return at + durationMs > this.#options.clock.now()
  }

  #lostError(): PgpackError {
    const { lock, identity } = this.#options
    const held = this.holder === identity ? `not renewed for ${this.#renewDeadlineMs} ms` : `held by ${this.holder}`
    return new PgpackError(
      'LEADERSHIP_LOST',
      `lost leadership: lease ${lock.namespace}/${lock.name} of ${identity} was ${held}; the process has to end`,
    )
  }

  /** Lease times have microseconds (metav1.MicroTime). */
  #microTime(): string {
    return this.#options.clock.date().toISOString().replace('Z', '000Z')
  }
}

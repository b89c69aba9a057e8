import type { Registry } from 'prom-client'
import type { Logger } from '../../log.ts'
import type { ClusterAccess } from './access.ts'
import { KubernetesClient } from './client.ts'
import { type Clock, sleep, systemClock } from './clock.ts'
import { Controller, type ControllerOptions } from './controller.ts'
import { createGarbageCollector } from './garbage.ts'
import { type Check, HealthServer } from './healthz.ts'
import { createListWatch, Informer, type InformerOptions, type Selection } from './informer.ts'
import { createLeaseLock, type LeaderElectionTiming, LeaderElector } from './leaderelection.ts'
import { ManagerMetrics } from './metrics.ts'
import { EventRecorder } from './recorder.ts'
import { type ApiObject, apiVersionOf, type Resource } from './resources.ts'
import { RestClient } from './rest.ts'

export interface ManagerOptions {
  /** client-node's KubeConfig, or createInClusterAccess(). */
  readonly access: ClusterAccess
  /** The component's name in Events and as user agent. */
  readonly name: string
  readonly log: Logger
  /** Where /healthz, /readyz and /metrics listen; port 0 takes a free one. */
  readonly health: { readonly host?: string; readonly port: number }
  /** Left out: this process leads without asking. */
  readonly leaderElection?: LeaderElectionTiming & {
    readonly namespace: string
    readonly leaseName: string
    /** Unique among living processes: the pod's name. */
    readonly identity: string
  }
  readonly registry?: Registry
  /** For running reconciles on the way down; less than the pod's terminationGracePeriodSeconds. Default 20 s. */
  readonly gracefulShutdownMs?: number
  readonly clock?: Clock
}

export type ManagedInformerOptions<T extends ApiObject> = Selection &
  Partial<Omit<InformerOptions<T>, 'source' | 'clock' | 'log' | 'metrics' | 'onListed'>>

export type ManagedControllerOptions = Omit<ControllerOptions, 'clock' | 'log' | 'metrics'>

/** What the manager does with an informer, whatever its objects are. */
type AnyInformer = Pick<Informer<ApiObject>, 'name' | 'run' | 'waitForSync' | 'hasSynced'>

const SHUTDOWN_MS = 20_000
const RECORDER_GRACE_MS = 2_000
/** Go's runtime does so every two minutes: an idle process fills its heap too slowly for V8 to collect by itself. */
const COLLECTION_PERIOD_MS = 60_000

/** Ties informers, controllers, leader election and the health server together (controller-runtime's manager). */
export class Manager {
  readonly client: KubernetesClient
  readonly recorder: EventRecorder
  readonly metrics: ManagerMetrics
  readonly #options: ManagerOptions
  readonly #clock: Clock
  readonly #health: HealthServer
  readonly #informers: AnyInformer[] = []
  readonly #controllers: Controller[] = []
  readonly #collectGarbage = createGarbageCollector()
  readonly #rest: RestClient
  #healthPort: number | undefined
  #leads = false

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.metrics = new ManagerMetrics(options.registry)
    this.#rest = new RestClient({
      access: options.access,
      userAgent: options.name,
      clock: this.#clock,
      observe: this.metrics.observeRequest,
    })
    this.client = new KubernetesClient(this.#rest)
    this.recorder = new EventRecorder({
      client: this.client,
      component: options.name,
      clock: this.#clock,
      log: options.log,
      observe: (result) => this.metrics.recordedEvent(result),
      ...(options.leaderElection && { instance: options.leaderElection.identity }),
    })
    this.#health = new HealthServer({ ...options.health, registry: this.metrics.registry })
    this.#health.addReadyCheck('informers', () => this.#unsynced())
  }

  /** The port of the health server, once it listens. */
  get healthPort(): number | undefined {
    return this.#healthPort
  }

  /** Whether this process may act at the moment. */
  get leads(): boolean {
    return this.#leads
  }

  /** An informer that starts with the manager. */
  informer<T extends ApiObject>(resource: Resource<T>, options: ManagedInformerOptions<T> = {}): Informer<T> {
    const { namespace, labelSelector, fieldSelector, ...own } = options
    const name = options.name ?? `${resource.plural}.${apiVersionOf(resource)}`
    const informer = new Informer<T>({
      ...own,
      name,
      source: createListWatch(this.client, resource, { namespace, labelSelector, fieldSelector }),
      clock: this.#clock,
      log: this.#options.log,
      metrics: this.metrics.informer(name),
      onListed: this.#collectGarbage,
    })
    this.#informers.push(informer)
    this.#health.addHealthCheck(`informer-${name}`, () => informer.check())
    return informer
  }

  /** A controller that runs while this process leads. */
  controller(options: ManagedControllerOptions): Controller {
    const controller = new Controller({
      ...options,
      clock: this.#clock,
      log: this.#options.log,
      metrics: this.metrics.controller(options.name, options.workers ?? 1),
    })
    this.metrics.observeQueue(options.name, controller.queue)
    this.#controllers.push(controller)
    this.#health.addHealthCheck(`controller-${options.name}`, () => controller.check())
    return controller
  }

  addHealthCheck(name: string, check: Check): void {
    this.#health.addHealthCheck(name, check)
  }

  addReadyCheck(name: string, check: Check): void {
    this.#health.addReadyCheck(name, check)
  }

  /**
   * Runs until `signal` is aborted: health server, informers until synced, leadership, controllers; and down in the
   * reverse order, so that the lease is handed over when nothing acts any more.
   * @throws PgpackError when leadership is lost: the process has to exit, as another one acts by now; Error of the health
   * server's socket
   */
  async start(signal: AbortSignal): Promise<void> {
    this.#healthPort = await this.#health.listen()
    this.#options.log.info({ port: this.#healthPort }, 'health server listens')
    // Informers outlive the signal: reconciles that still run read from them
    const informing = new AbortController()
    const informers = this.#informers.map((informer) => informer.run(informing.signal))
    const collecting = this.#collectRegularly(informing.signal)
    try {
      if (await this.#waitForSync(signal)) await this.#lead(signal)
    } finally {
      await this.recorder.close(RECORDER_GRACE_MS)
      informing.abort(new Error('the manager stops'))
      await Promise.all([...informers, collecting])
      await this.#health.close()
      this.#rest.close()
    }
  }

  async #collectRegularly(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#clock, COLLECTION_PERIOD_MS, signal)
      this.#collectGarbage()
    }
  }

  async #waitForSync(signal: AbortSignal): Promise<boolean> {
    try {
      await Promise.all(this.#informers.map((informer) => informer.waitForSync(signal)))
      this.#options.log.info({ informers: this.#informers.length }, 'informers synced')
      return true
    } catch (error) {
      if (signal.aborted) return false
      throw error
    }
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { leaderElection, log } = this.#options
    if (leaderElection === undefined) return this.#runControllers(signal, new AbortController().signal)
    const { namespace, leaseName, identity, ...timing } = leaderElection
    const elector = new LeaderElector({
      ...timing,
      lock: createLeaseLock(this.client, namespace, leaseName),
      identity,
      clock: this.#clock,
      log,
      onLeading: (leads) => this.metrics.leading(leaseName, leads),
    })
    this.metrics.leading(leaseName, false)
    await elector.run(signal, (lost) => this.#runControllers(signal, lost))
  }

  async #runControllers(signal: AbortSignal, lost: AbortSignal): Promise<void> {
    this.#leads = true
    for (const controller of this.#controllers) controller.start()
    await eitherAborted(signal, lost)
    this.#leads = false
    const started = this.#clock.now()
    this.#options.log.info({ lostLeadership: lost.aborted }, 'controllers stop')
    const graceMs = lost.aborted ? 0 : (this.#options.gracefulShutdownMs ?? SHUTDOWN_MS)
    await Promise.all(this.#controllers.map((controller) => controller.stop(graceMs)))
    this.#options.log.info({ seconds: (this.#clock.now() - started) / 1000 }, 'controllers stopped')
  }

  #unsynced(): Error | undefined {
    const waiting = this.#informers.filter((informer) => !informer.hasSynced)
    if (waiting.length === 0) return undefined
    return new Error(`not synced: ${waiting.map(({ name }) => name).join(', ')}`)
  }
}

function eitherAborted(...signals: AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    }
  })
}

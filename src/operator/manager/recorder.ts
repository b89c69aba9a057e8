import { hostname } from 'node:os'
import type { Logger } from '../../log.ts'
import { isAlreadyExists, isNamespaceTerminating, isNotFound, isTransient } from './apierror.ts'
import type { KubernetesClient } from './client.ts'
import { type Clock, jitteredBackoff, sleep } from './clock.ts'
import { TokenBucket } from './ratelimiter.ts'
import { type ApiObject, EVENTS, type Event } from './resources.ts'
import type { CallOptions } from './rest.ts'

export type EventType = 'Normal' | 'Warning'

export interface RecorderOptions {
  readonly client: KubernetesClient
  /** `From` in kubectl describe. */
  readonly component: string
  readonly clock: Clock
  readonly log: Logger
  /** Which process of the component; default the host's name, in a pod the pod's. */
  readonly instance?: string
  readonly random?: () => number
  readonly observe?: (result: 'sent' | 'dropped' | 'failed') => void
}

/** The API's limit for a message (events.k8s.io/v1: note), in bytes. */
export const MAX_MESSAGE_BYTES = 1024
/** Distinct events, and objects, that are remembered; client-go's maxLruCacheEntries. */
const MAX_REMEMBERED = 4096
/** client-go's spam filter: an object has 25 events at once, then one in five minutes. */
const OBJECT_BURST = 25
const OBJECT_PER_SECOND = 1 / 300
const MAX_TRIES = 12
const RETRY_BASE_MS = 500
const RETRY_MAX_MS = 10_000

/** An event and its repetitions. */
interface Series {
  readonly event: Event
  readonly firstTimestamp: string
  lastTimestamp: string
  count: number
  /** The count that the server has; 0 when it does not have the event. */
  sent: number
}

/**
 * Writes Events: what a user reads at the end of `kubectl describe`. They are core/v1 Events with count and first and
 * last timestamp, as client-go's classic recorder writes them: both groups are served from the same objects, but
 * `kubectl get events --sort-by`, and most dashboards, know only these fields, which events.k8s.io/v1 leaves empty.
 *
 * The same type, reason and message about the same object is one Event whose count rises. Sending happens behind the
 * caller's back, in order, and is tried again while the API server is away; nothing is thrown, and what cannot be sent
 * is logged and counted.
 */
export class EventRecorder {
  readonly #options: RecorderOptions
  readonly #series = new Map<string, Series>()
  readonly #pending = new Set<string>()
  readonly #buckets = new Map<string, TokenBucket>()
  readonly #stop = new AbortController()
  #sending: Promise<void> | undefined
  #serial = 0

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /**
   * @param object what the event is about, with apiVersion, kind and metadata as the API server gave them
   * @param reason CamelCase, from a fixed list
   * @param message for people, without secrets; cut at 1024 bytes
   */
  event(object: ApiObject, type: EventType, reason: string, message: string): void {
    if (this.#stop.signal.aborted || !this.#bucketOf(object).tryTake()) {
      this.#options.observe?.('dropped')
      return
    }
    const now = this.#timestamp()
    const event = this.#newEvent(object, type, reason, cutToBytes(message, MAX_MESSAGE_BYTES))
    const key = keyOf(event)
    const fresh = { event, firstTimestamp: now, lastTimestamp: now, count: 0, sent: 0 }
    const series = remember(this.#series, key, () => fresh)
    series.count += 1
    series.lastTimestamp = now
    this.#pending.add(key)
    this.#startSending()
  }

  /** Takes no more events, and sends those there are within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const timer = new AbortController()
    await Promise.race([this.#sending, sleep(this.#options.clock, graceMs, timer.signal)])
    timer.abort()
    this.#stop.abort(new Error('the event recorder is closed'))
    await this.#sending
  }

  #startSending(): void {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
      if (this.#pending.size > 0) this.#startSending()
    })
  }

  async #send(): Promise<void> {
    for (const key of this.#pending) {
      this.#pending.delete(key)
      const series = this.#series.get(key)
      // Forgotten meanwhile: thousands of other events came while the API server was away
      if (series === undefined) this.#options.observe?.('dropped')
      else if (series.sent < series.count) await this.#sendWithRetry(series)
    }
  }

  async #sendWithRetry(series: Series): Promise<void> {
    const { clock, observe, random = Math.random } = this.#options
    for (let tries = 1; ; tries++) {
      try {
        await this.#write(series)
        observe?.('sent')
        return
      } catch (error) {
        const again = isTransient(error) && tries < MAX_TRIES && !this.#stop.signal.aborted
        if (!again) return this.#giveUp(series, error)
        await sleep(clock, jitteredBackoff(tries, RETRY_BASE_MS, RETRY_MAX_MS, random), this.#stop.signal)
      }
    }
  }

  #giveUp({ event }: Series, error: unknown): void {
    const { observe, log } = this.#options
    observe?.('failed')
    const { namespace, name } = event.involvedObject
    const fields = { namespace, name, eventReason: event.reason, err: error }
    // A namespace that goes away takes no events, and nobody is left to read them
    if (isNamespaceTerminating(error)) log.debug(fields, 'event was not sent')
    else log.warn(fields, 'event was not sent')
  }

  async #write(series: Series): Promise<void> {
    const { count, lastTimestamp, event } = series
    if (series.sent === 0) return this.#create(series)
    const { namespace, name = '' } = event.metadata
    try {
      await this.#options.client.patch(EVENTS, { namespace, name }, { count, lastTimestamp }, this.#call())
      series.sent = count
    } catch (error) {
      if (!isNotFound(error)) throw error
      // The server forgets events after an hour (--event-ttl)
      await this.#create(series)
    }
  }

  async #create(series: Series): Promise<void> {
    const { event, count, firstTimestamp, lastTimestamp } = series
    try {
      await this.#options.client.create(EVENTS, { ...event, count, firstTimestamp, lastTimestamp }, this.#call())
    } catch (error) {
      // An earlier attempt arrived although its answer did not
      if (!isAlreadyExists(error)) throw error
    }
    series.sent = count
  }

  #call(): CallOptions {
    return { signal: this.#stop.signal, retry: false }
  }

  #newEvent(object: ApiObject, type: EventType, reason: string, message: string): Event {
    const { component, instance = hostname(), clock } = this.#options
    const { namespace, name = '', uid, resourceVersion } = object.metadata ?? {}
    // Unique and, as in client-go, telling when: nanoseconds in hexadecimal
    const suffix = (BigInt(clock.date().getTime()) * 1_000_000n + BigInt(this.#serial++ % 1_000_000)).toString(16)
    return {
      // Events about cluster-scoped objects live in `default`, where kubectl describe looks for them
      metadata: { namespace: namespace ?? 'default', name: nameWithSuffix(name, suffix) },
      involvedObject: {
        ...(object.apiVersion !== undefined && { apiVersion: object.apiVersion }),
        ...(object.kind !== undefined && { kind: object.kind }),
        ...(namespace !== undefined && { namespace }),
        name,
        ...(uid !== undefined && { uid }),
        ...(resourceVersion !== undefined && { resourceVersion }),
      },
      type,
      reason,
      message,
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
    }
  }

  #bucketOf(object: ApiObject): TokenBucket {
    const { clock } = this.#options
    const key = object.metadata?.uid ?? ''
    return remember(
      this.#buckets,
      key,
      () => new TokenBucket({ clock, perSecond: OBJECT_PER_SECOND, burst: OBJECT_BURST }),
    )
  }

  /** metav1.Time has whole seconds. */
  #timestamp(): string {
    return this.#options.clock
      .date()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z')
  }
}

/** At most 253 characters, and every part between dots ends in a letter or digit. */
function nameWithSuffix(name: string, suffix: string): string {
  return `${name.slice(0, 253 - suffix.length - 1).replace(/[.-]+$/, '')}.${suffix}`
}

function keyOf({ involvedObject, type, reason, message }: Event): string {
  return JSON.stringify([involvedObject.uid, involvedObject.namespace, involvedObject.name, type, reason, message])
}

/** The map's value, made when it is missing; beyond {@link MAX_REMEMBERED} the one used longest ago goes. */
function remember<V>(map: Map<string, V>, key: string, make: () => V): V {
  const value = map.get(key) ?? make()
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > MAX_REMEMBERED && oldest !== undefined) map.delete(oldest)
  return value
}

/** Cuts between characters, and marks the cut. */
function cutToBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length <= maxBytes) return text
  const mark = '…'
  const kept = bytes.subarray(0, maxBytes - Buffer.byteLength(mark))
  // `stream` leaves out a character whose last bytes were cut off, instead of replacing it by one of three bytes
  return new TextDecoder().decode(kept, { stream: true }) + mark
}

import { setTimeout as delay } from 'node:timers/promises'
import { type PGPackDump, PGPackDumpKind } from '../../../src/api/v1alpha1/dump.ts'
import { API_VERSION, type KindInfo } from '../../../src/api/v1alpha1/group.ts'
import { type PGPackRestore, PGPackRestoreKind } from '../../../src/api/v1alpha1/restore.ts'
import type { Condition } from '../../../src/api/v1alpha1/status.ts'
import { type PGPackTransfer, PGPackTransferKind } from '../../../src/api/v1alpha1/transfer.ts'
import { HarnessError } from '../errors.ts'
import type { ClusterApi, WatchEvent } from './api.ts'

/** A run of any kind, as the API server shows it. */
export type Run = PGPackDump | PGPackRestore | PGPackTransfer
export type RunKind = 'PGPackDump' | 'PGPackRestore' | 'PGPackTransfer'

/** Which run: its kind and its name in the watched namespace. */
export interface RunRef {
  readonly kind: RunKind
  readonly name: string
}

const KINDS: readonly KindInfo[] = [PGPackDumpKind, PGPackRestoreKind, PGPackTransferKind]
/** Between two watches, so that an API server that refuses them is not flooded. */
const REWATCH_MS = 200

/** `pgd/orders`: as kubectl takes it. */
export function shortName({ kind, name }: RunRef): string {
  return `${kindOf(kind).shortName}/${name}`
}

/** API path of a kind's resources in a namespace. */
export function runsPath(namespace: string, kind: RunKind): string {
  return `/apis/${API_VERSION}/namespaces/${namespace}/${kindOf(kind).plural}`
}

function kindOf(kind: RunKind): KindInfo {
  const found = KINDS.find((info) => info.kind === kind)
  if (found === undefined) throw new Error(`no kind ${kind}`)
  return found
}

export function condition(run: Run | undefined, type: 'Succeeded' | 'Reconciling' | 'Stalled'): Condition | undefined {
  return run?.status?.conditions?.find((candidate) => candidate.type === type)
}

/** Whether the run has ended, well or not. */
export function isFinal(run: Run): boolean {
  return ['True', 'False'].includes(condition(run, 'Succeeded')?.status ?? 'Unknown')
}

/** `Succeeded=Unknown Retrying: attempt … failed …`: where a run stands, in one line. */
export function describeRun(run: Run | undefined): string {
  if (run === undefined) return 'it does not exist'
  const { status, reason, message } = condition(run, 'Succeeded') ?? {}
  return status === undefined ? 'it has no conditions yet' : `Succeeded=${status} ${reason}: ${message}`
}

/** Every version of every run of a namespace that the API server has shown since the start. */
export class RunWatch {
  readonly #stop = new AbortController()
  readonly #versions = new Map<string, Run[]>()
  readonly #gone = new Set<string>()
  readonly #listeners = new Set<() => void>()
  readonly #ended: Promise<unknown>
  #failure: unknown

  constructor(api: ClusterApi, namespace: string) {
    this.#ended = Promise.all(KINDS.map((info) => this.#follow(api, namespace, info.kind as RunKind)))
  }

  /** What was seen of a run, oldest first. A run of the same name that was deleted before is not in it. */
  history(ref: RunRef): readonly Run[] {
    return this.#versions.get(shortName(ref)) ?? []
  }

  latest(ref: RunRef): Run | undefined {
    return this.#gone.has(shortName(ref)) ? undefined : this.history(ref).at(-1)
  }

  /** Calls back whenever something has changed, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Waits until `check` answers something of a run.
   * @throws HarnessError `NOT_READY` at the deadline, saying where the run stood then
   */
  async until<T>(
    ref: RunRef,
    what: string,
    seconds: number,
    check: (run: Run | undefined) => T | undefined,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const look = (): void => {
      try {
        const answer = check(this.latest(ref))
        if (answer !== undefined) resolve(answer)
      } catch (error) {
        reject(error)
      }
    }
    const late = (): void => {
      const stands = describeRun(this.latest(ref))
      const message = `${shortName(ref)}: not ${what} after ${seconds} s; ${stands}`
      reject(new HarnessError('NOT_READY', message, { cause: this.#failure }))
    }
    const timer = setTimeout(late, seconds * 1000)
    const forget = this.onChange(look)
    try {
      look()
      return await promise
    } finally {
      forget()
      clearTimeout(timer)
    }
  }

  /** Waits until the run has ended, well or not. */
  untilFinal(ref: RunRef, seconds: number): Promise<Run> {
    return this.until(ref, 'final', seconds, (run) => (run !== undefined && isFinal(run) ? run : undefined))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  /**
   * Watches for ever: the API server ends a watch every few minutes, and shows everything again to the next one. Just
   * after the definitions were installed it refuses one for a moment; what it said is told at a deadline.
   */
  async #follow(api: ClusterApi, namespace: string, kind: RunKind): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        for await (const event of api.watch<Run>(runsPath(namespace, kind), signal)) this.#take(event)
      } catch (error) {
        this.#failure = error
      }
      if (!signal.aborted) await delay(REWATCH_MS)
    }
  }

  #take({ type, object }: WatchEvent<Run>): void {
    this.#failure = undefined
    if (type === 'ADDED' || type === 'MODIFIED') this.#seen(object)
    if (type === 'DELETED') this.#deleted(object)
  }

  #seen(run: Run): void {
    const key = shortName({ kind: run.kind as RunKind, name: run.metadata.name })
    const before = this.#versions.get(key) ?? []
    const same = before.filter((version) => version.metadata.uid === run.metadata.uid)
    const known = same.some((version) => version.metadata.resourceVersion === run.metadata.resourceVersion)
    this.#gone.delete(key)
    this.#versions.set(key, known ? same : [...same, run])
    this.#tell()
  }

  #deleted(run: Run): void {
    this.#gone.add(shortName({ kind: run.kind as RunKind, name: run.metadata.name }))
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

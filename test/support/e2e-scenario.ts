import { it } from '@jest/globals'
import type { PGPackDumpSpec } from '../../src/api/v1alpha1/dump.ts'
import { API_VERSION } from '../../src/api/v1alpha1/group.ts'
import type { PGPackRestoreSpec } from '../../src/api/v1alpha1/restore.ts'
import type { PGPackTransferSpec } from '../../src/api/v1alpha1/transfer.ts'
import type { Database } from '../cluster/quickstart/databases.ts'
import { describeError, diagnose } from '../cluster/quickstart/diagnosis.ts'
import { apply } from '../cluster/quickstart/objects.ts'
import { condition, describeRun, type Run, type RunKind, type RunRef, shortName } from '../cluster/quickstart/runs.ts'
import type { Environment } from './e2e.ts'
import { Gate } from './e2e-gate.ts'

/** Many runs share a small node. */
const RESOURCES = { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '512Mi' } }
/** A run that waits for another one, or for a retry, included. */
const PATIENCE_SECONDS = 120
const SCENARIO_MS = 300_000

/** Key prefix of everything that the tests dump. */
export const PREFIX = 'e2e'

/**
 * A test that plays against the cluster beside the others of its describe block. When it fails, the error shows the
 * conditions, the Events and the logs of every run that it has made.
 */
export function scenario(environment: Environment, title: string, play: (scenario: Scenario) => Promise<void>): void {
  it.concurrent(
    title,
    async () => {
      const current = new Scenario(environment)
      try {
        await play(current)
      } catch (error) {
        throw await current.explained(error)
      } finally {
        await current.end()
      }
    },
    SCENARIO_MS,
  )
}

/** What a test does with runs, in the words of the tests. */
export class Scenario {
  readonly #environment: Environment
  readonly #runs: RunRef[] = []
  readonly #gates: Gate[] = []

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** A dump of database `shop` into the bucket. */
  async dump(name: string, objects: PGPackDumpSpec['objects'], more: Partial<PGPackDumpSpec> = {}): Promise<RunRef> {
    const { job, ...rest } = more
    return this.#create('PGPackDump', name, {
      source: { secretRef: { name: 'shop-database' } },
      objects,
      destination: this.store(),
      job: { resources: RESOURCES, ...job },
      ...rest,
    } satisfies PGPackDumpSpec)
  }

  /** A restore into database `copy`. */
  async restore(
    name: string,
    source: PGPackRestoreSpec['source'],
    more: Partial<PGPackRestoreSpec> = {},
  ): Promise<RunRef> {
    const { job, ...rest } = more
    return this.#create('PGPackRestore', name, {
      source,
      target: { secretRef: { name: 'copy-database' } },
      job: { resources: RESOURCES, ...job },
      ...rest,
    } satisfies PGPackRestoreSpec)
  }

  /** A transfer from the database of one Secret into that of another. */
  async transfer(
    name: string,
    from: string,
    to: string,
    objects: PGPackTransferSpec['objects'],
    more: Partial<PGPackTransferSpec> = {},
  ): Promise<RunRef> {
    const { job, ...rest } = more
    return this.#create('PGPackTransfer', name, {
      source: { secretRef: { name: from } },
      target: { secretRef: { name: to } },
      objects,
      job: { resources: RESOURCES, ...job },
      ...rest,
    } satisfies PGPackTransferSpec)
  }

  /** The bucket, as a resource names it. */
  store(changes: { readonly bucket?: string; readonly endpoint?: string } = {}) {
    const { name, secretName } = this.#environment.bucket
    const place = { endpoint: 'http://minio:9000', bucket: name, prefix: PREFIX, ...changes }
    return { s3: { ...place, credentialsSecretRef: { name: secretName } } }
  }

  async #create(kind: RunKind, name: string, spec: object): Promise<RunRef> {
    const { cluster, namespace } = this.#environment
    await apply(cluster, namespace, { apiVersion: API_VERSION, kind, metadata: { name }, spec })
    return this.takesPart({ kind, name })
  }

  /** Counts a run that was made otherwise among those of this scenario. */
  takesPart(ref: RunRef): RunRef {
    this.#runs.push(ref)
    return ref
  }

  /** Waits for success. */
  async succeeds(ref: RunRef, seconds = PATIENCE_SECONDS): Promise<Run> {
    const run = await this.#environment.runs.untilFinal(ref, seconds)
    if (condition(run, 'Succeeded')?.status === 'True') return run
    throw new Error(`${shortName(ref)} should have succeeded; ${describeRun(run)}`)
  }

  /** Waits for a failure for good, with a reason; the message that goes with it. */
  async fails(ref: RunRef, reason: string, seconds = PATIENCE_SECONDS): Promise<{ run: Run; message: string }> {
    const run = await this.#environment.runs.untilFinal(ref, seconds)
    const { status, reason: found, message = '' } = condition(run, 'Succeeded') ?? {}
    if (status === 'False' && found === reason) return { run, message }
    throw new Error(`${shortName(ref)} should have failed with ${reason}; ${describeRun(run)}`)
  }

  /** Waits until the run is active with a reason; what the condition says then. */
  async shows(ref: RunRef, reason: string, seconds = PATIENCE_SECONDS): Promise<{ run: Run; message: string }> {
    return this.#environment.runs.until(ref, `${reason} while active`, seconds, (run) => {
      const { status, reason: found, message = '' } = condition(run, 'Succeeded') ?? {}
      if (status === 'True' || status === 'False') {
        throw new Error(`${shortName(ref)} should have been ${reason} before its end; ${describeRun(run)}`)
      }
      return run !== undefined && found === reason ? { run, message } : undefined
    })
  }

  /** Waits until the status names an attempt, other than the one given; its pod's name. */
  attempt(ref: RunRef, otherThan?: string): Promise<string> {
    return this.#environment.runs.until(ref, 'in its next attempt', PATIENCE_SECONDS, (run) => {
      const { attempt } = run?.status ?? {}
      return attempt === otherThan ? undefined : attempt
    })
  }

  /** A closed gate, which is opened at the latest when the scenario ends. */
  async gate(database: Database): Promise<Gate> {
    const gate = await Gate.close(database)
    this.#gates.push(gate)
    return gate
  }

  /** Where a dump writes, by docs/architecture.md. */
  keyPrefix({ metadata: { namespace, name, uid } }: Run): string {
    return `${PREFIX}/${namespace}/${name}-${uid.slice(0, 8)}/`
  }

  async end(): Promise<void> {
    await Promise.all(this.#gates.map((gate) => gate.open()))
  }

  async explained(error: unknown): Promise<Error> {
    const { api, namespace } = this.#environment
    const diagnoses = await Promise.all(this.#runs.map((ref) => diagnose(api, namespace, ref)))
    const text = [describeError(error), ...diagnoses].join('\n\n')
    const explained = new Error(text)
    const frames = typeof error === 'object' && error !== null && 'stack' in error ? String(error.stack) : ''
    explained.stack = `${text}\n${frames
      .split('\n')
      .filter((line) => line.startsWith('    at '))
      .join('\n')}`
    return explained
  }
}

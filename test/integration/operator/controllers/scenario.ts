import { kindOf } from '../../../../src/operator/controllers/kinds.ts'
import { EVENTS, JOBS, type Job, type Pod, type Resource } from '../../../../src/operator/manager/resources.ts'
import type { Run } from '../../../../src/operator/specs/run.ts'
import type { RunResult } from '../../../../src/run/result.ts'
import { eventually, type TestCluster } from './cluster.ts'

export const succeeded = (pod: Pod, path = 'test/orders/attempt'): RunResult => ({
  outcome: 'Succeeded',
  attempt: pod.metadata?.name ?? '',
  totals: { objects: 1, rows: '5000000', bytes: '1073741824', storedBytes: '314572800' },
  seconds: 14.21,
  artifact: { path, manifestSHA256: 'a'.repeat(64) },
})

export const failedWith = (
  pod: Pod,
  code: 'POSTGRES_AUTHENTICATION' | 'STORE_UNREACHABLE',
  retryable: boolean,
): RunResult => ({
  outcome: 'Failed',
  attempt: pod.metadata?.name ?? '',
  code,
  message: `${code} as the engine tells it`,
  retryable,
})

export const conditionOf = (run: Run) => run.status?.conditions?.find(({ type }) => type === 'Succeeded')

/** A namespace with runs, and what can be seen of them. */
export class Scenario {
  readonly #cluster: Pick<TestCluster, 'client'>
  readonly namespace: string

  constructor(cluster: Pick<TestCluster, 'client'>, namespace: string) {
    this.#cluster = cluster
    this.namespace = namespace
  }

  create<R extends Run>(resource: Resource<R>, manifest: object): Promise<R> {
    return this.#cluster.client.create(resource, manifest as R)
  }

  read<R extends Run>(run: R): Promise<R> {
    return this.#cluster.client.get(kindOf(run) as Resource<R>, run.metadata)
  }

  /** Waits until the run's Succeeded condition has this reason. */
  async reaches<R extends Run>(run: R, reason: string, timeoutMs?: number): Promise<R> {
    let last: R = run
    const look = async () => {
      last = await this.read(run)
      return conditionOf(last)?.reason === reason && last
    }
    try {
      return await eventually(`${run.metadata.name} reaches ${reason}`, look, timeoutMs)
    } catch (error) {
      throw new Error(`${run.metadata.name} is ${JSON.stringify(last.status)}`, { cause: error })
    }
  }

  async jobs(): Promise<Job[]> {
    return (await this.#cluster.client.list(JOBS, { namespace: this.namespace })).items
  }

  /** Waits for the run's first Job. */
  jobOf(run: Run): Promise<Job> {
    return eventually(`${run.metadata.name} has a Job`, async () => {
      return (await this.jobs()).find((job) => job.metadata?.ownerReferences?.[0]?.uid === run.metadata.uid)
    })
  }

  /** Reasons of the run's Events. */
  async eventsOf(run: Run): Promise<string[]> {
    return (await this.#events(run)).map(({ reason }) => reason ?? '')
  }

  /** Waits until an Event of this reason was recorded; its message. */
  told(run: Run, reason: string): Promise<string> {
    return eventually(`Event ${reason} of ${run.metadata.name}`, async () => {
      return (await this.#events(run)).find((event) => event.reason === reason)?.message
    })
  }

  async #events({ metadata }: Run) {
    const fieldSelector = `involvedObject.uid=${metadata.uid}`
    return (await this.#cluster.client.list(EVENTS, { namespace: this.namespace, fieldSelector })).items
  }
}

import type { ChildProcess } from 'node:child_process'
import { plainCustomResourceDefinitions } from '../../../../scripts/generate/crds.ts'
import { silentLogger } from '../../../../src/log.ts'
import { type OperatorOptions, runOperator } from '../../../../src/operator/index.ts'
import { startControlPlane } from '../../../cluster/controlplane.ts'
import { appendingTo, startBound, stop } from '../../../cluster/processes.ts'
import { ensureTools } from '../../../cluster/tools.ts'
import { CRDS, type CustomResourceDefinition, TestApiServer } from '../../../support/api-server.ts'
import { sharedControlPlane } from '../../../support/shared-control-plane.ts'

/** An API server with our CRDs, and nobody who acts on them yet. */
export class TestCluster extends TestApiServer {
  #controllers: ChildProcess | undefined

  /** A server of the test file's own. */
  static async start(options = { crds: true }): Promise<TestCluster> {
    const cluster = new TestCluster(await startControlPlane())
    if (options.crds) await cluster.#installCrds()
    return cluster
  }

  /** The server of many test files: for one that does not stop it, nor start controllers, nor count what it is asked. */
  static async shared(): Promise<TestCluster> {
    const cluster = new TestCluster(await sharedControlPlane())
    await cluster.#installCrds()
    return cluster
  }

  /** These of Kubernetes' own controllers, in the place of any that were started before. */
  async startControllers(
    controllers = ['job-controller', 'garbage-collector-controller', 'ttl-after-finished-controller'],
  ): Promise<void> {
    const { 'kube-controller-manager': path } = await ensureTools(['kube-controller-manager'])
    if (this.#controllers !== undefined) await stop(this.#controllers, 0)
    const flags = [
      `--kubeconfig=${this.kubeconfig}`,
      `--controllers=${controllers.join()}`,
      '--leader-elect=false',
      '--secure-port=0',
    ]
    this.#controllers = startBound(path, flags, appendingTo(`${this.kubeconfig}.controllers.log`))
  }

  override async stop(): Promise<void> {
    if (this.#controllers !== undefined) await stop(this.#controllers, 0)
    await super.stop()
  }

  /** An operator for one namespace, as `pgpack operator` runs it. */
  startOperator(namespace: string, options: Partial<OperatorOptions> = {}): RunningOperator {
    const abort = new AbortController()
    const ended = runOperator(
      {
        access: this.access,
        log: silentLogger,
        namespaces: [namespace],
        job: { image: 'pgpack-operator:test', imagePullPolicy: 'IfNotPresent' },
        health: { host: '127.0.0.1', port: 0 },
        ...options,
      },
      abort.signal,
    )
    return {
      async stop() {
        abort.abort(new Error('the test stops the operator'))
        await ended
      },
    }
  }

  async #installCrds(): Promise<void> {
    for (const crd of plainCustomResourceDefinitions()) await this.define(crd)
  }

  crd(name: string): Promise<CustomResourceDefinition> {
    return this.client.get(CRDS, { name })
  }

  /** The conditions of a CRD. */
  async crdConditions(name: string): Promise<Record<string, string>> {
    const { status } = await this.crd(name)
    return Object.fromEntries((status?.conditions ?? []).map(({ type, status }) => [type, status]))
  }
}

export interface RunningOperator {
  stop(): Promise<void>
}

/** Between two looks: soon at first, and seldom at what takes long, because many tests share an API server. */
const SHORTEST_PAUSE_MS = 25
const LONGEST_PAUSE_MS = 250

/** Polls until `look` gives something truthy. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const end = performance.now() + timeoutMs
  for (let pause = SHORTEST_PAUSE_MS; ; pause = Math.min(1.2 * pause, LONGEST_PAUSE_MS)) {
    const found = await look()
    if (found) return found
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

import type { ChildProcess } from 'node:child_process'
import { KubeConfig } from '@kubernetes/client-node'
import { plainCustomResourceDefinitions } from '../../../../scripts/generate/crds.ts'
import { silentLogger } from '../../../../src/log.ts'
import { type ClusterAccess, type OperatorOptions, runOperator } from '../../../../src/operator/index.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import type { ApiObject, Resource } from '../../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { type ControlPlane, startControlPlane } from '../../../cluster/controlplane.ts'
import { appendingTo, startBound, stop } from '../../../cluster/processes.ts'
import { ensureTools } from '../../../cluster/tools.ts'

interface CustomResourceDefinition extends ApiObject {
  readonly spec?: { readonly names?: { readonly shortNames?: readonly string[] } }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

const CRDS: Resource<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
}
export const NAMESPACES: Resource = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
}

/** An API server with our CRDs, and nobody who acts on them yet. */
export class TestCluster {
  readonly client: KubernetesClient
  readonly access: ClusterAccess
  readonly #controlPlane: ControlPlane
  readonly #rest: RestClient
  #namespaces = 0
  #controllers: ChildProcess | undefined

  private constructor(controlPlane: ControlPlane) {
    this.#controlPlane = controlPlane
    const config = new KubeConfig()
    config.loadFromFile(controlPlane.kubeconfig)
    this.access = config
    this.#rest = new RestClient({ access: config })
    this.client = new KubernetesClient(this.#rest)
  }

  static async start(options = { crds: true }): Promise<TestCluster> {
    const cluster = new TestCluster(await startControlPlane())
    if (options.crds) await cluster.#installCrds()
    return cluster
  }

  /** These of Kubernetes' own controllers, in the place of any that were started before. */
  async startControllers(
    controllers = ['job-controller', 'garbage-collector-controller', 'ttl-after-finished-controller'],
  ): Promise<void> {
    const { 'kube-controller-manager': path } = await ensureTools(['kube-controller-manager'])
    if (this.#controllers !== undefined) await stop(this.#controllers, 0)
    const flags = [
      `--kubeconfig=${this.#controlPlane.kubeconfig}`,
      `--controllers=${controllers.join()}`,
      '--leader-elect=false',
      '--secure-port=0',
    ]
    this.#controllers = startBound(path, flags, appendingTo(`${this.#controlPlane.kubeconfig}.controllers.log`))
  }

  async stop(): Promise<void> {
    this.#rest.close()
    if (this.#controllers !== undefined) await stop(this.#controllers, 0)
    await this.#controlPlane.stop()
  }

  /** A namespace of its own for each test. */
  async namespace(): Promise<string> {
    const name = `test-${++this.#namespaces}`
    await this.client.create(NAMESPACES, { metadata: { name } })
    return name
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
    for (const crd of plainCustomResourceDefinitions()) {
      await this.client.create(CRDS, crd)
      await eventually(`CRD ${crd.metadata.name} is established`, async () => {
        const { status } = await this.client.get(CRDS, { name: crd.metadata.name })
        return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True')
      })
    }
  }

  /** Path of an administrator's kubeconfig. */
  get kubeconfig(): string {
    return this.#controlPlane.kubeconfig
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

/** Polls until `look` gives something truthy. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found) return found
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

import { randomBytes } from 'node:crypto'
import type { ClusterAccess } from '../../src/operator/manager/access.ts'
import { isAlreadyExists, isNotFound } from '../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../src/operator/manager/client.ts'
import type { ApiObject, Resource } from '../../src/operator/manager/resources.ts'
import { RestClient } from '../../src/operator/manager/rest.ts'
import type { ControlPlane } from '../cluster/controlplane.ts'
import { run, waitFor } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import { accessOf } from './kubeconfig-access.ts'

export interface CustomResourceDefinition extends ApiObject {
  readonly spec?: {
    readonly group: string
    readonly scope: string
    readonly names: { readonly kind: string; readonly plural: string; readonly shortNames?: readonly string[] }
    readonly versions: readonly { readonly name: string }[]
  }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

export const CRDS: Resource<CustomResourceDefinition> = {
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

/** A real API server, as an administrator reaches it. */
export class TestApiServer {
  readonly client: KubernetesClient
  readonly access: ClusterAccess
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string
  readonly #plane: Pick<ControlPlane, 'stop'>
  readonly #rest: RestClient

  constructor(plane: Pick<ControlPlane, 'kubeconfig' | 'stop'>) {
    this.#plane = plane
    this.kubeconfig = plane.kubeconfig
    this.access = accessOf(plane.kubeconfig)
    this.#rest = new RestClient({ access: this.access })
    this.client = new KubernetesClient(this.#rest)
  }

  /** Where it listens. */
  get address(): { readonly host: string; readonly port: number } {
    const { hostname, port } = new URL(this.access.getCurrentCluster()?.server ?? '')
    return { host: hostname, port: Number(port) }
  }

  async kubectl(...args: string[]): Promise<string> {
    const { kubectl } = await ensureTools(['kubectl'])
    return run(kubectl, ['--kubeconfig', this.kubeconfig, ...args])
  }

  /** A fresh namespace; others may have theirs on the same server. */
  async namespace(): Promise<string> {
    const name = `test-${randomBytes(4).toString('hex')}`
    await this.client.create(NAMESPACES, { metadata: { name } })
    return name
  }

  /** Has a kind served; another test file may have it defined, or do so at the same time. */
  async define(definition: CustomResourceDefinition): Promise<void> {
    try {
      await this.client.create(CRDS, definition)
    } catch (error) {
      if (!isAlreadyExists(error)) throw error
    }
    const { spec, metadata } = definition
    if (spec === undefined) throw new Error(`${metadata?.name} has no spec`)
    const { kind, plural } = spec.names
    const [version] = spec.versions
    const namespaced = spec.scope === 'Namespaced'
    const resource: Resource = { group: spec.group, version: version?.name ?? '', kind, plural, namespaced }
    await waitFor(`${kind} is served`, 30_000, async () => {
      try {
        return await this.client.list(resource, { limit: 1 })
      } catch (error) {
        if (isNotFound(error)) return undefined
        throw error
      }
    })
  }

  async stop(): Promise<void> {
    this.#rest.close()
    await this.#plane.stop()
  }
}

import { join } from 'node:path'
import { HarnessError } from '../errors.ts'
import { readSettings } from '../settings.ts'

/** The network of the single-node cluster. It exists inside its network namespace only. */
export const network = {
  node: '10.255.0.1',
  pods: '10.244.0.0/16',
  services: '10.96.0.0/16',
  /** The first address of the services: `kubernetes.default.svc`. */
  apiServerService: '10.96.0.1',
  apiServerPort: 6443,
  etcdPort: 2379,
  etcdPeerPort: 2380,
} as const

/** Where the single-node cluster keeps what. */
export interface Layout {
  readonly name: string
  /** Everything below. Kept while the cluster is down, for the logs and the imported images. */
  readonly state: string
  /** Seen as /var/lib inside the cluster. */
  readonly varLib: string
  /** Seen as /var/log inside the cluster: the pods' logs. */
  readonly varLog: string
  /** Logs of the cluster's own processes. */
  readonly logs: string
  /** Keys, certificates and kubeconfigs. */
  readonly secrets: string
  /** Configuration files. */
  readonly configuration: string
  /** The administrator's kubeconfig, for use from outside the namespace. */
  readonly kubeconfig: string
  /** Where the cluster's first process says who it is; it is there while the cluster is. */
  readonly initFile: string
  /** The port of loopback that reaches the API server. */
  readonly portFile: string
}

/** Paths that the cluster hides behind its own, inside its mount namespace. */
const hidden = ['/var/lib/', '/var/log/', '/run/']

/** The layout of the cluster that the settings name. */
export function readLayout(): Layout {
  const { cacheDirectory, clusterName } = readSettings()
  if (hidden.some((prefix) => `${cacheDirectory}/`.startsWith(prefix))) {
    throw new HarnessError(
      'SETTING_MISSING',
      `the cluster cannot keep its files in ${cacheDirectory}: set PGPACK_CACHE_DIR to a directory outside ${hidden.join(' ')}`,
    )
  }
  const state = join(cacheDirectory, 'clusters', clusterName)
  return {
    name: clusterName,
    state,
    varLib: join(state, 'var-lib'),
    varLog: join(state, 'var-log'),
    logs: join(state, 'logs'),
    secrets: join(state, 'secrets'),
    configuration: join(state, 'configuration'),
    kubeconfig: join(state, 'kubeconfig.yaml'),
    initFile: join(state, 'init'),
    portFile: join(state, 'port'),
  }
}

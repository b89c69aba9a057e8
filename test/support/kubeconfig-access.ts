import { readFileSync } from 'node:fs'
import type { ClusterAccess } from '../../src/operator/manager/access.ts'

/** What test/cluster/kubeconfig.ts writes: certificates and key are inside. */
interface Kubeconfig {
  readonly clusters: readonly [{ readonly cluster: Readonly<Record<string, string>> }]
  readonly users: readonly [{ readonly user: Readonly<Record<string, string>> }]
}

/** The way to an API server of the harness. client-node would read its kubeconfig as well, for a second of CPU time in each file. */
export function accessOf(kubeconfig: string): ClusterAccess {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig
  const { server = '', 'certificate-authority-data': ca = '' } = clusters[0].cluster
  const { 'client-certificate-data': cert = '', 'client-key-data': key = '' } = users[0].user
  const decoded = (text: string): string => Buffer.from(text, 'base64').toString()
  return {
    getCurrentCluster: () => ({ server }),
    async applyToHTTPSOptions(options) {
      Object.assign(options, { ca: decoded(ca), cert: decoded(cert), key: decoded(key) })
    },
  }
}

import { readFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { isIPv6 } from 'node:net'

/**
 * Where the API server is and how a request proves who it is. client-node's KubeConfig has this shape and is passed as
 * it is. It is an interface, and client-node is imported for its types only, because loading client-node at run time
 * costs 80 MiB of resident memory: the operator in its pod uses {@link createInClusterAccess} and never loads it.
 */
export interface ClusterAccess {
  getCurrentCluster(): { readonly server: string; readonly proxyUrl?: string } | null
  /** Adds the CA, client certificates and headers (and an agent, which is used only behind a proxy). */
  applyToHTTPSOptions(options: RequestOptions): Promise<void>
}

export interface InClusterOptions {
  /** KUBERNETES_SERVICE_HOST. */
  readonly host: string
  /** KUBERNETES_SERVICE_PORT. */
  readonly port: string
  /** Folder of `token` and `ca.crt`. */
  readonly directory?: string
}

export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount'

/** The kubelet rotates a projected token at 80 % of its life; client-go reads the file again every minute. */
const TOKEN_REREAD_MS = 60_000

/** Access with the pod's service account. Token and CA are read again every minute, so both may rotate. */
export function createInClusterAccess(options: InClusterOptions): ClusterAccess {
  const directory = options.directory ?? SERVICE_ACCOUNT_DIRECTORY
  const host = isIPv6(options.host) ? `[${options.host}]` : options.host
  const server = `https://${host}:${options.port}`
  let credentials: Promise<{ token: string; ca: string }> | undefined
  let readAt = 0

  const read = async (): Promise<{ token: string; ca: string }> => {
    const [token, ca] = await Promise.all(['token', 'ca.crt'].map((file) => readFile(`${directory}/${file}`, 'utf8')))
    return { token: token?.trim() ?? '', ca: ca ?? '' }
  }
  return {
    getCurrentCluster: () => ({ server }),
    async applyToHTTPSOptions(request) {
      if (credentials === undefined || performance.now() - readAt > TOKEN_REREAD_MS) {
        credentials = read()
        readAt = performance.now()
      }
      try {
        const { token, ca } = await credentials
        request.ca = ca
        request.headers = { ...request.headers, authorization: `Bearer ${token}` }
      } catch (error) {
        // A failed read is not kept: the next request reads again.
        credentials = undefined
        throw error
      }
    },
  }
}

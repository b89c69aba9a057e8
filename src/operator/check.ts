import { PGPackDumpKind } from '../api/v1alpha1/dump.ts'
import { API_VERSION, GROUP, type KindInfo, VERSION } from '../api/v1alpha1/group.ts'
import { PGPackRestoreKind } from '../api/v1alpha1/restore.ts'
import { PGPackTransferKind } from '../api/v1alpha1/transfer.ts'
import { errorMessage, PgpackError } from '../errors.ts'
import type { ClusterAccess } from './manager/access.ts'
import { isForbidden, isNotFound } from './manager/apierror.ts'
import { KubernetesClient } from './manager/client.ts'
import { RestClient } from './manager/rest.ts'

export interface CheckOptions {
  readonly access: ClusterAccess
  /** As the operator's own; empty: all. */
  readonly namespaces: readonly string[]
  /** Where an operator's health server answers, without a path; left out: only the API server is asked. */
  readonly url?: string
}

const KINDS: readonly KindInfo[] = [PGPackDumpKind, PGPackRestoreKind, PGPackTransferKind]
const READY_TIMEOUT_MS = 10_000

/**
 * Whether an installation can work: each kind is served, may be listed where the operator watches it, and an operator
 * says that it is ready. Resolves with a line for each thing that was found to be so.
 * @throws PgpackError CONFIG_INVALID with what is missing and what to do
 */
export async function checkInstallation(options: CheckOptions, signal: AbortSignal): Promise<string[]> {
  const rest = new RestClient({ access: options.access })
  try {
    const client = new KubernetesClient(rest)
    const scopes = options.namespaces.length === 0 ? [undefined] : options.namespaces
    const found: string[] = []
    for (const info of KINDS) {
      for (const namespace of scopes) found.push(await checkKind(client, info, namespace, signal))
    }
    return options.url === undefined ? found : [...found, await checkReady(options.url, signal)]
  } finally {
    rest.close()
  }
}

async function checkKind(
  client: KubernetesClient,
  { kind, plural }: KindInfo,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const where = namespace === undefined ? 'all namespaces' : `namespace ${namespace}`
  const resource = { group: GROUP, version: VERSION, kind, plural, namespaced: true }
  try {
    await client.list(resource, { namespace, limit: 1, signal })
    return `${kind} (${API_VERSION}) is served, and may be listed in ${where}`
  } catch (error) {
    const advice = isNotFound(error)
      ? `${kind} is not served: install the CRDs (crds.install)`
      : isForbidden(error)
        ? `${kind} may not be listed in ${where}: grant the rights of docs/reference/rbac.md (rbac.create)`
        : `${kind} cannot be listed in ${where}`
    throw new PgpackError('CONFIG_INVALID', `${advice}: ${errorMessage(error)}`, { cause: error })
  }
}

async function checkReady(url: string, signal: AbortSignal): Promise<string> {
  const answer = await ready(new URL('/readyz', url), signal)
  if (answer === 'ok') return `the operator at ${url} is ready`
  throw new PgpackError('CONFIG_INVALID', `the operator at ${url} is not ready: ${answer}; look at the log of its pods`)
}

async function ready(url: URL, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]) })
    return response.text()
  } catch (error) {
    signal.throwIfAborted()
    const { cause } = error as { cause?: unknown }
    return errorMessage(cause ?? error)
  }
}

import type { Cluster } from '../client.ts'

/** Makes a namespace, unless it is there, that admits only pods of the `restricted` Pod Security Standard. */
export async function ensureRestrictedNamespace(
  cluster: Pick<Cluster, 'kubectl'>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted', ...labels } },
  }
  // On the server's side: two runs that do the same at once do not get in each other's way.
  const apply = ['apply', '--server-side', '--force-conflicts', '--field-manager', 'pgpack-harness', '--filename', '-']
  await cluster.kubectl(apply, { input: JSON.stringify(namespace) })
}

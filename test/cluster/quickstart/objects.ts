import type { Cluster } from '../client.ts'

type Kubectl = Pick<Cluster, 'kubectl'>

/** Whether a Deployment is there and all its pods are ready, for which this waits. */
export async function isDeployed(cluster: Kubectl, namespace: string, name: string): Promise<boolean> {
  const where = ['--namespace', namespace]
  const found = await cluster.kubectl(['get', 'deployment', name, ...where, '--ignore-not-found', '--output', 'name'])
  if (found === '') return false
  await cluster.kubectl(['rollout', 'status', `deployment/${name}`, ...where, '--timeout', '180s'])
  return true
}

/** The values of a Secret. */
export async function readSecret(cluster: Kubectl, namespace: string, name: string): Promise<Record<string, string>> {
  const json = await cluster.kubectl(['get', 'secret', name, '--namespace', namespace, '--output', 'json'])
  const { data = {} } = JSON.parse(json) as { data?: Record<string, string> }
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
}

/** Makes or changes a Secret. Its values go through standard input: a command line is everyone's to read. */
export async function writeSecret(
  cluster: Kubectl,
  namespace: string,
  name: string,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  await apply(cluster, namespace, { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: values })
}

/** Applies a manifest, in whatever form kubectl takes one. */
export async function apply(cluster: Kubectl, namespace: string, manifest: string | object): Promise<void> {
  const input = typeof manifest === 'string' ? manifest : JSON.stringify(manifest)
  await cluster.kubectl(['apply', '--namespace', namespace, '--filename', '-'], { input })
}

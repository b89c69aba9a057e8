import { join } from 'node:path'
import type { Cluster } from '../client.ts'
import { repositoryDirectory } from '../settings.ts'
import { ensureRestrictedNamespace } from './namespace.ts'

/** The Helm release of the operator: one for the quickstart and the tests alike, because the CRDs are the cluster's. */
export const OPERATOR = { namespace: 'pgpack-system', release: 'pgpack' } as const

const chart = join(repositoryDirectory, 'charts', 'pgpack-operator')

/** Installs the operator of this checkout, or upgrades to it, and waits until it is ready. */
export async function installOperator(cluster: Cluster): Promise<void> {
  const [reference] = await Promise.all([
    cluster.loadOperatorImage(),
    ensureRestrictedNamespace(cluster, OPERATOR.namespace),
  ])
  const values = { ...imageValues(reference), 'image.pullPolicy': 'IfNotPresent' }
  await cluster.helm([
    ...['upgrade', '--install', OPERATOR.release, chart, '--namespace', OPERATOR.namespace],
    ...Object.entries(values).flatMap(([name, value]) => ['--set-string', `${name}=${value}`]),
    ...['--wait', '--timeout', '180s'],
  ])
}

/** Removes the operator and its resource definitions, and with them every dump and restore of the cluster. */
export async function uninstallOperator(cluster: Pick<Cluster, 'helm' | 'kubectl'>): Promise<void> {
  await cluster.helm(['uninstall', OPERATOR.release, '--namespace', OPERATOR.namespace, '--ignore-not-found', '--wait'])
  const definitions = ['pgpackdumps.pgpack.io', 'pgpackrestores.pgpack.io']
  await cluster.kubectl(['delete', 'customresourcedefinition', '--ignore-not-found', ...definitions])
  await cluster.kubectl(['delete', 'namespace', '--ignore-not-found', OPERATOR.namespace])
}

/** The tag starts after the last colon; one before a slash belongs to a registry's port. */
function imageValues(reference: string): Record<string, string> {
  const [name = '', digest = ''] = reference.split('@')
  const colon = name.lastIndexOf(':')
  const tagged = colon > name.lastIndexOf('/')
  return {
    'image.repository': tagged ? name.slice(0, colon) : name,
    'image.tag': tagged ? name.slice(colon + 1) : 'latest',
    'image.digest': digest,
  }
}

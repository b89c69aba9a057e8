import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { digest, digestFiles, withLock } from '../cache.ts'
import type { Cluster } from '../client.ts'
import { repositoryDirectory } from '../settings.ts'
import { ensureRestrictedNamespace } from './namespace.ts'

/** The Helm release of the operator: one for the quickstart and the tests alike, because the CRDs are the cluster's. */
export const OPERATOR = { namespace: 'pgpack-system', release: 'pgpack' } as const

const inNamespace = ['--namespace', OPERATOR.namespace]
const chart = join(repositoryDirectory, 'charts', 'pgpack-operator')

/** Installs the operator of this checkout, or upgrades to it, and waits until it is ready. */
export async function installOperator(cluster: Cluster): Promise<void> {
  const [reference] = await Promise.all([
    cluster.loadOperatorImage(),
    ensureRestrictedNamespace(cluster, OPERATOR.namespace),
  ])
  const values = { ...imageValues(reference), 'image.pullPolicy': 'IfNotPresent' }
  const settings = Object.entries(values).flatMap(([name, value]) => ['--set-string', `${name}=${value}`])
  const content = await contentOf(settings)
  // Two test files may want it at once, and Helm takes one at a time.
  await withLock(`Helm release ${OPERATOR.release}`, async () => {
    if (await isInstalled(cluster, content)) return waitForOperator(cluster)
    await removeInterrupted(cluster)
    await cluster.helm([
      ...['upgrade', '--install', OPERATOR.release, chart, ...inNamespace, ...settings],
      ...['--description', content, '--wait', '--timeout', '180s'],
    ])
  })
}

/** Names what a release is made of: the chart's files and the settings. */
async function contentOf(settings: readonly string[]): Promise<string> {
  const entries = await readdir(chart, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return `content ${digest(...settings, await digestFiles(files.sort()))}`
}

/** Whether the release is what it would become: then Helm, which takes seconds, need not be asked again. */
async function isInstalled(cluster: Cluster, content: string): Promise<boolean> {
  const secrets = ['get', 'secrets', '--selector', `owner=helm,name=${OPERATOR.release},status=deployed`]
  if ((await cluster.kubectl([...secrets, ...inNamespace, '--output', 'name'])) === '') return false
  const json = await cluster.helm(['history', OPERATOR.release, '--max', '1', '--output', 'json', ...inNamespace])
  const [latest] = JSON.parse(json) as { status: string; description: string }[]
  return latest?.status === 'deployed' && latest.description === content
}

async function waitForOperator(cluster: Cluster): Promise<void> {
  const selector = ['--selector', `app.kubernetes.io/instance=${OPERATOR.release}`]
  await cluster.kubectl(['rollout', 'status', 'deployment', ...selector, ...inNamespace, '--timeout', '180s'])
}

interface Release {
  readonly name: string
  readonly status: string
}

/** A Helm that was killed leaves a release that no later Helm may upgrade. */
async function removeInterrupted(cluster: Pick<Cluster, 'helm'>): Promise<void> {
  const json = await cluster.helm(['list', '--all', '--output', 'json', ...inNamespace])
  const found = (JSON.parse(json) as Release[]).find(({ name }) => name === OPERATOR.release)
  if (found?.status.startsWith('pending-'))
    await cluster.helm(['uninstall', OPERATOR.release, '--wait', ...inNamespace])
}

/** Removes the operator and its resource definitions, and with them every dump and restore of the cluster. */
export async function uninstallOperator(cluster: Pick<Cluster, 'helm' | 'kubectl'>): Promise<void> {
  await cluster.helm(['uninstall', OPERATOR.release, '--ignore-not-found', '--wait', ...inNamespace])
  const definitions = ['pgpackdumps', 'pgpackrestores', 'pgpacktransfers'].map((plural) => `${plural}.pgpack.io`)
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

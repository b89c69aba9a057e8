import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findCommand, run } from './processes.ts'
import { step } from './progress.ts'
import { readSettings } from './settings.ts'
import { findTool } from './tools.ts'

/** Whether a Docker engine answers, and not only its client is installed. */
export async function doesDockerAnswer(): Promise<boolean> {
  if (findCommand('docker') === undefined) return false
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}'], { signal: AbortSignal.timeout(10_000) })
    return true
  } catch {
    return false
  }
}

/** The kubeconfig that a kind cluster has or would have. */
export function kindKubeconfig(): string {
  const { cacheDirectory, clusterName } = readSettings()
  return join(cacheDirectory, 'clusters', clusterName, 'kind-kubeconfig.yaml')
}

/** Makes a kind cluster, unless it is there. */
export async function startKindCluster(): Promise<void> {
  const { clusterName } = readSettings()
  await mkdir(dirname(kindKubeconfig()), { recursive: true })
  if (await isKindClusterUp()) {
    await kind(['export', 'kubeconfig', '--kubeconfig', kindKubeconfig()])
    return
  }
  await step(`starting the kind cluster ${clusterName}`, '1 min', (log) =>
    kind(['create', 'cluster', '--kubeconfig', kindKubeconfig(), '--wait', '120s'], log),
  )
}

export async function stopKindCluster(): Promise<void> {
  await kind(['delete', 'cluster', '--kubeconfig', kindKubeconfig()])
}

/** Whether kind knows the cluster. */
export async function isKindClusterUp(): Promise<boolean> {
  const clusters = await run(await findTool('kind'), ['get', 'clusters'])
  return existsSync(kindKubeconfig()) && clusters.split('\n').includes(readSettings().clusterName)
}

/** Hands an image of the Docker engine to the cluster. */
export async function loadIntoKind(reference: string): Promise<void> {
  await kind(['load', 'docker-image', reference])
}

async function kind(args: readonly string[], log?: string): Promise<string> {
  const options = log === undefined ? {} : { log }
  return run(await findTool('kind'), [...args, '--name', readSettings().clusterName], options)
}

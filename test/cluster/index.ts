import { bareKubeconfig, isBareClusterUp, loadOperatorImage, startBareCluster, stopBareCluster } from './bare/bare.ts'
import { type Cluster, type ClusterClient, createClient, type Flavour } from './client.ts'
import { provideOperatorImage } from './given.ts'
import { OLDER_POSTGRES } from './images/archives.ts'
import { postgresPackage } from './images/installed.ts'
import { buildOperatorImageWithDocker } from './images/operator.ts'
import {
  doesDockerAnswer,
  isKindClusterUp,
  kindKubeconfig,
  loadIntoKind,
  startKindCluster,
  stopKindCluster,
} from './kind.ts'
import { readSettings } from './settings.ts'
import { ensureTools, findTool } from './tools.ts'

export type { Cluster, ClusterClient, CommandOptions, Flavour, PortForward } from './client.ts'
export { type ControlPlane, startControlPlane } from './controlplane.ts'
export { HarnessError, type HarnessErrorCode } from './errors.ts'
export { ensureTools, type ToolName } from './tools.ts'
export * from './workloads.ts'

/** Which cluster {@link ensureCluster} would give. */
export async function detectFlavour(): Promise<Flavour> {
  const { kubeconfig } = readSettings()
  const own = [kindKubeconfig(), bareKubeconfig()]
  // A user may well have exported the kubeconfig of a cluster that we made.
  if (kubeconfig !== undefined && !own.includes(kubeconfig)) return 'given'
  return (await doesDockerAnswer()) ? 'kind' : 'bare'
}

/**
 * A cluster that is ready. Starts one where none is given; what runs already is taken as it is.
 * @throws HarnessError saying what is missing on this machine.
 */
export async function ensureCluster(): Promise<Cluster> {
  const flavour = await detectFlavour()
  if (flavour === 'given') return givenCluster(readSettings().kubeconfig ?? '')
  if (flavour === 'kind') return kindCluster()
  return bareCluster()
}

/** Removes the cluster that {@link ensureCluster} has made, if any. */
export async function removeCluster(): Promise<void> {
  const flavour = await detectFlavour()
  if (flavour === 'kind') await stopKindCluster()
  if (flavour === 'bare') await stopBareCluster()
}

/** The client of the cluster, if it runs; nothing is started. */
export async function findCluster(): Promise<ClusterClient | undefined> {
  const flavour = await detectFlavour()
  if (flavour === 'given') return createClient(readSettings().kubeconfig ?? '', findTool)
  if (flavour === 'kind') return (await isKindClusterUp()) ? createClient(kindKubeconfig(), findTool) : undefined
  return (await isBareClusterUp()) ? createClient(bareKubeconfig(), builtTool) : undefined
}

async function givenCluster(kubeconfig: string): Promise<Cluster> {
  return {
    ...createClient(kubeconfig, findTool),
    flavour: 'given',
    images: await publicImages(),
    loadOperatorImage: provideOperatorImage,
    down: async () => undefined,
  }
}

async function kindCluster(): Promise<Cluster> {
  await startKindCluster()
  return {
    ...createClient(kindKubeconfig(), findTool),
    flavour: 'kind',
    images: await publicImages(),
    loadOperatorImage: async () => {
      const reference = await buildOperatorImageWithDocker()
      await loadIntoKind(reference)
      return reference
    },
    down: stopKindCluster,
  }
}

async function bareCluster(): Promise<Cluster> {
  const { kubeconfig, images } = await startBareCluster()
  return {
    ...createClient(kubeconfig, builtTool),
    flavour: 'bare',
    images,
    loadOperatorImage,
    down: stopBareCluster,
  }
}

async function builtTool<Name extends Parameters<typeof findTool>[0]>(name: Name): Promise<string> {
  return (await ensureTools([name]))[name]
}

/** Images of the same versions as the binaries that the other tests use, where a cluster can pull. */
async function publicImages(): Promise<Cluster['images']> {
  const [postgresMajor] = (await postgresPackage()).version.split('.')
  return {
    postgres: `postgres:${postgresMajor}`,
    olderPostgres: `postgres:${OLDER_POSTGRES}`,
    minio: 'minio/minio:RELEASE.2025-09-07T16-13-09Z',
  }
}

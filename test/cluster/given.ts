import { HarnessError } from './errors.ts'
import { pushArchive } from './images/buildah.ts'
import { buildOperatorImageWithDocker, operatorImage } from './images/operator.ts'
import { doesDockerAnswer } from './kind.ts'
import { ensurePackages } from './packages.ts'
import { run } from './processes.ts'
import { step } from './progress.ts'
import { readSettings } from './settings.ts'

/**
 * An operator image that a given cluster can pull: the one that `PGPACK_IMAGE` names, or this
 * checkout's, pushed to `PGPACK_REGISTRY`.
 * @throws HarnessError `SETTING_MISSING` where neither is set.
 */
export async function provideOperatorImage(): Promise<string> {
  const { operatorImage: given, registry } = readSettings()
  if (given !== undefined) return given
  if (registry === undefined) {
    throw new HarnessError(
      'SETTING_MISSING',
      'KUBECONFIG names a cluster, but no image of the operator is known that it can pull. Set PGPACK_IMAGE to one, or PGPACK_REGISTRY (host:port/path) to a registry that the image of this checkout may be pushed to',
    )
  }
  return (await doesDockerAnswer()) ? pushWithDocker(registry) : pushWithBuildah(registry)
}

async function pushWithDocker(registry: string): Promise<string> {
  const reference = await buildOperatorImageWithDocker()
  const destination = nameIn(registry, reference)
  await run('docker', ['tag', reference, destination])
  await step(`pushing ${destination}`, '20 s', (log) => run('docker', ['push', destination], { log }))
  return destination
}

async function pushWithBuildah(registry: string): Promise<string> {
  await ensurePackages(['buildah', 'mmdebstrap'])
  const { archive, reference } = await operatorImage()
  const destination = nameIn(registry, reference)
  await step(`pushing ${destination}`, '20 s', (log) => pushArchive(archive, destination, log))
  return destination
}

function nameIn(registry: string, reference: string): string {
  return `${registry}/${reference.slice(reference.lastIndexOf('/') + 1)}`
}

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../processes.ts'
import { readSettings } from '../settings.ts'

/** An image put together from files, without a Dockerfile. */
export interface Composition {
  /** The image to start from; without it, an empty one. */
  readonly from?: string
  /** In this order: files, directories (their contents are copied) and archives (they are unpacked). */
  readonly copy: readonly { readonly source: string; readonly destination: string }[]
  /** A command line to run in the image after copying. */
  readonly run?: readonly string[]
  /** Options of `buildah config`: entry point, user, environment. */
  readonly config?: readonly string[]
}

/** A build from a Dockerfile. */
export interface DockerfileBuild {
  readonly directory: string
  readonly buildArguments: Readonly<Record<string, string>>
  /** Files that the build may read and that are in no layer, by their id in the Dockerfile. */
  readonly secrets: Readonly<Record<string, string>>
}

/** Makes an image in buildah's store. */
export async function compose(reference: string, composition: Composition, log: string): Promise<void> {
  const container = (await buildah(['from', composition.from ?? 'scratch'], log)).trim()
  try {
    for (const { source, destination } of composition.copy) {
      await buildah(['add', container, source, destination], log)
    }
    if (composition.run !== undefined) {
      await buildah(['run', '--isolation', 'chroot', container, '--', ...composition.run], log)
    }
    if (composition.config !== undefined) await buildah(['config', ...composition.config, container], log)
    await buildah(['commit', '--quiet', container, reference], log)
  } finally {
    await buildah(['rm', container], log)
  }
}

/** Builds a Dockerfile into buildah's store. No Docker engine is asked. */
export async function buildDockerfile(reference: string, build: DockerfileBuild, log: string): Promise<void> {
  const buildArguments = Object.entries(build.buildArguments).map(([name, value]) => `--build-arg=${name}=${value}`)
  const secrets = Object.entries(build.secrets).map(([id, file]) => `--secret=id=${id},src=${file}`)
  await buildah(
    ['bud', '--isolation', 'chroot', '--layers', '--tag', reference, ...buildArguments, ...secrets, build.directory],
    log,
  )
}

/** References of the images in buildah's store. */
export async function listImages(): Promise<string[]> {
  return (await buildah(['images', '--format', '{{.Name}}:{{.Tag}}'])).split('\n')
}

/** Empties buildah's store. What is asked for later is made again. */
export async function discardImages(): Promise<void> {
  await buildah(['rmi', '--all', '--force'])
}

/** Writes an image to an archive that containerd and Docker can load. */
export async function archiveImage(reference: string, archive: string, log: string): Promise<void> {
  await buildah(['push', '--quiet', reference, `docker-archive:${archive}:${reference}`], log)
}

/** Sends an archived image to a registry, as the machine is logged in there. */
export async function pushArchive(archive: string, destination: string, log: string): Promise<void> {
  const image = (await buildah(['pull', '--quiet', `docker-archive:${archive}`], log)).trim()
  await buildah(['push', '--quiet', image, `docker://${destination}`], log)
}

/** Runs buildah on a store of our own, so that the machine's other images stay untouched. */
async function buildah(args: readonly string[], log?: string): Promise<string> {
  const store = join(readSettings().cacheDirectory, 'buildah')
  await mkdir(store, { recursive: true })
  return run('buildah', ['--root', join(store, 'storage'), '--runroot', join(store, 'run'), ...args], {
    ...(log === undefined ? {} : { log }),
  })
}

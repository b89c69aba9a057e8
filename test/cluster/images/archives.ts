import { basename, dirname, join } from 'node:path'
import { postgresOfMajor } from '../../support/postgres-versions.ts'
import { cached, digest, digestFiles } from '../cache.ts'
import { step } from '../progress.ts'
import { ensureTools } from '../tools.ts'
import { ensureDebianImage } from './base.ts'
import { archiveImage, type Composition, compose } from './buildah.ts'
import { postgresPackage } from './installed.ts'

/** What transfers between two majors are tested with: the newest without TID range scans. */
export const OLDER_POSTGRES = 13

/** An image that a cluster without a registry is handed as a file. */
export interface ImageArchive {
  readonly reference: string
  readonly archive: string
}

/** The image of the process that holds a pod's namespaces open. */
export async function pauseImage(): Promise<ImageArchive> {
  const { pause } = await ensureTools(['pause'])
  return archived('pause', buildOf(pause), async () => ({
    copy: [{ source: pause, destination: '/pause' }],
    config: ['--entrypoint', '["/pause"]', '--user', '65532:65532'],
  }))
}

/** MinIO's server; its arguments are the public image's. */
export async function minioImage(): Promise<ImageArchive> {
  const { minio } = await ensureTools(['minio'])
  return archived('minio', buildOf(minio), async () => ({
    copy: [{ source: minio, destination: '/usr/bin/minio' }],
    config: ['--entrypoint', '["/usr/bin/minio"]'],
  }))
}

/** PostgreSQL from the npm package that the tests use; its environment variables are the public image's. */
export async function postgresImage(): Promise<ImageArchive> {
  const { directory, version } = await postgresPackage()
  return postgresImageOf(join(directory, 'native'), version)
}

/** The same of {@link OLDER_POSTGRES}. */
export async function olderPostgresImage(): Promise<ImageArchive> {
  const native = dirname(await postgresOfMajor(OLDER_POSTGRES))
  return postgresImageOf(native, basename(dirname(native)))
}

async function postgresImageOf(native: string, version: string): Promise<ImageArchive> {
  const entrypoint = join(import.meta.dirname, 'postgres-entrypoint.sh')
  const tag = digest(version, await digestFiles([entrypoint]))
  return archived('postgres', tag, async () => ({
    from: await ensureDebianImage(),
    copy: [
      { source: native, destination: '/usr/local/pgsql' },
      { source: entrypoint, destination: '/usr/local/bin/docker-entrypoint.sh' },
    ],
    // initdb wants a name for the user it runs as.
    run: ['useradd', '--uid', '999', '--user-group', '--home-dir', '/var/lib/postgresql', 'postgres'],
    config: ['--entrypoint', '["/usr/local/bin/docker-entrypoint.sh"]', '--user', '999:999'],
  }))
}

/** A tool's folder in the cache bears the digest of all that it was built from. */
function buildOf(tool: string): string {
  return digest(basename(dirname(tool)))
}

function archived(name: string, tag: string, composition: () => Promise<Composition>): Promise<ImageArchive> {
  const reference = `localhost/pgpack/${name}:${tag}`
  return archivedAs(reference, `composing ${reference}`, '10 s', async (log) =>
    compose(reference, await composition(), log),
  )
}

/** An image's archive in the cache; `build` puts the image into buildah's store where there is no archive yet. */
export async function archivedAs(
  reference: string,
  what: string,
  usually: string,
  build: (log: string) => Promise<void>,
): Promise<ImageArchive> {
  const fileName = `${reference.replaceAll(/[^a-z0-9.]+/g, '-')}.tar`
  const archive = await cached(join('images', fileName), (path) =>
    step(what, usually, async (log) => {
      await build(log)
      await archiveImage(reference, path, log)
    }),
  )
  return { reference, archive }
}

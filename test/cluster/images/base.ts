import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cached, digest, withLock } from '../cache.ts'
import { run } from '../processes.ts'
import { step } from '../progress.ts'
import { type Composition, compose, listImages } from './buildah.ts'
import { installedPackage } from './installed.ts'

const release = 'bookworm'

/** The npm of the build stage; the final image has none. */
const npmVersion = '11.19.1'

/** What the root file system is made without: nobody reads manuals in a container. */
const leftOut = ['/usr/share/doc/*', '/usr/share/info/*', '/usr/share/locale/*', '/usr/share/man/*']

/** A minimal Debian with the certificate authorities, in buildah's store: stands for `debian:bookworm-slim`. */
export async function ensureDebianImage(): Promise<string> {
  const options = ['--variant=minbase', '--include=ca-certificates', ...leftOut.map(excluding)]
  const tag = digest(release, ...options)
  const archive = await cached(join('images', `debian-${release}-${tag}.tar`), (path) =>
    step('installing a minimal Debian for images', '40 s', async (log) => {
      await run('mmdebstrap', [...options, release, path], { log })
    }),
  )
  return ensureStored('debian', tag, { copy: [{ source: archive, destination: '/' }] })
}

/** Debian with Node and npm, in buildah's store: stands for `node:24-bookworm-slim`. */
export async function ensureNodeImage(): Promise<string> {
  const debian = await ensureDebianImage()
  const { directory, version } = await installedPackage('node')
  const tag = digest(debian, version, npmVersion)
  const files = await cached(join('images', `node-${version}-npm-${npmVersion}`), (path) =>
    step(`fetching Node ${version} and npm for images`, '10 s', async (log) => {
      const prefix = join(path, 'usr', 'local')
      await mkdir(join(prefix, 'bin'), { recursive: true })
      await cp(join(directory, 'bin', 'node'), join(prefix, 'bin', 'node'))
      await run('npm', ['install', '--global', '--prefix', prefix, `npm@${npmVersion}`], { log })
    }),
  )
  return ensureStored('node', tag, { from: debian, copy: [{ source: files, destination: '/' }] })
}

async function ensureStored(name: string, tag: string, composition: Composition): Promise<string> {
  const reference = `localhost/pgpack/${name}:${tag}`
  await withLock(reference, async () => {
    if ((await listImages()).includes(reference)) return
    await step(`composing ${reference}`, '5 s', (log) => compose(reference, composition, log))
  })
  return reference
}

function excluding(path: string): string {
  return `--dpkgopt=path-exclude=${path}`
}

import { existsSync } from 'node:fs'
import { glob, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { digest } from '../cache.ts'
import { run } from '../processes.ts'
import { step } from '../progress.ts'
import { readSettings, repositoryDirectory } from '../settings.ts'
import { archivedAs, type ImageArchive } from './archives.ts'
import { ensureDebianImage, ensureNodeImage } from './base.ts'
import { buildDockerfile, discardImages, listImages } from './buildah.ts'

/** What the operator's image is made of; a change in any of it makes another image. */
const inputs = [
  'Dockerfile',
  '.dockerignore',
  '.npmrc',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.ts',
  'scripts/bundle.ts',
  'src/**/*.ts',
]

const usually = '40 s, 10 s when only the sources have changed'

/** The operator's image, built from the repository's Dockerfile without a Docker engine. */
export async function operatorImage(): Promise<ImageArchive> {
  const reference = `localhost/pgpack/operator:${await operatorTag()}`
  const image = await archivedAs(reference, `building ${reference}`, usually, async (log) => {
    await limitStore()
    const [node, debian] = [await ensureNodeImage(), await ensureDebianImage()]
    const buildArguments = { BASE_IMAGE: node, RUNTIME_IMAGE: debian }
    await withNpmSecrets((secrets) =>
      buildDockerfile(reference, { directory: repositoryDirectory, buildArguments, secrets }, log),
    )
  })
  await removeOutdated(image.archive)
  return image
}

/** buildah keeps the layers of all builds, and none of its commands drops only those long unused. */
async function limitStore(): Promise<void> {
  const builds = (await listImages()).filter((reference) => reference.includes('/pgpack/operator:'))
  if (builds.length >= 20) await discardImages()
}

/** Every change of a source makes an archive of some 300 MB; those that no run can still be reading go. */
async function removeOutdated(current: string): Promise<void> {
  const hourAgo = Date.now() - 3_600_000
  for await (const name of glob('localhost-pgpack-operator-*.tar', { cwd: dirname(current) })) {
    const archive = join(dirname(current), name)
    if (archive !== current && (await stat(archive)).mtimeMs < hourAgo) await rm(archive, { force: true })
  }
}

/** The operator's image, built by a Docker engine into its own store; the reference. */
export async function buildOperatorImageWithDocker(): Promise<string> {
  const reference = `pgpack/operator:${await operatorTag()}`
  const known = await run('docker', ['image', 'ls', '--quiet', reference])
  if (known.trim() !== '') return reference
  await step(`building ${reference}`, usually, (log) =>
    withNpmSecrets(async (secrets) => {
      const options = Object.entries(secrets).map(([id, file]) => `--secret=id=${id},src=${file}`)
      await run('docker', ['build', '--tag', reference, ...options, repositoryDirectory], {
        ...{ log, env: { DOCKER_BUILDKIT: '1' } },
      })
    }),
  )
  return reference
}

async function operatorTag(): Promise<string> {
  const files: string[] = []
  for await (const file of glob(inputs, { cwd: repositoryDirectory })) files.push(file)
  files.sort()
  const contents = await Promise.all(files.map((file) => readFile(join(repositoryDirectory, file))))
  return digest(...files, ...contents)
}

/**
 * Runs a build with this machine's npm configuration as files, for the Dockerfile's secrets: it
 * tells the npm inside which registry to ask and which certificate authorities to trust.
 */
async function withNpmSecrets(build: (secrets: Record<string, string>) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'pgpack-npm-'))
  try {
    const npmrc = join(directory, 'npmrc')
    const authorities = (await npmSetting('cafile')) ?? readSettings().certificateAuthorities
    const files = [await npmSetting('globalconfig'), await npmSetting('userconfig')]
    const lines = await Promise.all(files.filter(isThere).map((file) => readFile(file, 'utf8')))
    lines.push(`registry=${await npmSetting('registry')}`)
    if (authorities !== undefined) lines.push('cafile=/run/secrets/npmca')
    await writeFile(npmrc, `${lines.join('\n')}\n`, { mode: 0o600 })
    await build(authorities === undefined ? { npmrc } : { npmrc, npmca: authorities })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function npmSetting(name: string): Promise<string | undefined> {
  const value = (await run('npm', ['config', 'get', name], { cwd: repositoryDirectory })).trim()
  return value === 'null' ? undefined : value
}

function isThere(path: string | undefined): path is string {
  return path !== undefined && existsSync(path)
}

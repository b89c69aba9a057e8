import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'
import { cached, digest } from '../cluster/cache.ts'
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
 * They are bundled in every run, and lie below the digest of what came out: no run sees an older package.
 */
export async function bundledPackages(): Promise<Record<string, string>> {
  const files = await bundleEntries()
  const directory = await cached(join('packages', digest(...files.flat())), (made) => write(files, made))
  return Object.fromEntries(ENTRIES.map((entry) => [`^${entry}$`, join(directory, `${entry}.js`)]))
}

/** Pairs of a path below the folder of the bundles, and the text there. */
async function bundleEntries(): Promise<(readonly [path: string, text: string])[]> {
  const outdir = join(repositoryDirectory, 'node_modules')
  const { outputFiles } = await build({
    entryPoints: ENTRIES.map((entry) => ({ in: entry, out: entry })),
    absWorkingDir: repositoryDirectory,
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    write: false,
  })
  return outputFiles.map(({ path, text }) => [relative(outdir, path), text])
}

async function write(files: readonly (readonly [path: string, text: string])[], directory: string): Promise<void> {
  for (const [path, text] of files) {
    const file = join(directory, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
}

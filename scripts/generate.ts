/**
 * Writes what follows from src/api, src/errors.ts, the operator's reasons and the table of COPY's options: crds/, the
 * chart's CRD templates and docs/reference/. With --check it writes nothing and fails where a file is not what it would write.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crdFiles } from './generate/crds.ts'
import { referenceFiles } from './generate/reference.ts'

/** Folders that hold generated files only: what is in them and not generated any more is stale. */
const OWNED = ['crds', 'charts/pgpack-operator/templates/crds', 'docs/reference']

const root = dirname(import.meta.dirname)
const check = process.argv.includes('--check')

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(join(root, path), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function existing(): Promise<string[]> {
  const list = async (folder: string): Promise<string[]> => {
    await mkdir(join(root, folder), { recursive: true })
    return (await readdir(join(root, folder))).map((name) => join(folder, name))
  }
  return (await Promise.all(OWNED.map(list))).flat()
}

const wanted: Readonly<Record<string, string>> = { ...crdFiles(), ...referenceFiles() }
const stale = (await existing()).filter((path) => !(path in wanted))
const changed: string[] = []
for (const [path, text] of Object.entries(wanted)) {
  if ((await read(path)) !== text) changed.push(path)
}

if (check) {
  const drift = [...changed, ...stale]
  for (const path of drift) process.stderr.write(`${path} is not what \`npm run generate\` writes\n`)
  process.exitCode = drift.length === 0 ? 0 : 1
} else {
  for (const path of changed) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), wanted[path] ?? '')
    process.stdout.write(`wrote ${path}\n`)
  }
  for (const path of stale) {
    await rm(join(root, path))
    process.stdout.write(`removed ${path}\n`)
  }
}

import { join } from 'node:path'
import { cached, digest } from '../cluster/cache.ts'
import { ensurePackages } from '../cluster/packages.ts'
import { run } from '../cluster/processes.ts'
import { step } from '../cluster/progress.ts'
import { repositoryDirectory } from '../cluster/settings.ts'
import type { TestDatabase } from './postgres.ts'

/** The released reference implementation, and the versions of what it stands on that it was seen to work with. */
const REQUIREMENTS = [
  'pgpack==0.3.2.3',
  'pgpack-dumper==0.3.5.4',
  'pgcopylib==0.2.3.3',
  'light-compressor==0.0.2.2',
  'psycopg[binary]==3.3.9',
]

const SCRIPT = join(repositoryDirectory, 'test/integration/interop/reference.py')

/** The methods that the release knows, as it spells them. */
export const REFERENCE_METHODS = { None: 'NONE', LZ4: 'LZ4', Zstd: 'ZSTD' } as const

/** A step of reference.py. */
export interface ReferenceStep {
  readonly do: 'read_dump' | 'write_dump' | 'write_bytes' | 'describe' | 'to_bytes' | 'to_rows'
  readonly [argument: string]: unknown
}

export type ReferenceResult = { readonly value: unknown } | { readonly error: string }

/** How the reference describes a file. A column is [name, oid, length, scale, nested]. */
export interface ReferenceDescription {
  readonly columns: readonly (readonly [string, number, number, number, number])[]
  readonly method: string
  readonly stored: number
  readonly raw: number
}

/** Where psycopg finds the database. */
export function referenceServer(database: TestDatabase): Record<string, string> {
  const { host, port, user, password = '', database: dbname } = database.config
  return { host, port: String(port), user, password, dbname }
}

/** Runs steps in the reference, in one process: its imports alone take seconds. */
export async function runReference(steps: readonly ReferenceStep[]): Promise<readonly ReferenceResult[]> {
  const python = await referencePython()
  const output = await run(python, ['-I', SCRIPT], {
    input: JSON.stringify(steps),
    env: { PYTHONDONTWRITEBYTECODE: '1' },
  })
  return JSON.parse(output) as ReferenceResult[]
}

/** The value of a step that must have gone well. */
export function resultOf(result: ReferenceResult | undefined): unknown {
  if (result === undefined) throw new Error('the reference gave no such result')
  if ('error' in result) throw new Error(`the reference failed: ${result.error}`)
  return result.value
}

/** The interpreter that can import the reference. */
export async function referencePython(): Promise<string> {
  return join(await environment(), 'bin/python')
}

/** The virtual environment with the reference, made once per machine. */
async function environment(): Promise<string> {
  await ensurePackages(['python3-venv'])
  const version = (await run('python3', ['--version'])).trim()
  return cached(`venv-${digest(version, ...REQUIREMENTS)}`, (path) =>
    step('the Python reference of PGPack', '1 min', async (log) => {
      await run('python3', ['-m', 'venv', path], { log })
      const install = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', ...REQUIREMENTS]
      await run(join(path, 'bin/python'), install, { log })
    }),
  )
}

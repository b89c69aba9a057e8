import { chmod, cp, mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { beforeEach } from '@jest/globals'
import { run } from '../cluster/processes.ts'
import { repositoryDirectory } from '../cluster/settings.ts'
import { pgpackFile } from './command.ts'

/**
 * A folder of examples/ in the test's own one, where `npx pgpack` is the checkout's, and npm itself is not waited for a
 * dozen times. Gives what runs one of its shell scripts and resolves with what that printed.
 */
export function useExamples(
  name: string,
  folder: { readonly path: string },
  environment: () => Readonly<Record<string, string>>,
): (file: string) => Promise<string> {
  beforeEach(async () => {
    const bin = join(folder.path, 'node_modules/.bin')
    await mkdir(bin, { recursive: true })
    await cp(join(repositoryDirectory, 'examples', name), folder.path, { recursive: true })
    const pgpack = join(bin, 'pgpack')
    await writeFile(pgpack, `#!/bin/sh\nexec '${process.execPath}' '${pgpackFile()}' "$@"\n`)
    await writeFile(join(bin, 'npx'), '#!/bin/sh\nexec "$@"\n')
    await Promise.all([chmod(pgpack, 0o755), chmod(join(bin, 'npx'), 0o755)])
  })
  return (file) => {
    const path = [join(folder.path, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
    return run('sh', [file], { cwd: folder.path, env: { ...environment(), PATH: path } })
  }
}

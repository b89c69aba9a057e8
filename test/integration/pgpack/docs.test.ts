import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import { run } from '../../cluster/processes.ts'
import { repositoryDirectory } from '../../cluster/settings.ts'
import { useFolder } from '../../support/engine.ts'
import { fakeTerminal } from '../../support/terminal.ts'

jest.setTimeout(120_000)

const folder = useFolder()
const LIBRARY = join(repositoryDirectory, 'src/pgpack/index.ts')

/** The fenced blocks of a language, in order. */
async function blocksOf(language: string): Promise<string[]> {
  const text = await readFile(join(repositoryDirectory, 'docs/pgpack.md'), 'utf8')
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, code = '']) =>
    name === language ? [code] : [],
  )
}

/** Runs an example in the test's folder; what it prints. */
async function example(code: string, index: number): Promise<string> {
  const file = join(folder.path, `example-${index}.ts`)
  await writeFile(file, code.replaceAll("'pgpack-operator/pgpack'", JSON.stringify(LIBRARY)))
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', file], { cwd: folder.path })
}

/** Runs a command whose files lie in the test's folder; what it prints. */
async function command(args: readonly string[]): Promise<string> {
  const terminal = fakeTerminal()
  const inFolder = args.map((word) => (/^\w+\.(pgpack|csv|ndjson)$/.test(word) ? join(folder.path, word) : word))
  expect([await runCommandLine(inFolder, terminal), terminal.stderr.text]).toEqual([0, ''])
  return terminal.stdout.text
}

/** The words of a line of shell: only single quotes count. */
const wordsOf = (line: string) =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')

describe('the examples of docs/pgpack.md', () => {
  it('are run one after another: the library writes and reads, and the commands convert', async () => {
    const [write = '', objects = '', batches = '', ...others] = await blocksOf('ts')
    expect(others).toEqual([])
    expect(await example(write, 0)).toBe('3n\n')
    expect(await example(objects, 1)).toBe(
      "1n 2026-11-21 12:00:00+00 [ 'new', null ]\n2n 2026-11-21 12:30:00.5+00 []\n3n null null\n",
    )
    const lines = (await blocksOf('sh')).join('').trim().split('\n')
    const shown: string[] = []
    for (const line of lines) {
      const [name, ...args] = wordsOf(line)
      expect(name).toBe('pgpack')
      shown.push(await command(args))
    }
    expect(shown[0]?.split('\n').map((line) => line.trimEnd())).toContain(
      '1    | 2026-11-21 12:00:00+00   | 19.90   | {new,NULL}',
    )
    expect(shown[1]).toContain('{"id":1,"placed":"2026-11-21 12:00:00+00","total":"19.90","tags":["new",null]}')
    expect(shown.at(-1)).toContain('whole; 3 rows')
    expect(await readFile(join(folder.path, 'orders.csv'), 'utf8')).toBe(
      'id,placed,total,tags\n1,2026-11-21 12:00:00+00,19.90,"{new,NULL}"\n2,2026-11-21 12:30:00.5+00,7,{}\n3,,,\n',
    )
    expect(await example(batches, 2)).toBe("3 [ 'id', 'placed', 'total', 'tags' ]\nPGPACK_SIGNATURE 0\n")
  })
})

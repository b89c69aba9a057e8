import { writeFile as writeToDisk } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import { useFolder } from '../../support/engine.ts'
import { rows, tuple, writeFile } from '../../support/pgpack.ts'
import { fakeTerminal } from '../../support/terminal.ts'

const folder = useFolder()

async function head(file: Buffer, ...args: string[]) {
  const path = join(folder.path, 'a.pgpack')
  await writeToDisk(path, file)
  const terminal = fakeTerminal()
  const code = await runCommandLine(['head', path, ...args], terminal)
  return { code, lines: terminal.stdout.lines, stderr: terminal.stderr.text }
}

const fileOf = async (...tuples: Buffer[]) => (await writeFile({}, [[Buffer.concat(tuples), tuples.length]])).file

describe('pgpack head', () => {
  it('shows the first ten rows under names and types', async () => {
    const { code, lines } = await head((await writeFile({}, [[rows(12), 12]])).file)
    expect(code).toBe(0)
    expect(lines.slice(0, 4)).toEqual(['id   | name', 'int4 | text', '-----+-------------', '0    | row number 0'])
    expect(lines).toHaveLength(13)
  })

  it('shows as many rows as are asked for, or as there are', async () => {
    const { file } = await writeFile({}, [[rows(3), 3]])
    expect((await head(file, '-n', '2')).lines).toHaveLength(5)
    expect((await head(file, '-n', '0')).lines).toHaveLength(3)
    expect((await head(file, '--rows', '100')).lines).toHaveLength(6)
    expect((await head(file, '-n', 'many')).code).toBe(42)
  })

  it('shows JSON with all of every value', async () => {
    const { lines } = await head(await fileOf(tuple(1, 'x'.repeat(100)), tuple(null, null)), '--json')
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { id: 1, name: 'x'.repeat(100) },
      { id: null, name: null },
    ])
  })

  it('shortens long values, and shows NULL and control characters as text', async () => {
    const { lines } = await head(await fileOf(tuple(1, 'x'.repeat(100)), tuple(null, 'a\tb\u001b[31mred\nline')))
    expect(lines[3]).toBe(`1    | ${'x'.repeat(39)}…`)
    expect(lines[4]).toBe('NULL | a\\tbred\\nline')
  })

  it('ends with the error of a file that is none', async () => {
    const { code, stderr } = await head(Buffer.from('not a file'))
    expect([code, stderr]).toEqual([42, expect.stringContaining('PGPACK_SIGNATURE')])
  })
})

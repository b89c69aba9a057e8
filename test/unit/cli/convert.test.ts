import { readdir, readFile, writeFile as writeToDisk } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import { useFolder } from '../../support/engine.ts'
import { rows, writeFile } from '../../support/pgpack.ts'
import { fakeTerminal } from '../../support/terminal.ts'

const folder = useFolder()
const path = (name: string) => join(folder.path, name)

async function pgpack(...args: string[]) {
  const terminal = fakeTerminal()
  const code = await runCommandLine(args, terminal)
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text }
}

const convert = (input: string, out: string, ...more: string[]) =>
  pgpack('convert', '--in', path(input), '--out', out === '-' ? out : path(out), ...more)

async function makeFile(): Promise<void> {
  const { file } = await writeFile({ compression: { method: 'Zstd' } }, [[rows(3), 3]])
  await writeToDisk(path('a.pgpack'), file)
}

const CSV = '0,row number 0\n1,row number 1\n2,row number 2\n'

describe('pgpack convert', () => {
  it('writes CSV and NDJSON to a file or to stdout', async () => {
    await makeFile()
    const { code, stdout } = await convert('a.pgpack', 'a.csv', '--to', 'csv', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ rows: '3', bytes: String(CSV.length), storedBytes: String(CSV.length) })
    expect(await readFile(path('a.csv'), 'utf8')).toBe(CSV)
    const shown = await convert('a.pgpack', '-', '--to', 'ndjson')
    expect(shown.stdout.split('\n')[0]).toBe('{"id":0,"name":"row number 0"}')
    const headed = await convert('a.pgpack', '-', '--to', 'csv', '--header')
    expect(headed.stdout).toBe(`id,name\n${CSV}`)
  })

  it('makes a PGPack file of text, with columns that are told or those of another file', async () => {
    await makeFile()
    await writeToDisk(path('b.csv'), CSV)
    for (const columns of [
      ['--columns', 'id int, name text'],
      ['--like', path('a.pgpack')],
    ]) {
      const { code, stdout } = await convert('b.csv', 'b.pgpack', '--from', 'csv', '--to', 'pgpack', ...columns)
      expect([code, stdout]).toEqual([0, expect.stringContaining('converted')])
      expect((await convert('b.pgpack', '-', '--to', 'csv')).stdout).toBe(CSV)
      expect((await pgpack('verify', path('b.pgpack'))).code).toBe(0)
    }
  })

  it('changes the compression of a file', async () => {
    await makeFile()
    const { code } = await convert('a.pgpack', 'lz4.pgpack', '--to', 'pgpack', '--compression', 'lz4')
    expect(code).toBe(0)
    expect(JSON.parse((await pgpack('inspect', path('lz4.pgpack'), '--json')).stdout)).toMatchObject({ method: 'LZ4' })
    expect((await convert('lz4.pgpack', '-', '--to', 'csv')).stdout).toBe(CSV)
  })

  it('knows the types of users by their definitions', async () => {
    await makeFile()
    const { file } = await writeFile({ columns: [{ name: 'm', oid: 20000, length: 4, scale: 0, nested: 0 }] }, [
      [Buffer.from('0001000000036f6bff', 'hex').fill('!', 8), 1],
    ])
    await writeToDisk(path('mood.pgpack'), file)
    await writeToDisk(path('types.json'), '[{"kind":"enum","oid":20000,"name":"mood"}]')
    expect((await convert('mood.pgpack', '-', '--to', 'csv')).stdout).toBe('\\x6f6b21\n')
    expect((await convert('mood.pgpack', '-', '--to', 'csv', '--types', path('types.json'))).stdout).toBe('ok!\n')
    const missing = await convert('mood.pgpack', '-', '--to', 'csv', '--types', path('none.json'))
    expect([missing.code, missing.stderr]).toEqual([42, expect.stringContaining('CONFIG_INVALID')])
  })

  it('leaves nothing behind when the input is not what it is said to be', async () => {
    await writeToDisk(path('bad.csv'), '1,a\nx,b\n')
    const { code, stderr } = await convert(
      'bad.csv',
      'bad.pgpack',
      '--from',
      'csv',
      '--to',
      'pgpack',
      '--columns',
      'id int, name text',
    )
    expect(code).toBe(42)
    expect(stderr).toContain('row 2: column "id"')
    await makeFile()
    const whole = await readFile(path('a.pgpack'))
    await writeToDisk(path('cut.pgpack'), whole.subarray(0, -3))
    expect((await convert('cut.pgpack', 'cut.csv', '--to', 'csv')).code).toBe(42)
    expect((await readdir(folder.path)).sort()).toEqual(['a.pgpack', 'bad.csv', 'cut.pgpack'])
  })

  it.each([
    [['--to', 'parquet'], /--to "parquet" is none of pgpack, csv, ndjson/],
    [['--from', 'csv', '--to', 'ndjson'], /one of --from and --to must be pgpack/],
    [['--from', 'csv', '--to', 'pgpack'], /give --columns/],
    [['--from', 'csv', '--to', 'pgpack', '--columns', 'id int', '--like', 'x'], /give --columns/],
    [['--to', 'csv', '--columns', 'id int'], /leave --columns and --like out/],
    [['--to', 'ndjson', '--header'], /--header is for CSV/],
    [['--from', 'csv', '--to', 'pgpack', '--columns', 'id'], /expected a name and a type/],
  ])('refuses options that do not go together: %j', async (options, message) => {
    await writeToDisk(path('x'), '')
    const { code, stderr } = await convert('x', 'y', ...options)
    expect([code, stderr]).toEqual([42, expect.stringMatching(message)])
  })

  it('does not write PGPack to stdout', async () => {
    await makeFile()
    expect((await convert('a.pgpack', '-', '--to', 'pgpack')).stderr).toContain('cannot be written to stdout')
  })
})

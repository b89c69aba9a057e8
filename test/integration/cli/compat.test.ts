import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { describe, expect, it, jest } from '@jest/globals'
import { runCommandLine } from '../../../src/cli/index.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { fingerprint, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'
import { fakeTerminal } from '../../support/terminal.ts'

jest.setTimeout(60_000)

const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: `CREATE TABLE orders (id int, "naïve ""Ж""" numeric(8,2), list text[]);
    INSERT INTO orders SELECT i, i / 4.0, ARRAY['a', NULL] FROM generate_series(1, 2000) i; CREATE TABLE copied (LIKE orders)`,
})
const folder = useFolder()

async function pgpack(...args: string[]) {
  const terminal = fakeTerminal({ tty: false, env: {} })
  return { code: await runCommandLine(args, terminal), terminal }
}

const file = () => join(folder.path, 'orders.pgpack')
const dump = (...more: string[]) =>
  pgpack('dump', '--dsn', postgres.database.dsn, '--table', 'orders', '--out', file(), ...more)

describe('dump --compat', () => {
  it.each([
    { args: [], spelling: 'released', item: [1, ['id', 23, 4, 0, 0]] },
    { args: ['--compat', 'released'], spelling: 'released', item: [1, ['id', 23, 4, 0, 0]] },
    {
      args: ['--compat', 'Development'],
      spelling: 'development',
      item: { id: { oid: 23, length: 4, scale: 0, nested: 0 } },
    },
  ])('$args writes the $spelling spelling of the metadata', async ({ args, spelling, item }) => {
    expect((await dump(...args)).code).toBe(0)
    const reader = await PGPackReader.open(bufferSource(await readFile(file())))
    expect(reader).toMatchObject({ spelling, layout: 'header', columns: { length: 3 } })
    expect(metadataOf(reader)).toEqual([item, expect.anything(), expect.anything()])
  })

  it('changes nothing else: the file is whole and is restored', async () => {
    await dump('--compat', 'development', '--compression', 'lz4')
    expect((await pgpack('verify', file())).code).toBe(0)
    const restored = await pgpack('restore', '--dsn', postgres.database.dsn, '--table', 'copied', '--in', file())
    expect(restored.code).toBe(0)
    expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))
  })

  it('names the choices for another word', async () => {
    const { code, terminal } = await dump('--compat', '0.4')
    expect(code).toBe(42)
    expect(terminal.stderr.text).toContain('--compat "0.4" is none of released, development')
  })
})

function metadataOf(reader: PGPackReader): unknown {
  return JSON.parse(inflateSync(reader.head.subarray(16, -17)).toString())
}

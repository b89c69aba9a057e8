import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { CompressionOptions } from '../../../src/compression/method.ts'
import { type ArtifactDumpRequest, dump, dumpFile } from '../../../src/engine/dump.ts'
import type { CopyOptions } from '../../../src/postgres/copy-options/schema.ts'
import type { DumpObject } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { openArtifact } from '../../support/artifact.ts'
import { sha256 } from '../../support/bytes.ts'
import { copyOut } from '../../support/copy.ts'
import { failureOf, fingerprint, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

jest.setTimeout(120_000)

const postgres = usePostgres({
  setup: `
    CREATE TABLE orders (id int PRIMARY KEY, note text, price numeric(8,2));
    INSERT INTO orders SELECT i, nullif('note; "' || repeat('x', i % 50) || E'"\\n' || i, 'note; ""'), i / 4.0 FROM generate_series(1, 20000) i;
    INSERT INTO orders VALUES (0, null, null), (-1, '', 0);
    CREATE TABLE empty (id int);
    CREATE TABLE copied (id int PRIMARY KEY, note text, price numeric(8,2));`,
})
const folder = useFolder()
const orders: DumpObject = { table: { schema: 'public', name: 'orders' } }
const empty: DumpObject = { table: { schema: 'public', name: 'empty' } }

type Changes = Partial<ArtifactDumpRequest>

async function dumped(changes: Changes) {
  const store = new FilesystemStore(folder.path)
  const request = { source: postgres.database.config, connections: 1, store, path: 'run', objects: [orders] }
  const { artifact, totals } = await dump(
    { ...request, compression: { method: 'None' } as const, ...changes },
    testContext(),
  )
  return { ...(await openArtifact(store, artifact.path)), totals }
}

const expectSame = async () =>
  expect(await fingerprint(postgres.database, 'copied')).toEqual(await fingerprint(postgres.database, 'orders'))

const METHODS: CompressionOptions[] = [{ method: 'None' }, { method: 'Zstd', level: 1 }, { method: 'LZ4' }]

describe.each([1, 3])('by %s connections', (connections) => {
  it.each(METHODS)('Binary stored as %j is what COPY takes', async (compression) => {
    const artifact = await dumped({ format: 'Binary', compression, connections })
    await artifact.load('public.orders', postgres.database, 'copied')
    await expectSame()
    expect(artifact.object('public.orders')).toMatchObject({ format: 'Binary', rows: '20002' })
  })

  it.each(METHODS)('CSV stored as %j has its header once, and first', async (compression) => {
    const copyOptions: CopyOptions = { delimiter: ';', header: 'Present', null: '<null>', forceQuote: ['note'] }
    const artifact = await dumped({ format: 'CSV', copyOptions, compression, connections })
    const text = (await artifact.raw('public.orders')).toString()
    expect(text.startsWith('id;note;price\n')).toBe(true)
    expect(text.split('id;note;price\n')).toHaveLength(2)
    await artifact.load(
      'public.orders',
      postgres.database,
      'copied',
      "(FORMAT csv, DELIMITER ';', HEADER, NULL '<null>')",
    )
    await expectSame()
    expect(artifact.object('public.orders')).toMatchObject({ format: 'CSV', rows: '20002', copyOptions })
  })

  it('Text passes', async () => {
    const artifact = await dumped({ format: 'Text', connections, compression: { method: 'Zstd' } })
    await artifact.load('public.orders', postgres.database, 'copied', '')
    await expectSame()
    expect(artifact.totals.rows).toBe('20002')
  })
})

describe('a file', () => {
  it.each<[ArtifactDumpRequest['format'], CompressionOptions['method'], string]>([
    ['Binary', 'None', 'public.orders.bin'],
    ['Text', 'Zstd', 'public.orders.txt.zst'],
    ['CSV', 'LZ4', 'public.orders.csv.lz4'],
    ['PGPack', 'Zstd', 'public.orders.pgpack'],
  ])('of %s and %s is named %s', async (format = 'PGPack', method, name) => {
    const artifact = await dumped({ format, compression: { method } })
    expect(artifact.object('public.orders').file).toBe(name)
  })

  it('is byte for byte what the server sends, by one connection', async () => {
    const artifact = await dumped({ format: 'CSV', copyOptions: { header: 'Present', delimiter: '|' } })
    const expected = await copyOut(postgres.database, `COPY orders TO STDOUT (FORMAT csv, HEADER, DELIMITER '|')`)
    expect((await artifact.file('public.orders')).equals(expected)).toBe(true)
    expect(artifact.object('public.orders')).toMatchObject({
      rawBytes: String(expected.length),
      storedBytes: String(expected.length),
      bodySHA256: sha256(expected),
      headSHA256: sha256(Buffer.alloc(0)),
      bodyOffset: 0,
    })
  })

  it.each(METHODS)('without rows and stored as %j is whole', async (compression) => {
    for (const format of ['Binary', 'Text', 'CSV'] as const) {
      const artifact = await dumped({ format, compression, objects: [empty], path: `run/${format}` })
      const raw = await artifact.raw('public.empty')
      const expected = await copyOut(postgres.database, `COPY empty TO STDOUT (FORMAT ${format})`)
      expect(raw.equals(expected)).toBe(true)
      if (compression.method !== 'None') expect((await artifact.file('public.empty')).length).toBeGreaterThan(0)
    }
  })

  it.each<[CompressionOptions['method'], string]>([
    ['Zstd', 'zstd'],
    ['LZ4', 'lz4'],
  ])('stored as %s is read by the tool %s, all its frames', async (method, tool) => {
    const artifact = await dumped({ format: 'CSV', compression: { method }, connections: 2 })
    const file = join(folder.path, 'compressed')
    await writeFile(file, await artifact.file('public.orders'))
    const found = await toolOutput(tool, file)
    // Where the tool is not installed, our own reader stands for it.
    const text = found ?? (await artifact.raw('public.orders'))
    expect(text.equals(await artifact.raw('public.orders'))).toBe(true)
    expect(text.toString().split('\n').length).toBeGreaterThan(20_000)
  })

  it('can be in another encoding', async () => {
    const sql = `SELECT 'Grüße' AS greeting`
    const objects = [{ query: { name: 'q', sql } }]
    const artifact = await dumped({ format: 'Text', objects, copyOptions: { encoding: 'LATIN1' } })
    expect(await artifact.raw('q')).toEqual(Buffer.from('Grüße\n', 'latin1'))
  })

  it('can be one alone, without a manifest', async () => {
    const store = new FilesystemStore(folder.path)
    const request = { source: postgres.database.config, connections: 1, store, object: orders, key: 'orders.csv' }
    const { totals } = await dumpFile({ ...request, compression: { method: 'None' }, format: 'CSV' }, testContext())
    expect(totals).toMatchObject({ objects: 1, rows: '20002' })
    const expected = await copyOut(postgres.database, 'COPY orders TO STDOUT (FORMAT csv)')
    expect(totals.storedBytes).toBe(String(expected.length))
  })
})

async function toolOutput(tool: string, file: string): Promise<Buffer | undefined> {
  try {
    const { stdout } = await promisify(execFile)(tool, ['-dc', file], { encoding: 'buffer', maxBuffer: 2 ** 28 })
    return stdout
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

describe('what is read back after the upload', () => {
  const damages = { 'the last byte': -1, 'the first byte': 0 } as const
  /** A store whose files change behind the writer's back. */
  class Rotten extends FilesystemStore {
    at = -1

    override async *read(...args: Parameters<FilesystemStore['read']>): AsyncGenerator<Buffer> {
      const [key] = args
      const { size } = await this.stat(key, args[1])
      let offset = args[2]?.offset ?? 0
      const bad = this.at < 0 ? size + this.at : this.at
      for await (const chunk of super.read(...args)) {
        const copy = Buffer.from(chunk)
        const index = bad - offset
        if (!key.endsWith('.json') && index >= 0 && index < copy.length) copy[index] = (copy[index] ?? 0) ^ 1
        offset += chunk.length
        yield copy
      }
    }
  }

  let store: Rotten
  beforeEach(() => {
    store = new Rotten(folder.path)
  })

  it.each(['Checksum', 'Decode'] as const)('is well after a dump that went well: %s', async (verify) => {
    const { totals } = await dumped({ verify, compression: { method: 'Zstd' }, connections: 2 })
    expect(totals.rows).toBe('20002')
    for (const format of ['CSV', 'Binary'] as const) {
      await dumped({ verify, format, compression: { method: 'LZ4' }, connections: 2, path: `run/${format}` })
    }
  })

  it.each(
    (['Checksum', 'Decode'] as const).flatMap((verify) =>
      Object.entries(damages).map(([what, at]) => [verify, what, at] as const),
    ),
  )('by %s is found damaged in %s, and nothing is left', async (verify, _, at) => {
    store.at = at
    for (const format of ['PGPack', 'CSV', 'Binary'] as const) {
      const error = await failureOf(dumped({ verify, store, format }))
      expect(error).toMatchObject({ code: 'MANIFEST_MISMATCH', retryable: false })
      expect(error.message).toContain('public.orders')
      await expect(openArtifact(store, 'run')).rejects.toMatchObject({ code: 'MANIFEST_MISSING' })
    }
  })

  it('is not looked at when nobody asks', async () => {
    store.at = -1
    expect((await dumped({ store })).totals.rows).toBe('20002')
  })
})

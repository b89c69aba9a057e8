import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { compress } from '../../../src/compression/compress.ts'
import type { CompressionOptions } from '../../../src/compression/method.ts'
import type { PGPackColumn } from '../../../src/pgpack/columns.ts'
import { encodeHeader } from '../../../src/pgpack/header.ts'
import { encodeMetadata } from '../../../src/pgpack/metadata.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { describeTable, pgpackColumn } from '../../../src/postgres/catalog.ts'
import { connect } from '../../../src/postgres/connection.ts'
import { faultOf, join } from '../../support/chunks.ts'
import { copyIn, copyOut } from '../../support/copy.ts'
import { tuplesOf, writeFile as writePGPack } from '../../support/pgpack.ts'
import { usePostgres } from '../../support/postgres.ts'
import { REFERENCE_METHODS, referenceServer, resultOf, runReference } from '../../support/reference.ts'
import { allTypes, manyRows } from './tables.ts'

const METHODS = ['None', 'LZ4', 'Zstd'] as const
const TABLES = ['all_types', 'many_rows', 'odd'] as const
const TIMEOUT = 300_000

const fixture = usePostgres({
  authentication: 'scram-sha-256',
  setup: [
    allTypes('all_types'),
    manyRows('many_rows'),
    `create table odd ("naïve Ж" varchar(4)[][], dropped int, n numeric(3,-2), small numeric(2,5), list numeric(10,2)[],
       i interval(2), doubled int generated always as (length(t) * 2) stored, t text, ident int generated always as identity)`,
    'alter table odd drop column dropped',
    `insert into odd values (array[['a','b']], 12300, 0.00012, '{1.25}', '1.239 s', default, 'text', default)`,
  ].join(';\n'),
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(joinPath(tmpdir(), 'pgpack-interop-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const path = (name: string) => joinPath(folder, name)
const binary = (table: string) => copyOut(fixture.database, `COPY ${table} TO STDOUT (FORMAT binary)`)
const csv = async (table: string) =>
  (await copyOut(fixture.database, `COPY ${table} TO STDOUT (FORMAT csv)`)).toString()

async function columnsOf(table: string): Promise<PGPackColumn[]> {
  const connection = await connect(fixture.database.config)
  try {
    return (await describeTable(connection, { schema: 'public', name: table })).columns.map(pgpackColumn)
  } finally {
    await connection.close()
  }
}

/** A file of ours with a frame for each `rowsPerFrame` rows. */
async function ourFile(table: string, compression: CompressionOptions, rowsPerFrame: number): Promise<Buffer> {
  const tuples = [...tuplesOf(await binary(table))]
  const chunks: [Buffer, number][] = []
  for (let at = 0; at < tuples.length; at += rowsPerFrame) {
    const some = tuples.slice(at, at + rowsPerFrame)
    chunks.push([Buffer.concat(some), some.length])
  }
  return (await writePGPack({ columns: await columnsOf(table), compression }, chunks)).file
}

/** A file put together by hand out of frames, with the lengths that belong to them unless others are given. */
async function assemble(
  table: string,
  frames: readonly Buffer[],
  lengths?: 'stream' | { stored: bigint; raw: bigint },
) {
  const packed = await Promise.all(frames.map((frame) => compress(frame, { method: 'Zstd' })))
  const body = Buffer.concat(packed)
  const own = { stored: BigInt(body.length), raw: BigInt(Buffer.concat(frames).length) }
  const metadata = encodeMetadata(await columnsOf(table), 'released')
  if (lengths !== 'stream') return Buffer.concat([encodeHeader(metadata, 'Zstd', lengths ?? own), body])
  const tail = encodeHeader(Buffer.alloc(0), 'Zstd', own).subarray(-16)
  return Buffer.concat([encodeHeader(metadata, 'Zstd', undefined), body, tail])
}

/** Lets the reference load files into fresh copies of a table; [name of the copy or the error] for each. */
async function loadByReference(table: string, files: readonly Buffer[]): Promise<string[]> {
  const steps = await Promise.all(
    files.map(async (file, index) => {
      await fixture.database.query(`create table copy_${index} (like ${table} including generated)`)
      await writeFile(path(`file-${index}`), file)
      const server = referenceServer(fixture.database)
      return { do: 'write_dump' as const, server, path: path(`file-${index}`), table: `copy_${index}` }
    }),
  )
  const results = await runReference(steps)
  return results.map((result, index) => ('error' in result ? result.error : `copy_${index}`))
}

describe('dumps by the reference', () => {
  it(
    'of every type and method are read byte for byte, with the same metadata as ours',
    async () => {
      const server = referenceServer(fixture.database)
      const dumps = TABLES.flatMap((table) =>
        METHODS.map((method) => ({ table, method, path: path(`${table}-${method}`) })),
      )
      const steps = dumps.map((dump) => ({
        do: 'read_dump' as const,
        server,
        ...dump,
        method: REFERENCE_METHODS[dump.method],
      }))
      for (const result of await runReference(steps)) resultOf(result)
      for (const { table, method, path } of dumps) {
        const reader = await PGPackReader.open(bufferSource(await readFile(path)))
        expect({ table, columns: reader.columns, method: reader.method }).toEqual({
          table,
          columns: await columnsOf(table),
          method,
        })
        expect((await join(reader.body())).equals(await binary(table))).toBe(true)
      }
    },
    TIMEOUT,
  )

  it(
    'come back the same through our reader',
    async () => {
      const server = referenceServer(fixture.database)
      const file = path('through')
      resultOf((await runReference([{ do: 'read_dump', server, table: 'all_types', path: file, method: 'LZ4' }]))[0])
      const raw = await join((await PGPackReader.open(bufferSource(await readFile(file)))).body())
      await fixture.database.query('create table back (like all_types)')
      await copyIn(fixture.database, 'COPY back FROM STDIN (FORMAT binary)', raw)
      expect(await csv('back')).toBe(await csv('all_types'))
    },
    TIMEOUT,
  )
})

describe('our files', () => {
  it(
    'of every type and method are loaded by the reference, and the tables are the same as text',
    async () => {
      const cases = [
        ...METHODS.map((method) => ({ table: 'all_types', method, rows: 1 })),
        ...METHODS.map((method) => ({ table: 'many_rows', method, rows: 7000 })),
        { table: 'many_rows', method: 'LZ4', rows: 40_000 },
        { table: 'many_rows', method: 'Zstd', level: 19, rows: 40_000 },
        { table: 'odd', method: 'Zstd', rows: 1 },
      ] as const
      for (const table of TABLES) {
        const some = cases.filter((one) => one.table === table)
        const files = await Promise.all(
          some.map(({ table, rows, ...compression }) => ourFile(table, compression, rows)),
        )
        const copies = await loadByReference(table, files)
        expect(copies).toEqual(some.map((_, index) => `copy_${index}`))
        for (const copy of copies) {
          expect(await csv(copy)).toBe(await csv(table))
          await fixture.database.query(`drop table ${copy}`)
        }
      }
    },
    TIMEOUT,
  )
})

describe('what the reference cannot load, and we can', () => {
  const refused = async (files: readonly Buffer[], message: RegExp) => {
    const raw = await binary('all_types')
    for (const file of files)
      expect((await join((await PGPackReader.open(bufferSource(file))).body())).equals(raw)).toBe(true)
    const results = await loadByReference('all_types', files)
    for (const [index, result] of results.entries()) {
      expect(result).toMatch(message)
      expect(await csv(`copy_${index}`)).toBe('')
    }
  }

  it(
    'is a first frame that ends at byte 19, 20 or 21',
    async () => {
      const raw = await binary('all_types')
      const split = (at: number) => assemble('all_types', [raw.subarray(0, at), raw.subarray(at)])
      await refused([await split(19), await split(20), await split(21)], /ZSTD decompression error/)
    },
    TIMEOUT,
  )

  it(
    'is the stream layout',
    async () => {
      await refused([await assemble('all_types', [await binary('all_types')], 'stream')], /ZSTD decompression error/)
    },
    TIMEOUT,
  )

  it(
    'is the spelling of the development head',
    async () => {
      const tuples = Buffer.concat([...tuplesOf(await binary('all_types'))])
      const options = { columns: await columnsOf('all_types'), spelling: 'development' } as const
      await refused([(await writePGPack(options, [[tuples, 4]])).file], /not enough values to unpack/)
    },
    TIMEOUT,
  )

  it(
    'is a type that its list does not have',
    async () => {
      await fixture.database.query(
        `create type mood as enum ('sad', 'happy'); create table moods (m mood); insert into moods values ('happy')`,
      )
      const file = await ourFile('moods', { method: 'Zstd' }, 1)
      expect(await loadByReference('moods', [file])).toEqual([expect.stringMatching(/is not a valid PGOid/)])
      expect((await join((await PGPackReader.open(bufferSource(file))).body())).equals(await binary('moods'))).toBe(
        true,
      )
    },
    TIMEOUT,
  )
})

describe('what the reference loads in part without a word, and we refuse before a row', () => {
  it(
    'is a body that was cut between two frames, or ends without a trailer',
    async () => {
      const whole = await ourFile('many_rows', { method: 'None' }, 1000)
      const tuples = [...tuplesOf(await binary('many_rows'))]
      const header = (await binary('many_rows')).subarray(0, 19)
      const half = Buffer.concat([header, ...tuples.slice(0, 20_000)])
      const full = await assemble('many_rows', [half, Buffer.concat([...tuples.slice(20_000), Buffer.of(255, 255)])])
      const first = await compress(half, { method: 'Zstd' })
      const head =
        full.length -
        (await compress(Buffer.concat([...tuples.slice(20_000), Buffer.of(255, 255)]), { method: 'Zstd' })).length
      const cut = [
        full.subarray(0, head),
        whole.subarray(0, whole.length - Buffer.concat([...tuples.slice(20_000)]).length - 2),
        await assemble('many_rows', [half], { stored: BigInt(first.length), raw: 1n }),
      ]
      expect(await loadByReference('many_rows', cut)).toEqual(['copy_0', 'copy_1', 'copy_2'])
      for (const copy of ['copy_0', 'copy_1', 'copy_2']) {
        expect(await fixture.database.query(`select count(*)::int as rows from ${copy}`)).toEqual([{ rows: 20_000 }])
      }
      const read = async (file: Buffer) => join((await PGPackReader.open(bufferSource(file))).body())
      const [byFrame, byRow, byTrailer] = await Promise.all(cut.map((file) => faultOf(read(file))))
      expect([byFrame?.code, byRow?.code, byTrailer?.code]).toEqual([
        'PGPACK_TRUNCATED',
        'PGPACK_TRUNCATED',
        'PGPACK_LENGTH_MISMATCH',
      ])
    },
    TIMEOUT,
  )
})

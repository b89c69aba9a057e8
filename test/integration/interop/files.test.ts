import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { WritableMethod } from '../../../src/compression/method.ts'
import type { PGPackColumn } from '../../../src/pgpack/columns.ts'
import { metadataJSON } from '../../../src/pgpack/metadata.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import { verify } from '../../../src/pgpack/verify.ts'
import { PGPackWriter } from '../../../src/pgpack/writer.ts'
import { sha256 } from '../../support/bytes.ts'
import { join } from '../../support/chunks.ts'
import { COLUMNS, MemorySink, pgcopy, rows, tuple } from '../../support/pgpack.ts'
import {
  REFERENCE_METHODS,
  type ReferenceDescription,
  type ReferenceResult,
  resultOf,
  runReference,
} from '../../support/reference.ts'

const METHODS = ['None', 'LZ4', 'Zstd'] as const
/** Larger than a block of LZ4 (64 KiB, linked) and of zstd (128 KiB). */
const raw = pgcopy(rows(20_000))
const NAMES = ['id', 'naïve Ж 😀', '"quoted"', 'back\\slash', 'tab\tand\nline', '\u0001', "'/%{}"]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(joinPath(tmpdir(), 'pgpack-interop-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const path = (name: string) => joinPath(folder, name)

async function write(
  name: string,
  method: WritableMethod,
  columns: readonly PGPackColumn[],
  chunks: readonly Buffer[],
) {
  const sink = new MemorySink()
  const writer = new PGPackWriter(sink, { columns, compression: { method } })
  for (const chunk of chunks) await writer.writeRows(chunk, 1)
  await writer.finish()
  await writeFile(path(name), sink.file ?? Buffer.alloc(0))
}

describe('files of the reference', () => {
  beforeAll(async () => {
    await writeFile(path('raw'), raw)
    const metadata = metadataJSON(COLUMNS, 'released')
    const steps = METHODS.flatMap((method) =>
      [raw.length, 50_000].map((chunk) => ({
        do: 'write_bytes' as const,
        body: path('raw'),
        path: path(`theirs-${method}-${chunk}`),
        method: REFERENCE_METHODS[method],
        metadata,
        chunk,
      })),
    )
    for (const result of await runReference(steps)) resultOf(result)
  }, 300_000)

  it.each(METHODS.flatMap((method) => [raw.length, 50_000].map((chunk) => [method, chunk] as const)))(
    'of %s, written in pieces of %d bytes, are read byte for byte',
    async (method, chunk) => {
      const file = await readFile(path(`theirs-${method}-${chunk}`))
      const reader = await PGPackReader.open(bufferSource(file))
      expect(reader).toMatchObject({ columns: COLUMNS, method, layout: 'header', spelling: 'released' })
      expect((await join(reader.body())).equals(raw)).toBe(true)
      expect(reader.rows).toBe(20_000)
      expect(await verify(bufferSource(file))).toMatchObject({ fault: undefined, frames: method === 'None' ? 0 : 1 })
    },
  )
})

describe('our files', () => {
  const columns = NAMES.map((name, index) => ({ name, oid: index === 0 ? 23 : 25, length: -1, scale: 0, nested: 0 }))
  const wide = Array.from({ length: 3000 }, (_, index) => tuple(index, ...NAMES.slice(1)))
  let results: ReadonlyMap<string, ReferenceResult>

  beforeAll(async () => {
    for (const method of METHODS) {
      await write(`many-${method}`, method, columns, wide)
      await write(`empty-${method}`, method, columns, [])
    }
    const steps = METHODS.flatMap((method) => [
      { do: 'describe' as const, path: path(`many-${method}`) },
      { do: 'to_bytes' as const, path: path(`many-${method}`) },
      { do: 'to_rows' as const, path: path(`many-${method}`) },
      { do: 'to_bytes' as const, path: path(`empty-${method}`) },
      { do: 'to_rows' as const, path: path(`empty-${method}`) },
    ])
    const found = await runReference(steps)
    results = new Map(steps.map((step, index) => [`${step.do} ${step.path}`, found[index] as ReferenceResult]))
  }, 300_000)

  it.each(METHODS)('of %s are described by the reference as we meant them', async (method) => {
    const file = await readFile(path(`many-${method}`))
    const body = pgcopy(...wide)
    const description = resultOf(results.get(`describe ${path(`many-${method}`)}`)) as ReferenceDescription
    expect(description).toEqual({
      columns: columns.map(({ name, oid, length, scale, nested }) => [name, oid, length, scale, nested]),
      method: REFERENCE_METHODS[method],
      stored: file.length - PGPackWriter.headLength({ columns }),
      raw: body.length,
    })
    expect(resultOf(results.get(`to_bytes ${path(`many-${method}`)}`))).toBe(sha256(body))
  })

  it.each(METHODS)('of %s, a frame for each row, are read by the reference row by row', (method) => {
    const found = resultOf(results.get(`to_rows ${path(`many-${method}`)}`)) as string[][]
    expect(found).toHaveLength(wide.length)
    expect(found[2999]).toEqual(['2999', ...NAMES.slice(1)])
  })

  it.each(METHODS)('of %s without rows are beyond the reference, as its own are', (method) => {
    expect(results.get(`to_rows ${path(`empty-${method}`)}`)).toEqual({ error: 'IndexError: list index out of range' })
  })
})

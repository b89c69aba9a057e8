import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { compress } from '../../../src/compression/compress.ts'
import { WRITABLE_METHODS, type WritableMethod } from '../../../src/compression/method.ts'
import { dumpFile } from '../../../src/engine/dump.ts'
import { restoreFile } from '../../../src/engine/restore.ts'
import type { PgpackError } from '../../../src/errors.ts'
import { LAYOUTS, type Layout } from '../../../src/pgpack/columns.ts'
import { PGCOPY_HEADER_BYTES, PGCOPY_TRAILER } from '../../../src/pgpack/pgcopy.ts'
import { PGPackReader } from '../../../src/pgpack/reader.ts'
import { bufferSource } from '../../../src/pgpack/source.ts'
import type { RestoreMode } from '../../../src/run/config.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { assemble } from '../../fuzz/corpus.ts'
import { collect } from '../../support/bytes.ts'
import { failureOf, fingerprint, type TestContext, testContext, useFolder } from '../../support/engine.ts'
import { tuplesOf } from '../../support/pgpack.ts'
import { usePostgres } from '../../support/postgres.ts'
import { describeSince, itSince } from '../../support/since.ts'

jest.setTimeout(60_000)

const ROWS = 3000
const FILE = 'orders.pgpack'
const ORDERS = 'id int, amount bigint, note text'
const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: `
    CREATE TABLE orders (${ORDERS});
    INSERT INTO orders SELECT i, i * 1000, 'note number ' || i FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE target (${ORDERS}); INSERT INTO target VALUES (-1, -1, 'was here before')`,
})
const folder = useFolder()
let store: FilesystemStore
beforeEach(() => {
  store = new FilesystemStore(folder.path)
})

const sql = (text: string) => postgres.database.query(text)

/** What a file of the table is made of, for putting it together in another way. */
interface Pieces {
  readonly metadata: Buffer
  readonly columns: readonly { readonly name: string; readonly oid: number }[]
  readonly raw: Buffer
  readonly tuples: readonly Buffer[]
}

async function dumpTable(name = 'orders', method: WritableMethod = 'None'): Promise<Buffer> {
  const object = { table: { schema: 'public', name } }
  const request = { source: postgres.database.config, object, connections: 1, store, key: FILE }
  await dumpFile({ ...request, compression: { method } }, testContext())
  return readFile(join(folder.path, FILE))
}

async function piecesOf(name = 'orders'): Promise<Pieces> {
  const reader = await PGPackReader.open(bufferSource(await dumpTable(name)))
  const raw = await collect(reader.body())
  const metadata = reader.head.subarray(16, -17)
  return { metadata, columns: reader.columns, raw, tuples: [...tuplesOf(raw)] }
}

/** A file of frames that each hold some of a raw body; its lengths fit unless others are given. */
async function fileOf(
  method: WritableMethod,
  parts: readonly Buffer[],
  options: { readonly metadata: Buffer; readonly layout?: Layout; readonly rawLength?: number },
): Promise<Buffer> {
  const frames = await Promise.all(parts.map((part) => compress(Buffer.from(part), { method })))
  const rawLength = options.rawLength ?? Buffer.concat(parts).length
  return assemble({ metadata: options.metadata, method, layout: options.layout ?? 'header', frames, rawLength })
}

function restoreBytes(bytes: Buffer, mode: RestoreMode = 'Append', context: TestContext = testContext()) {
  return writeFile(join(folder.path, FILE), bytes).then(() =>
    restoreFile(
      { store, key: FILE, target: postgres.database.config, mode, table: { schema: 'public', name: 'target' } },
      context,
    ),
  )
}

/** The error of a restore that changes nothing, in either mode, though the table is used before and after. */
async function refusal(bytes: Buffer): Promise<PgpackError> {
  const state = () =>
    Promise.all([
      fingerprint(postgres.database, 'target'),
      sql(`SELECT relfilenode FROM pg_class WHERE relname = 'target'`),
    ])
  const before = await state()
  const errors: PgpackError[] = []
  for (const mode of ['Append', 'Truncate', 'Replace'] as const) errors.push(await failureOf(restoreBytes(bytes, mode)))
  expect(await state()).toEqual(before)
  const [error, other] = errors
  if (error === undefined) throw new Error('no mode')
  expect(other?.code).toBe(error.code)
  expect(error.retryable).toBe(false)
  return error
}

describe.each(WRITABLE_METHODS)('a %s body', (method) => {
  describe.each(LAYOUTS)('in the %s layout', (layout) => {
    it('that is whole is loaded, so that what follows is for the damage', async () => {
      const { metadata, raw } = await piecesOf()
      const whole = await fileOf(method, [raw.subarray(0, 30_000), raw.subarray(30_000)], { metadata, layout })
      expect((await restoreBytes(whole, 'Truncate')).totals).toMatchObject({ rows: String(ROWS) })
      expect(await fingerprint(postgres.database, 'target')).toEqual(await fingerprint(postgres.database, 'orders'))
    })

    it('that ends at a row boundary, in whole frames and with lengths that fit, changes nothing', async () => {
      const { metadata, raw, tuples } = await piecesOf()
      const half = raw.subarray(0, PGCOPY_HEADER_BYTES + Buffer.concat(tuples.slice(0, ROWS / 2)).length)
      const file = await fileOf(method, [half], { metadata, layout })
      expect(await refusal(file)).toMatchObject({ code: 'PGPACK_TRUNCATED', reason: 'ArtifactCorrupt' })
    })

    it('without its trailer, or with half of it, changes nothing', async () => {
      const { metadata, raw } = await piecesOf()
      for (const cut of [1, 2]) {
        const file = await fileOf(method, [raw.subarray(0, -cut)], { metadata, layout })
        expect(await refusal(file)).toMatchObject({ code: 'PGPACK_TRUNCATED' })
      }
    })

    it('that goes on behind its trailer changes nothing', async () => {
      const { metadata, raw, tuples } = await piecesOf()
      for (const more of [PGCOPY_TRAILER, Buffer.concat([tuples[0] ?? PGCOPY_TRAILER, PGCOPY_TRAILER])]) {
        const file = await fileOf(method, [raw, more], { metadata, layout })
        expect(await refusal(file)).toMatchObject({ code: 'PGPACK_TRAILING_DATA' })
      }
    })

    it('that is longer or shorter than its raw length says changes nothing', async () => {
      const { metadata, raw } = await piecesOf()
      for (const off of [-raw.length, -1, 1, raw.length]) {
        const file = await fileOf(method, [raw], { metadata, layout, rawLength: raw.length + off })
        expect(await refusal(file)).toMatchObject({ code: 'PGPACK_LENGTH_MISMATCH' })
      }
    })

    it('that is longer or shorter than its stored length says changes nothing', async () => {
      const { metadata, raw } = await piecesOf()
      const file = await fileOf(method, [raw], { metadata, layout })
      const at = layout === 'header' ? 16 + metadata.length + 1 : file.length - 16
      const stored = file.readBigUInt64BE(at)
      for (const wrong of [0n, stored - 1n, stored + 1n, 2n ** 64n - 1n]) {
        file.writeBigUInt64BE(wrong, at)
        const { code } = await refusal(file)
        expect(code).toMatch(/^PGPACK_(TRUNCATED|TRAILING_DATA|LENGTH_MISMATCH)$/)
      }
    })
  })

  it('that lost its last frames on the way changes nothing, wherever the rows end', async () => {
    const { metadata, raw, tuples } = await piecesOf()
    const border = PGCOPY_HEADER_BYTES + Buffer.concat(tuples.slice(0, 1000)).length
    const parts = [raw.subarray(0, border), raw.subarray(border, 40_000), raw.subarray(40_000)]
    const whole = await fileOf(method, parts, { metadata })
    const frames = await Promise.all(parts.map((part) => compress(Buffer.from(part), { method })))
    const [last = 0, second = 0] = frames.map((frame) => frame.length).reverse()
    for (const end of [whole.length - last, whole.length - last - second]) {
      expect(await refusal(whole.subarray(0, end))).toMatchObject({ code: 'PGPACK_TRUNCATED' })
    }
  })

  it('with a flipped bit in its structure changes nothing', async () => {
    const { metadata, raw } = await piecesOf()
    const file = await fileOf(method, [raw], { metadata })
    const bodyOffset = file.length - (await compress(Buffer.from(raw), { method })).length
    // The field count of the first row; in a compressed body the frame's magic number.
    const at = bodyOffset + (method === 'None' ? PGCOPY_HEADER_BYTES : 0)
    file.writeUInt8(file.readUInt8(at) ^ 0x10, at)
    const { code } = await refusal(file)
    expect(code).toBe(method === 'None' ? 'PGPACK_ROW_MALFORMED' : 'PGPACK_FRAME_CORRUPT')
  })
})

describe('a head', () => {
  it.each([
    [8, 'PGPACK_METADATA_CRC'],
    [14, 'PGPACK_METADATA_CRC'],
    [20, 'PGPACK_METADATA_CRC'],
    [0, 'PGPACK_SIGNATURE'],
  ])('with a flipped bit at byte %d changes nothing', async (at, code) => {
    const file = await dumpTable()
    file.writeUInt8(file.readUInt8(at) ^ 0x01, at)
    expect((await refusal(file)).code).toMatch(at === 14 ? /^PGPACK_/ : code)
  })
})

describe('types of the same width, which only the metadata tell apart, are refused before a row moves', () => {
  it.each([
    ['bigint', 'double precision'],
    ['bigint', 'timestamp'],
    ['bigint', 'timestamptz'],
    ['bigint', 'money'],
    ['integer', 'date'],
    ['integer', 'real'],
    ['integer', 'oid'],
    ['double precision', 'timestamp'],
    ['timestamp', 'timestamptz'],
    ['text', 'bytea'],
    ['text', 'json'],
    ['json', 'jsonb'],
    ['text', 'integer'],
    ['uuid', 'interval'],
    ['bigint[]', 'timestamp[]'],
  ])('%s into %s', async (from, to) => {
    await sql(`CREATE TABLE source (value ${from}); INSERT INTO source VALUES (NULL);
      DROP TABLE target; CREATE TABLE target (value ${to}); INSERT INTO target VALUES (NULL)`)
    const file = await dumpTable('source')
    const context = testContext()
    const error = await refusal(file)
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH', reason: 'ColumnMismatch' })
    expect(error.message).toContain('column "value" is of type OID')
    expect(await failureOf(restoreBytes(file, 'Append', context))).toMatchObject({ code: 'TARGET_MISMATCH' })
    expect(context.reports).toEqual([])
  })
})

describe('columns', () => {
  it('in another order than the table has them go by their names', async () => {
    await sql('CREATE TABLE source (b text, a text); INSERT INTO source VALUES ($$b$$, $$a$$)')
    await sql('DROP TABLE target; CREATE TABLE target (a text, b text)')
    expect((await restoreBytes(await dumpTable('source'))).totals).toMatchObject({ rows: '1' })
    expect(await sql('SELECT * FROM target')).toEqual([{ a: 'a', b: 'b' }])
  })

  it('of which the rows hold fewer than the table does not generate change nothing', async () => {
    const { metadata, tuples } = await piecesOf()
    const short = tuples.map((tuple) => {
      const first = Buffer.from(tuple.subarray(0, 2 + 8))
      first.writeInt16BE(1)
      return first
    })
    const raw = Buffer.concat([...[(await piecesOf()).raw.subarray(0, PGCOPY_HEADER_BYTES)], ...short, PGCOPY_TRAILER])
    const error = await refusal(await fileOf('Zstd', [raw], { metadata }))
    expect(error).toMatchObject({
      code: 'TARGET_MISMATCH',
      details: { expected: '3 fields', found: '1 fields' },
    })
    expect(error.message).toContain('its rows hold 1 fields for 3 columns')
  })

  itSince(12)('that the target generates are left out when the rows do not hold them', async () => {
    const { metadata, raw } = await piecesOf()
    await sql(`DROP TABLE target; CREATE TABLE target (id int, note text GENERATED ALWAYS AS ('order ' || id) STORED,
      amount bigint GENERATED ALWAYS AS (id * 2) STORED)`)
    const ids = [7, 8, 9].map((id) => Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 0, id]))
    const body = Buffer.concat([raw.subarray(0, PGCOPY_HEADER_BYTES), ...ids, PGCOPY_TRAILER])
    expect((await restoreBytes(await fileOf('LZ4', [body], { metadata }))).totals).toMatchObject({ rows: '3' })
    expect(await sql('SELECT id, note, amount::int FROM target WHERE id = 8')).toEqual([
      { id: 8, note: 'order 8', amount: 16 },
    ])
    // The same columns with values in the rows are another matter.
    expect(await refusal(await fileOf('LZ4', [raw], { metadata }))).toMatchObject({ code: 'TARGET_MISMATCH' })
  })

  itSince(12)('of a file without rows, in which nothing can be wrong, are loaded', async () => {
    const { metadata, raw } = await piecesOf()
    await sql(
      'DROP TABLE target; CREATE TABLE target (id int, note text, amount bigint GENERATED ALWAYS AS (id) STORED)',
    )
    const body = Buffer.concat([raw.subarray(0, PGCOPY_HEADER_BYTES), PGCOPY_TRAILER])
    expect((await restoreBytes(await fileOf('None', [body], { metadata }))).totals).toMatchObject({ rows: '0' })
  })
})

// Before that the server knows what they are, and takes them.
describeSince(12)('rows with OIDs', () => {
  it('are refused by a name, before the server says what it makes of them', async () => {
    const { metadata, raw, tuples } = await piecesOf()
    const header = Buffer.from(raw.subarray(0, PGCOPY_HEADER_BYTES))
    header.writeUInt32BE(1 << 16, 11)
    const oid = Buffer.from([0, 0, 0, 4, 0, 0, 64, 1])
    const rows = tuples.map((tuple) => Buffer.concat([tuple.subarray(0, 2), oid, tuple.subarray(2)]))
    const file = await fileOf('Zstd', [Buffer.concat([header, ...rows, PGCOPY_TRAILER])], { metadata })
    const context = testContext()
    const error = await refusal(file)
    expect(error).toMatchObject({ code: 'TARGET_MISMATCH' })
    expect(error.message).toMatch(/OID for each row .* PostgreSQL 12/)
    await failureOf(restoreBytes(file, 'Append', context))
    expect(context.reports).toEqual([])
  })
})

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { connect, type PostgresConnection } from '../../../src/postgres/connection.ts'
import { copyFrom, copyTableTo } from '../../../src/postgres/copy.ts'
import { copyIn } from '../../../src/postgres/copy-in.ts'
import { copyOut } from '../../../src/postgres/copy-out.ts'
import type { CopyIn } from '../../../src/postgres/types.ts'
import { waitFor } from '../../cluster/processes.ts'
import { pseudoRandomBytes } from '../../support/bytes.ts'
import { usePostgres } from '../../support/postgres.ts'

const TEXT = 'COPY t (id) FROM STDIN'

function lines(from: number, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, index) => `${from + index}\n`).join(''))
}

/** Writes until the server has had enough; rejects with its reason. */
async function writeForever(copy: CopyIn): Promise<never> {
  for (let from = 1; ; from += 100_000) await copy.write(lines(from, 100_000))
}

describe('copyIn', () => {
  const postgres = usePostgres({
    setup: `create table t (id int primary key check (id <> 250000));
      create table slow (id int);
      create function sleep() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return new; end $$;
      create trigger sleep before insert on slow for each row execute procedure sleep()`,
  })
  let connection: PostgresConnection

  beforeEach(async () => {
    connection = await connect(postgres.database.config)
  })
  afterEach(() => connection.close())

  const count = async (table = 't') => {
    const [row] = await connection.query<{ rows: string }>(`select count(*) as rows from ${table}`)
    return row?.rows
  }

  it('gives format and column formats, and the row count at the end', async () => {
    const copy = await copyIn(connection, TEXT)
    expect([copy.format, copy.columnFormats]).toEqual([0, [0]])
    await copy.write(lines(1, 2))
    await copy.write(lines(3, 1))
    expect(await copy.end()).toBe(3n)
    expect(await count()).toBe('3')
  })

  it('gives back memory of which nothing is left to send', async () => {
    const copy = await copyIn(connection, TEXT)
    let released = 0
    await copy.write(Buffer.alloc(0), () => {
      released += 1
    })
    expect(released).toBe(1)
    expect(await copy.end()).toBe(0n)
  })

  it.each([1, 65_535, 65_536, 65_537, 2_097_152, 2_162_689])('sends a write of %i bytes whole', async (bytes) => {
    await connection.query('create table sent (body text)')
    const body = pseudoRandomBytes(bytes)
      .toString('hex')
      .slice(0, bytes - 1)
    const copy = await copyIn(connection, 'COPY sent FROM STDIN')
    await copy.write(Buffer.from(`${body}\n`))
    expect(await copy.end()).toBe(1n)
    expect(await connection.query('select body from sent')).toEqual([{ body }])
  })

  it('takes what copyOut gives, byte for byte', async () => {
    await connection.query(`create table source as
      select n, repeat(n::text, n % 50) as t, case when n % 3 = 0 then null else n / 7.0 end as x
      from generate_series(1, 100000) n`)
    await connection.query('create table target (like source)')
    const source = await connect(postgres.database.config)
    const columns = ['n', 't', 'x']
    const into = await copyIn(connection, copyFrom({ schema: 'public', name: 'target' }, columns))
    expect(into.columnFormats).toEqual([1, 1, 1])
    const relation = { schema: 'public', name: 'source', kind: 'r' }
    for await (const { data } of await copyOut(source, copyTableTo(relation, columns))) await into.write(data)
    expect(await into.end()).toBe(100_000n)
    await source.close()
    expect(
      await connection.query('(table source except table target) union all (table target except table source)'),
    ).toEqual([])
  })

  it('takes pieces that end anywhere, empty ones too', async () => {
    const copy = await copyIn(connection, TEXT)
    for (const piece of ['1', '2\n', '', '3\n4', '\n']) await copy.write(Buffer.from(piece))
    expect(await copy.end()).toBe(3n)
    expect(await connection.query('table t')).toEqual([{ id: 12 }, { id: 3 }, { id: 4 }])
  })

  it('takes one piece that is larger than a message', async () => {
    const copy = await copyIn(connection, 'COPY blob FROM STDIN'.replace('blob', 'pg_temp.b')).catch(() => undefined)
    expect(copy).toBeUndefined()
    await connection.query('create temp table b (t text)')
    const large = await copyIn(connection, 'COPY b FROM STDIN')
    await large.write(Buffer.concat([Buffer.alloc(40 * 1024 * 1024, 'x'), Buffer.from('\n')]))
    expect(await large.end()).toBe(1n)
    expect(await connection.query('select length(t) from b')).toEqual([{ length: 40 * 1024 * 1024 }])
  })

  it('takes nothing at all', async () => {
    expect(await (await copyIn(connection, TEXT)).end()).toBe(0n)
  })

  it('rejects what the server refuses, before any data', async () => {
    await expect(copyIn(connection, 'COPY nowhere FROM STDIN')).rejects.toMatchObject({ code: 'POSTGRES_NO_RELATION' })
    await expect(copyIn(connection, 'COPY t (nope) FROM STDIN')).rejects.toMatchObject({ code: 'POSTGRES_NO_COLUMN' })
    expect(await count()).toBe('0')
  })

  it('rejects a statement that is no COPY FROM', async () => {
    for (const sql of ['select 1', 'COPY t TO STDOUT', 'COPY (select generate_series(1, 1000)) TO STDOUT', '']) {
      await expect(copyIn(connection, sql)).rejects.toMatchObject({ code: 'POSTGRES_STATEMENT' })
      expect(await count()).toBe('0')
    }
  })

  it("rejects a write with the server's own error while data are still flowing, and keeps no row", async () => {
    const copy = await copyIn(connection, TEXT)
    const failing = writeForever(copy)
    await expect(failing).rejects.toMatchObject({
      code: 'POSTGRES_DATA',
      retryable: false,
      details: { status: '23514' },
      message: expect.stringMatching(/t_id_check.*line 250000/s),
    })
    await expect(copy.write(lines(1, 1))).rejects.toMatchObject({ code: 'POSTGRES_DATA' })
    await expect(copy.end()).rejects.toMatchObject({ code: 'POSTGRES_DATA' })
    expect(await count()).toBe('0')
  })

  it('rejects the end with the error that only the end brings', async () => {
    await connection.query('alter table t add unique (id) deferrable initially deferred')
    await connection.query('alter table t drop constraint t_pkey')
    const copy = await copyIn(connection, TEXT)
    await copy.write(Buffer.from('7\n7\n'))
    await expect(copy.end()).rejects.toMatchObject({ code: 'POSTGRES_DATA', details: { status: '23505' } })
  })

  it('shows no values of rows in its errors', async () => {
    const copy = await copyIn(connection, TEXT)
    await copy.write(Buffer.from('1\ntop-secret\n'))
    const error: unknown = await copy.end().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'POSTGRES_DATA', message: expect.stringContaining('line 2, column id') })
    const { message, stack, cause } = error as Error
    expect(`${message}${stack}${String(cause)}`).not.toContain('top-secret')
  })

  it('keeps no row of a COPY that is failed, and the session goes on', async () => {
    const copy = await copyIn(connection, TEXT)
    await copy.write(lines(1, 100_000))
    await copy.fail('the file is damaged')
    expect(await count()).toBe('0')
    await expect(copy.end()).rejects.toMatchObject({ message: expect.stringContaining('the file is damaged') })
    expect(await postgres.server.log()).toContain('COPY from stdin failed: the file is damaged')
  })

  it('lets a COPY be failed that the server has ended already', async () => {
    const copy = await copyIn(connection, TEXT)
    await expect(writeForever(copy)).rejects.toMatchObject({ code: 'POSTGRES_DATA' })
    await copy.fail('too late')
    expect(await count()).toBe('0')
  })

  it('fails the COPY when the signal fires, and the session goes on', async () => {
    const controller = new AbortController()
    const copy = await copyIn(connection, TEXT, { signal: controller.signal })
    await copy.write(lines(1, 1000))
    controller.abort()
    await expect(copy.end()).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await count()).toBe('0')
  })

  it('ends a writer that waits for a busy server, when the signal fires', async () => {
    const controller = new AbortController()
    const copy = await copyIn(connection, 'COPY slow FROM STDIN', { signal: controller.signal })
    const writing = writeForever(copy)
    await waitFor('the trigger sleeps', 10_000, async () => {
      const [row] = await postgres.server.query("select 1 from pg_stat_activity where wait_event = 'PgSleep'")
      return row
    })
    controller.abort()
    await expect(writing).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await count('slow')).toBe('0')
  })

  it('queues little while the server is slow', async () => {
    const copy = await copyIn(connection, 'COPY slow FROM STDIN')
    const writing = writeForever(copy)
    const { socket } = connection.wire
    await waitFor('the writer waits', 10_000, async () => {
      const before = socket.bytesWritten + socket.writableLength
      await new Promise((resolve) => setTimeout(resolve, 200))
      return socket.bytesWritten + socket.writableLength === before || undefined
    })
    expect(socket.writableLength).toBeLessThan(4 * 1024 * 1024)
    const refused = expect(writing).rejects.toMatchObject({ code: 'CANCELLED' })
    await connection.close()
    await refused
  })

  it('rejects a write when the backend is terminated, as worth retrying', async () => {
    const copy = await copyIn(connection, 'COPY slow FROM STDIN')
    const lost = { code: 'POSTGRES_CONNECTION_LOST', retryable: true }
    const refused = expect(writeForever(copy)).rejects.toMatchObject(lost)
    await postgres.server.query(`select pg_terminate_backend(${connection.processId})`)
    await refused
  })
})

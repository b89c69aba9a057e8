import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { connect, type PostgresConnection } from '../../../src/postgres/connection.ts'
import { copyOut, tuplesOnly } from '../../../src/postgres/copy-out.ts'
import type { CopyChunk } from '../../../src/postgres/types.ts'
import { waitFor } from '../../cluster/processes.ts'
import { usePostgres } from '../../support/postgres.ts'

const MEBIBYTE = 1024 * 1024

async function collect(copy: AsyncIterable<CopyChunk>): Promise<{ data: Buffer; rows: number; sizes: number[] }> {
  const chunks: CopyChunk[] = []
  for await (const chunk of copy) chunks.push(chunk)
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0)
  const sizes = chunks.map((chunk) => chunk.data.length)
  return { data: Buffer.concat(chunks.map((chunk) => chunk.data)), rows, sizes }
}

const text = (query: string) => `COPY (${query}) TO STDOUT`
const binary = (query: string) => `COPY (${query}) TO STDOUT (FORMAT binary)`

/** Sends rows for as long as anybody lets it. */
const ENDLESS = text("select generate_series(1, 1000000000), repeat('x', 1000)")

describe('copyOut', () => {
  const postgres = usePostgres()
  let connection: PostgresConnection

  beforeEach(async () => {
    connection = await connect(postgres.database.config)
  })
  afterEach(() => connection.close())

  /** Resolves when the connection's backend no longer runs a COPY, or no longer exists. */
  async function backendIsFree(): Promise<void> {
    await waitFor('the backend is free', 10_000, async () => {
      const rows = await postgres.server.query(
        `select 1 from pg_stat_activity where pid = ${connection.processId} and state = 'active'`,
      )
      return rows.length === 0 ? true : undefined
    })
  }

  async function backendSleeps(): Promise<void> {
    await waitFor('the backend sleeps', 10_000, async () => {
      const [row] = await postgres.server.query("select 1 from pg_stat_activity where wait_event = 'PgSleep'")
      return row
    })
  }

  async function sessionIsUsable(): Promise<void> {
    expect(await connection.query('select 42 as answer')).toEqual([{ answer: 42 }])
  }

  it('gives format and column formats before the first chunk, and the count after the last', async () => {
    const copy = await copyOut(connection, binary('select 1, 2'))
    expect([copy.format, copy.columnFormats, copy.rowCount]).toEqual([1, [1, 1], undefined])
    expect((await collect(copy)).rows).toBe(1)
    expect(copy.rowCount).toBe(1n)
  })

  it('gives every row once, in chunks of about the asked size', async () => {
    const copy = await copyOut(connection, text('select generate_series(1, 300000)'), { chunkSize: 65_536 })
    const { data, rows, sizes } = await collect(copy)
    const expected = Array.from({ length: 300_000 }, (_, index) => `${index + 1}\n`).join('')
    expect(data.toString() === expected).toBe(true)
    expect([rows, copy.rowCount, copy.format]).toEqual([300_000, 300_000n, 0])
    expect(Math.max(...sizes)).toBeLessThan(2 * 65_536)
    expect(sizes.length).toBeGreaterThan(10)
  })

  it('ends each chunk on a row', async () => {
    const copy = await copyOut(connection, text('select generate_series(1, 300000)'), { chunkSize: 4096 })
    const ends = new Set<string>()
    for await (const { data, rows } of copy) {
      ends.add(data.subarray(-1).toString())
      expect(data.toString().split('\n').length - 1).toBe(rows)
    }
    expect([...ends]).toEqual(['\n'])
  })

  it('counts rows, not header and trailer, in a binary COPY', async () => {
    const copy = await copyOut(connection, binary('select -1::int2 from generate_series(1, 100000)'))
    const { rows, data } = await collect(copy)
    expect([rows, copy.rowCount]).toEqual([100_000, 100_000n])
    expect(data.length).toBe(19 + 100_000 * 8 + 2)
  })

  it('gives header and trailer alone where there are no rows', async () => {
    const copy = await copyOut(connection, binary('select 1 where false'))
    const { data, rows } = await collect(copy)
    expect([data.length, rows, copy.rowCount]).toEqual([21, 0, 0n])
    expect((await collect(tuplesOnly(await copyOut(connection, binary('select 1 where false'))))).sizes).toEqual([])
  })

  it('gives rows without columns', async () => {
    const copy = await copyOut(connection, binary('select from generate_series(1, 3)'))
    expect((await collect(tuplesOnly(copy))).data).toEqual(Buffer.alloc(6))
    expect(copy.columnFormats).toEqual([])
  })

  it('gives nothing for an empty COPY in text', async () => {
    expect((await collect(await copyOut(connection, text('select 1 where false')))).sizes).toEqual([])
    await sessionIsUsable()
  })

  it('lets the rows of several COPYs follow one another', async () => {
    const parts: Buffer[] = []
    for (const range of ['1, 50000', '50001, 100000']) {
      const copy = await copyOut(connection, binary(`select generate_series(${range})`), { chunkSize: 10_000 })
      parts.push((await collect(tuplesOnly(copy))).data)
    }
    const whole = await collect(await copyOut(connection, binary('select generate_series(1, 100000)')))
    expect(Buffer.concat(parts).equals(whole.data.subarray(19, -2))).toBe(true)
  })

  it('gives a row of 50 MiB in a chunk of its own', async () => {
    const copy = await copyOut(
      connection,
      text(`select 'a' union all select repeat('b', ${50 * MEBIBYTE}) union all select 'c'`),
    )
    const { data, sizes } = await collect(copy)
    expect(data.length).toBe(50 * MEBIBYTE + 5)
    expect(sizes.length).toBeGreaterThan(1)
    expect(data.subarray(0, 3).toString() + data.subarray(-4).toString()).toBe('a\nbb\nc\n')
  })

  it('refuses a row above the limit, naming both', async () => {
    const copy = await copyOut(connection, text("select 'a' union all select repeat('b', 3000000)"), {
      maxRowBytes: 2_000_000,
    })
    await expect(collect(copy)).rejects.toMatchObject({
      code: 'ROW_TOO_LARGE',
      message: expect.stringMatching(/3000001 bytes.*2000000/),
    })
    await backendIsFree()
  })

  it('throws an error that comes after good rows, and the session goes on', async () => {
    const copy = await copyOut(connection, text('select 1 / (50000 - i) from generate_series(1, 100000) i'))
    let rows = 0
    const reading = (async () => {
      for await (const chunk of copy) rows += chunk.rows
    })()
    await expect(reading).rejects.toMatchObject({ code: 'POSTGRES_DATA', details: { status: '22012' } })
    expect(rows).toBe(49_999)
    expect(copy.rowCount).toBeUndefined()
    await sessionIsUsable()
  })

  it('rejects what the server refuses, before any data', async () => {
    await expect(copyOut(connection, 'COPY nowhere TO STDOUT')).rejects.toMatchObject({ code: 'POSTGRES_NO_RELATION' })
    await expect(copyOut(connection, 'COPY')).rejects.toMatchObject({ code: 'POSTGRES_STATEMENT' })
    await sessionIsUsable()
  })

  it('rejects a statement that is no COPY TO', async () => {
    await connection.query('create table t (id int)')
    for (const sql of ['select 1', 'COPY t FROM STDIN', 'set search_path = public', '']) {
      await expect(copyOut(connection, sql)).rejects.toMatchObject({ code: expect.stringMatching(/STATEMENT/) })
      await sessionIsUsable()
    }
  })

  it('passes notices on and keeps them out of the data', async () => {
    await connection.query(`create function shout(n int) returns int language plpgsql as
      $$ begin if n % 1000 = 0 then raise notice 'row %', n; end if; return n; end $$`)
    const copy = await copyOut(connection, text('select shout(i) from generate_series(1, 20000) i'), { chunkSize: 100 })
    const { data, rows } = await collect(copy)
    expect(rows).toBe(20_000)
    expect(data.toString().split('\n').slice(998, 1001)).toEqual(['999', '1000', '1001'])
  })

  it('cancels the backend when the loop is left early', async () => {
    for await (const chunk of await copyOut(connection, ENDLESS)) {
      expect(chunk.rows).toBeGreaterThan(0)
      break
    }
    await sessionIsUsable()
  })

  it('cancels the backend when the consumer throws', async () => {
    const reading = (async () => {
      for await (const _ of await copyOut(connection, ENDLESS)) throw new Error('disk full')
    })()
    await expect(reading).rejects.toThrow('disk full')
    await sessionIsUsable()
  })

  it('cancels the backend when the signal fires, and the session goes on', async () => {
    const controller = new AbortController()
    const copy = await copyOut(connection, ENDLESS, { signal: controller.signal })
    const reading = (async () => {
      let chunks = 0
      for await (const _ of copy) if (++chunks === 5) controller.abort()
    })()
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' })
    await sessionIsUsable()
  })

  it('is cancelled when the signal fires, even by a backend that comes to its end all the same', async () => {
    await connection.query(`create function pg_temp.stubborn() returns int language plpgsql as $$
      begin perform pg_sleep(600); return 1; exception when query_canceled then return 2; end $$`)
    const controller = new AbortController()
    const starting = copyOut(connection, text('select pg_temp.stubborn()'), { signal: controller.signal })
    await backendSleeps()
    controller.abort()
    await expect(starting.then(collect)).rejects.toMatchObject({ code: 'CANCELLED' })
    await sessionIsUsable()
  })

  it('cancels a backend that has not sent a row yet', async () => {
    const controller = new AbortController()
    const starting = copyOut(connection, text('select pg_sleep(600)'), { signal: controller.signal })
    await backendSleeps()
    controller.abort()
    await expect(starting.then(collect)).rejects.toMatchObject({ code: 'CANCELLED' })
    await sessionIsUsable()
  })

  it('begins nothing under a signal that has fired', async () => {
    await expect(copyOut(connection, ENDLESS, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    await sessionIsUsable()
  })

  it('leaves no backend behind when closed in the middle', async () => {
    const copy = await copyOut(connection, ENDLESS)
    await connection.close()
    await backendIsFree()
    await expect(collect(copy)).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('tells of a backend that was terminated, as worth retrying', async () => {
    const copy = await copyOut(connection, ENDLESS)
    const reading = (async () => {
      let chunks = 0
      for await (const _ of copy) {
        if (++chunks === 3) await postgres.server.query(`select pg_terminate_backend(${connection.processId})`)
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'POSTGRES_CONNECTION_LOST', retryable: true })
    await expect(connection.query('select 1')).rejects.toMatchObject({ code: 'POSTGRES_CONNECTION_LOST' })
  })

  it('stops reading while the consumer is slow', async () => {
    const copy = await copyOut(connection, ENDLESS, { chunkSize: 65_536 })
    const iterator = copy[Symbol.asyncIterator]()
    await iterator.next()
    const read = await waitFor('reading has stopped', 10_000, async () => {
      const before = connection.wire.socket.bytesRead
      await new Promise((resolve) => setTimeout(resolve, 100))
      return connection.wire.socket.bytesRead === before ? before : undefined
    })
    expect(read).toBeLessThan(5 * (65_536 + 65_536))
    await iterator.return?.()
    await sessionIsUsable()
  })

  it('comes to its end, and the session goes on, while the consumer holds the last row', async () => {
    const copy = await copyOut(connection, "COPY (SELECT repeat('x', 40 << 20)) TO STDOUT")
    const iterator = copy[Symbol.asyncIterator]()
    const { value } = await iterator.next()
    expect((await iterator.next()).done).toBe(true)
    await sessionIsUsable()
    value?.release()
  })

  it('reads no further large row while the consumer holds one', async () => {
    const rows = "COPY (SELECT repeat('x', 40 << 20) FROM generate_series(1, 3)) TO STDOUT"
    const copy = await copyOut(connection, rows)
    const iterator = copy[Symbol.asyncIterator]()
    const held = await iterator.next()
    const asked = iterator.next()
    await waitFor('reading has stopped', 10_000, async () => {
      const before = connection.wire.socket.bytesRead
      await new Promise((resolve) => setTimeout(resolve, 100))
      return connection.wire.socket.bytesRead === before ? true : undefined
    })
    expect(connection.wire.socket.bytesRead).toBeLessThan(60 << 20)
    held.value?.release()
    const second = await asked
    expect(second.value?.data).toHaveLength((40 << 20) + 1)
    second.value?.release()
    expect((await iterator.next()).value?.rows).toBe(1)
    expect((await iterator.next()).done).toBe(true)
  })
})

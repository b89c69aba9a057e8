import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { ApiObject } from '../../../../src/operator/manager/resources.ts'
import { decodeWatch, type WatchEvent } from '../../../../src/operator/manager/watch.ts'

async function* chunksOf(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const end = Math.min(cut, bytes.length)
    if (end > start) yield bytes.subarray(start, end)
    start = Math.max(start, end)
  }
  yield bytes.subarray(start)
}

async function decode(text: string, cuts: readonly number[] = []): Promise<WatchEvent<ApiObject>[]> {
  const events: WatchEvent<ApiObject>[] = []
  for await (const event of decodeWatch<ApiObject>(chunksOf(Buffer.from(text), cuts), 'WATCH /x')) events.push(event)
  return events
}

describe('decodeWatch', () => {
  it('yields objects and bookmarks', async () => {
    const text = [
      { type: 'ADDED', object: { metadata: { name: 'a' } } },
      { type: 'DELETED', object: { metadata: { name: 'b' } } },
      { type: 'BOOKMARK', object: { kind: 'Job', metadata: { resourceVersion: '42' } } },
    ]
      .map((event) => JSON.stringify(event))
      .join('\n')
    expect(await decode(`${text}\n`)).toEqual([
      { type: 'ADDED', object: { metadata: { name: 'a' } } },
      { type: 'DELETED', object: { metadata: { name: 'b' } } },
      { type: 'BOOKMARK', resourceVersion: '42' },
    ])
  })

  it('reads the same events however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 5 }),
        fc.array(fc.nat({ max: 400 }), { maxLength: 20 }),
        async (names, cuts) => {
          const lines = names.map((name) => `${JSON.stringify({ type: 'MODIFIED', object: { metadata: { name } } })}\n`)
          const events = await decode(lines.join(''), cuts)
          expect(events.map((event) => 'object' in event && event.object.metadata?.name)).toEqual(names)
        },
      ),
    )
  })

  it('drops a last line that was cut off, as the next watch begins after the last whole event', async () => {
    expect(await decode('{"type":"ADDED","object":{}}\n{"type":"ADD')).toHaveLength(1)
  })

  it('throws an ERROR event with its status, after the events before it', async () => {
    const error = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version: 1 (5)' }
    const text = `{"type":"ADDED","object":{}}\n${JSON.stringify({ type: 'ERROR', object: error })}\n`
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const event of decodeWatch(chunksOf(Buffer.from(text), []), 'WATCH /x')) seen.push(event.type)
    })()
    await expect(reading).rejects.toMatchObject({ name: 'ApiError', statusCode: 410, reason: 'Expired' })
    expect(seen).toEqual(['ADDED'])
  })

  it.each(['not json', '{"type":"PARTY","object":{}}'])('refuses %s', async (line) => {
    await expect(decode(`${line}\n`)).rejects.toThrow('WATCH /x: expected a watch event, found')
  })

  it('refuses an event without end before it fills the memory', async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      const megabyte = Buffer.alloc(1024 * 1024, 'x')
      for (;;) yield megabyte
    }
    const reading = decodeWatch(endless(), 'WATCH /x').next()
    await expect(reading).rejects.toThrow('a watch event of over')
  })
})

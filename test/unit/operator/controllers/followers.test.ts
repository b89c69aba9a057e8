import { PassThrough } from 'node:stream'
import { afterEach, describe, expect, it } from '@jest/globals'
import { silentLogger } from '../../../../src/log.ts'
import { ProgressFollowers } from '../../../../src/operator/controllers/followers.ts'
import { splitLines } from '../../../../src/operator/controllers/lines.ts'
import { Pacer } from '../../../../src/operator/controllers/pacer.ts'
import { RateMeter } from '../../../../src/operator/controllers/rate.ts'
import { encodeProgress, type Progress } from '../../../../src/run/progress.ts'
import { FakeClock, settle } from '../manager/fakeclock.ts'

const progress = (rows: number, bytes = '2'): Progress => ({
  objects: 1,
  objectsDone: 0,
  rows: String(rows),
  bytes,
  storedBytes: '3',
})
const PAUSE_MS = 100
const POD = { namespace: 'shop', name: 'pod-1' }

function setUp(maxFollowers?: number) {
  const clock = new FakeClock()
  const streams: { pod: string; signal: AbortSignal; log: PassThrough }[] = []
  const moved: string[] = []
  const rates: (number | undefined)[] = []
  const followers: ProgressFollowers = new ProgressFollowers({
    clock,
    log: silentLogger,
    pacer: new Pacer(clock, PAUSE_MS),
    moved: (key) => {
      const now = followers.progressOf(key, POD)
      moved.push(`${key} ${now?.rows}`)
      rates.push(now?.bytesPerSecond)
    },
    logs: async (pod, signal) => {
      const log = new PassThrough()
      streams.push({ pod: pod.name, signal, log })
      return log
    },
    ...(maxFollowers === undefined ? {} : { maxFollowers }),
  })
  started.push(followers)
  const say = async (rows: number, stream = streams.at(-1), bytes?: string) => {
    stream?.log.write(`${encodeProgress(progress(rows, bytes))}\n`)
    await settle()
    await settle()
  }
  return { clock, streams, moved, rates, followers, say }
}

const started: ProgressFollowers[] = []
afterEach(() => {
  for (const followers of started.splice(0)) followers.stopAll()
})

describe('followers of logs', () => {
  it('tell the first progress at once, and later ones at most every five seconds', async () => {
    const { clock, followers, moved, say } = setUp()
    followers.follow('run', POD)
    await settle()
    await say(1)
    expect(moved).toEqual(['run 1'])
    await say(2)
    await say(3)
    expect(moved).toEqual(['run 1'])
    expect(followers.progressOf('run', POD)).toEqual(progress(1))
    await clock.advance(4_999)
    expect(moved).toEqual(['run 1'])
    await clock.advance(1)
    expect(moved).toEqual(['run 1', 'run 3'])
    await clock.advance(60_000)
    expect(moved).toEqual(['run 1', 'run 3'])
    await say(4)
    expect(moved).toEqual(['run 1', 'run 3', 'run 4'])
  })

  it('take turns, however many have something to tell at the same moment, and tell the newest then', async () => {
    const { clock, followers, moved, say, streams } = setUp()
    for (const key of ['a', 'b', 'c']) followers.follow(key, POD)
    await settle()
    for (const stream of streams) await say(1, stream)
    expect(moved).toEqual(['a 1'])
    await say(2, streams[2])
    await clock.advance(PAUSE_MS)
    expect(moved).toEqual(['a 1', 'b 1'])
    await clock.advance(PAUSE_MS)
    expect(moved).toEqual(['a 1', 'b 1', 'c 2'])
    for (const stream of streams) await say(3, stream)
    await clock.advance(5_000)
    expect(moved.slice(3)).toEqual(['a 3', 'b 3', 'c 3'])
  })

  it('leave their turn to others when they are stopped', async () => {
    const { clock, followers, moved, say, streams } = setUp()
    for (const key of ['a', 'b', 'c']) followers.follow(key, POD)
    await settle()
    for (const stream of streams) await say(1, stream)
    followers.stop('b')
    await clock.advance(PAUSE_MS)
    expect(moved).toEqual(['a 1', 'c 1'])
    expect(clock.timers).toBe(2)
  })

  it('tell the rate of the last half minute, and that it is nothing once nothing moves', async () => {
    const { clock, followers, rates, say, streams } = setUp()
    followers.follow('run', POD)
    await settle()
    for (let second = 0; second <= 40; second += 10) {
      await say(second, streams[0], String(second * 1000))
      await clock.advance(10_000)
    }
    expect(rates).toEqual([undefined, 1000, 1000, 1000, 1000])
    await clock.advance(60_000)
    expect(rates.slice(5)).toEqual([0])
  })

  it('tell nothing where nothing has moved', async () => {
    const { clock, followers, moved, say } = setUp()
    followers.follow('run', POD)
    await settle()
    for (let second = 0; second < 60; second += 2) {
      await say(1)
      await clock.advance(2_000)
    }
    expect(moved).toEqual(['run 1'])
  })

  it('leave out what is no progress', async () => {
    const { followers, moved, streams } = setUp()
    followers.follow('run', POD)
    await settle()
    streams[0]?.log.write('{"level":"info"}\n\nplain\n')
    await settle()
    expect(moved).toEqual([])
  })

  it('open one stream for a pod, however often they are asked', async () => {
    const { followers, streams } = setUp()
    followers.follow('run', POD)
    followers.follow('run', POD)
    await settle()
    expect(streams).toHaveLength(1)
  })

  it('leave a pod for the next attempt, and forget its progress', async () => {
    const { followers, streams, say } = setUp()
    followers.follow('run', POD)
    await settle()
    await say(1)
    followers.follow('run', { ...POD, name: 'pod-2' })
    await settle()
    expect(streams.map(({ pod, signal }) => [pod, signal.aborted])).toEqual([
      ['pod-1', true],
      ['pod-2', false],
    ])
    expect(followers.progressOf('run', POD)).toBeUndefined()
    expect(followers.progressOf('run', { ...POD, name: 'pod-2' })).toBeUndefined()
    await say(9, streams[0])
    expect(followers.progressOf('run', { ...POD, name: 'pod-2' })).toBeUndefined()
  })

  it('open a stream again that has broken or ended, after a pause', async () => {
    const { clock, followers, streams } = setUp()
    followers.follow('run', POD)
    await settle()
    streams[0]?.log.destroy(new Error('cut'))
    await settle()
    await clock.advance(2_000)
    expect(streams).toHaveLength(2)
    streams[1]?.log.end()
    await settle()
    await clock.advance(4_000)
    expect(streams).toHaveLength(3)
  })

  it('keep the progress while the stream is away', async () => {
    const { followers, streams, say } = setUp()
    followers.follow('run', POD)
    await settle()
    await say(1)
    streams[0]?.log.destroy(new Error('cut'))
    await settle()
    expect(followers.progressOf('run', POD)).toEqual(progress(1))
  })

  it('end their streams and timers when they are stopped', async () => {
    const { clock, followers, streams, moved, say } = setUp()
    followers.follow('run', POD)
    await settle()
    await say(1)
    await say(2)
    followers.stop('run')
    followers.stop('never followed')
    await settle()
    expect(streams[0]?.signal.aborted).toBe(true)
    await clock.advance(60_000)
    expect(moved).toEqual(['run 1'])
    expect(followers.size).toBe(0)
  })

  it('are bounded in number', async () => {
    const { followers, streams } = setUp(2)
    for (const key of ['a', 'b', 'c']) followers.follow(key, { ...POD, name: key })
    await settle()
    expect(streams.map(({ pod }) => pod)).toEqual(['a', 'b'])
    followers.stop('a')
    followers.follow('c', { ...POD, name: 'c' })
    await settle()
    expect(streams.map(({ pod }) => pod)).toEqual(['a', 'b', 'c'])
  })
})

describe('a rate', () => {
  it('needs a second to divide by', () => {
    const meter = new RateMeter()
    expect(meter.measure(0, 0)).toBeUndefined()
    expect(meter.measure(999, 10)).toBeUndefined()
    expect(meter.measure(1_000, 10)).toBe(10)
  })

  it('forgets what is older than half a minute', () => {
    const meter = new RateMeter()
    meter.measure(0, 0)
    meter.measure(10_000, 1_000_000)
    expect(meter.measure(40_000, 1_030_000)).toBe(1_000)
    expect(meter.measure(75_000, 1_030_000)).toBe(0)
  })

  it('is never below nothing', () => {
    const meter = new RateMeter()
    meter.measure(0, 10)
    expect(meter.measure(2_000, 0)).toBe(0)
  })
})

describe('lines of a stream', () => {
  const linesOf = async (...chunks: readonly (string | Buffer)[]) => {
    const stream = (async function* () {
      for (const chunk of chunks) yield Buffer.from(chunk as string)
    })()
    const lines: string[] = []
    for await (const line of splitLines(stream)) lines.push(line)
    return lines
  }

  it('are put together from any chunks', async () => {
    expect(await linesOf('a', 'b\nc', '\n', '\nd\n')).toEqual(['ab', 'c', '', 'd'])
  })

  it('keep characters whole that two chunks share', async () => {
    const bytes = Buffer.from('é\n')
    expect(await linesOf(bytes.subarray(0, 1), bytes.subarray(1))).toEqual(['é'])
  })

  it('are left out when they have no end', async () => expect(await linesOf('a\nb')).toEqual(['a']))

  it('are left out, and not gathered, when they are too long', async () => {
    const long = 'x'.repeat(10_000)
    expect(await linesOf('a\n', long, long, long, '\nb\n')).toEqual(['a', 'b'])
    expect(await linesOf(`a\n${long}${long}\nb\n`)).toEqual(['a', 'b'])
  })
})

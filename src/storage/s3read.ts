import type { IncomingMessage } from 'node:http'
import { PgpackError } from '../errors.ts'
import { own } from '../memory.ts'
import { CutError, S3Failure, storeError } from './errors.ts'
import { rangeEnd } from './range.ts'
import type { S3Client, S3Request } from './s3client.ts'
import { MIB } from './s3parts.ts'
import type { ByteRange } from './store.ts'

/** 8 MiB are ahead of the reader at most: at 30 ms a round trip that allows for 250 MiB/s, more than a COPY takes. */
const SEGMENT_SIZE = 2 * MIB
const SEGMENTS_AHEAD = 4

type Settled<T> = { readonly value: T } | { readonly error: unknown }

/** An outcome that waits to be looked at: several run ahead, and only the first is awaited. */
function settled<T>(work: Promise<T>): Promise<Settled<T>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
}

/**
 * An object's bytes in order, by ranged GETs of which several are in flight; a cut one goes on at the byte where it was
 * cut. Every request names the ETag that was there at the start, so no bytes of two versions are ever mixed.
 */
export async function* readObject(
  client: S3Client,
  key: string,
  signal: AbortSignal,
  range: ByteRange = { offset: 0 },
): AsyncGenerator<Buffer, void, undefined> {
  const { size, etag } = await client.head(key, signal)
  const end = rangeEnd(key, size, range)
  const leave = new AbortController()
  const anySignal = AbortSignal.any([signal, leave.signal])
  const ahead: Promise<Settled<Buffer>>[] = []
  let next = range.offset
  try {
    while (next < end || ahead.length > 0) {
      while (next < end && ahead.length < SEGMENTS_AHEAD) {
        const to = Math.min(next + SEGMENT_SIZE, end)
        ahead.push(settled(readSegment(client, { key, etag, from: next, to }, anySignal)))
        next = to
      }
      const first = await ahead[0]
      if (first === undefined) return
      if ('error' in first) throw first.error
      yield first.value
      void ahead.shift()
    }
  } catch (error) {
    throw storeError(error, client.context(`read ${key}`, signal))
  } finally {
    leave.abort()
    await Promise.all(ahead)
  }
}

interface Segment {
  readonly key: string
  readonly etag: string | undefined
  readonly from: number
  /** The first byte after it. */
  readonly to: number
}

/**
 * Into one buffer: the 64 KiB that the socket gives at a time then die young, where a list of them would outlive minor
 * collections and leave the C heap in pieces (seen: 19 MiB of it for 8 MiB of read-ahead).
 */
async function readSegment(client: S3Client, segment: Segment, signal: AbortSignal): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(segment.to - segment.from)
  let at = segment.from
  const request = () => rangeRequest(segment, at, signal)
  const consume = async (response: IncomingMessage) => {
    checkAnswer(segment, at, response)
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (at + chunk.length > segment.to) throw wrongLength(segment, at, 'more')
      at += chunk.copy(bytes, at - segment.from)
    }
    if (at < segment.to) throw new CutError(`the answer ended ${segment.to - at} bytes early`)
  }
  await client.call(request, consume, { progress: () => at })
  return own(bytes)
}

function rangeRequest({ key, etag, to }: Segment, at: number, signal: AbortSignal): S3Request {
  const headers = { range: `bytes=${at}-${to - 1}`, ...(etag === undefined ? {} : { 'if-match': etag }) }
  return { method: 'GET', key, headers, signal }
}

/** A server that knows no If-Match still names the version that it sends, and one that knows no ranges sends all. */
function checkAnswer(segment: Segment, at: number, response: IncomingMessage): void {
  const { key, etag, to } = segment
  if (response.headers.etag !== etag) {
    response.destroy()
    throw new S3Failure(412, 'PreconditionFailed', `${key} is another object now`)
  }
  const length = Number(response.headers['content-length'] ?? to - at)
  if (length === to - at) return
  response.destroy()
  throw wrongLength(segment, at, `${length} bytes (HTTP ${response.statusCode})`)
}

function wrongLength({ key, to }: Segment, at: number, found: string): PgpackError {
  const expected = `${to - at} bytes`
  const message = `bytes ${at} to ${to} of ${key} were asked for, the store sends ${found}; use a store that knows ranged GET`
  return new PgpackError('STORE_FAILED', message, { expected, found })
}

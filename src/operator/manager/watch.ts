import { StringDecoder } from 'node:string_decoder'
import { ApiError, type Status } from './apierror.ts'
import type { ApiObject } from './resources.ts'

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** Nothing changed up to this version; carries no object. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }

/** etcd takes 1.5 MiB a request and the largest objects stay below 3 MiB as JSON; beyond this it is no watch. */
const MAX_LINE_CHARS = 16 * 1024 * 1024

/**
 * The events of a watch's body: one JSON document a line.
 * @throws ApiError for an ERROR event (410 Expired when the version is gone, 500 ...), which the server sends inside an
 * answer of status 200, and for a line that is no watch event.
 */
export async function* decodeWatch<T extends ApiObject>(
  body: AsyncIterable<Buffer>,
  request: string,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  for await (const line of splitLines(body, request)) yield toEvent<T>(line, request)
}

async function* splitLines(body: AsyncIterable<Buffer>, request: string): AsyncGenerator<string, void, undefined> {
  const decoder = new StringDecoder('utf8')
  let pending: string[] = []
  let length = 0
  for await (const chunk of body) {
    const parts = decoder.write(chunk).split('\n')
    const tail = parts.pop() ?? ''
    for (const part of parts) {
      const line = pending.join('') + part
      pending = []
      length = 0
      if (line !== '') yield line
    }
    pending.push(tail)
    length += tail.length
    if (length > MAX_LINE_CHARS) throw new ApiError(`a watch event of over ${MAX_LINE_CHARS} characters`, { request })
  }
}

function toEvent<T extends ApiObject>(line: string, request: string): WatchEvent<T> {
  const event = parse(line, request)
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event.type, object: event.object as T }
    case 'BOOKMARK':
      return { type: 'BOOKMARK', resourceVersion: event.object.metadata?.resourceVersion ?? '' }
    case 'ERROR':
      throw ApiError.fromStatus(event.object as Status, { request })
    default:
      throw new ApiError(`expected a watch event, found type ${JSON.stringify(event.type)}`, { request })
  }
}

function parse(line: string, request: string): { type: string; object: ApiObject } {
  try {
    return JSON.parse(line) as { type: string; object: ApiObject }
  } catch (cause) {
    throw new ApiError(`expected a watch event, found ${JSON.stringify(line.slice(0, 80))}`, { request, cause })
  }
}

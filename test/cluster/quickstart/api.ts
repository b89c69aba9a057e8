import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import type { ClusterClient } from '../client.ts'
import { HarnessError } from '../errors.ts'
import { lastLines, startBound, stop } from '../processes.ts'
import { findTool } from '../tools.ts'

/** What of metav1.ObjectMeta is looked at. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface KubernetesObject {
  readonly metadata: ObjectMeta
}

/** One event of a watch (metav1.WatchEvent). */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: T
}

/**
 * Reads of the API server, through a `kubectl proxy` that knows every way of logging in. It shares no code with the
 * operator's own client, and costs no process per request.
 */
export interface ClusterApi {
  /** @throws HarnessError `COMMAND_FAILED` with the server's own words */
  get<T>(path: string): Promise<T>
  list<T>(path: string): Promise<readonly T[]>
  text(path: string): Promise<string>
  /** What there is, as ADDED, then what changes, until the server or the signal ends the stream. */
  watch<T>(path: string, signal: AbortSignal): AsyncIterable<WatchEvent<T>>
  close(): Promise<void>
}

/** Starts the proxy; it ends with this process. */
export async function openApi(cluster: ClusterClient): Promise<ClusterApi> {
  const kubectl = await findTool('kubectl')
  const args = ['--kubeconfig', cluster.kubeconfig, 'proxy', '--port', '0']
  const child = startBound(kubectl, args, ['ignore', 'pipe', 'pipe'])
  const diagnostics: string[] = []
  child.stderr?.setEncoding('utf8').on('data', (text: string) => diagnostics.push(text))
  const lines = child.stdout === null ? undefined : createInterface({ input: child.stdout })
  const [line] = lines === undefined ? [] : await Promise.race([once(lines, 'line'), once(child, 'exit')])
  const port = /127\.0\.0\.1:(\d+)/.exec(String(line))?.[1]
  if (port === undefined) {
    await stop(child, 0)
    throw new HarnessError('NOT_READY', `kubectl proxy: ${lastLines(diagnostics.join(''), 5)}`)
  }
  return { ...createApi(Number(port)), close: () => stop(child, 1000) }
}

function createApi(port: number): Omit<ClusterApi, 'close'> {
  const text = async (path: string): Promise<string> => readAll(await open(port, path))
  const get = async <T>(path: string): Promise<T> => JSON.parse(await text(path)) as T
  return {
    text,
    get,
    list: async <T>(path: string) => (await get<{ items: readonly T[] }>(path)).items,
    async *watch<T>(path: string, signal: AbortSignal) {
      const response = await open(port, `${path}?watch=1`, signal)
      for await (const line of createInterface({ input: response })) yield JSON.parse(line) as WatchEvent<T>
    },
  }
}

async function open(port: number, path: string, signal?: AbortSignal): Promise<IncomingMessage> {
  const call = request({ host: '127.0.0.1', port, path, ...(signal === undefined ? {} : { signal }) })
  call.end()
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  if (response.statusCode === 200) return response
  throw new HarnessError('COMMAND_FAILED', `GET ${path}: ${response.statusCode}: ${await readAll(response)}`)
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: string[] = await response.setEncoding('utf8').toArray()
  return chunks.join('')
}

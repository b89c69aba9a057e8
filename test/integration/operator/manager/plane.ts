import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import type { ClusterAccess } from '../../../../src/operator/manager/access.ts'
import { type ApiObject, LEASES, type ObjectRef, type Resource } from '../../../../src/operator/manager/resources.ts'
import { type ControlPlane, startControlPlane } from '../../../cluster/controlplane.ts'
import { startBound, waitFor } from '../../../cluster/processes.ts'
import { TestApiServer } from '../../../support/api-server.ts'
import { type Address, startTCPProxy, type TCPProxy } from '../../../support/faultproxy.ts'
import { sharedControlPlane } from '../../../support/shared-control-plane.ts'

/** A custom resource as ours are, with a status subresource. */
export interface Widget extends ApiObject {
  spec?: { size?: number }
  status?: { phase?: string; size?: number }
}

export const WIDGETS: Resource<Widget> = {
  group: 'test.pgpack.io',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
}

const object = (properties: object): object => ({ type: 'object', properties })
const DEFINITION = {
  metadata: { name: 'widgets.test.pgpack.io' },
  spec: {
    group: WIDGETS.group,
    scope: 'Namespaced',
    names: { kind: 'Widget', plural: 'widgets', singular: 'widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: object({
            spec: object({ size: { type: 'integer' } }),
            status: object({ phase: { type: 'string' }, size: { type: 'integer' } }),
          }),
        },
      },
    ],
  },
}

/** A real API server with the Widget kind, which many test files share. */
export class TestPlane extends TestApiServer {
  readonly #proxies: TCPProxy[] = []

  static async shared(): Promise<TestPlane> {
    const plane = new TestPlane(await sharedControlPlane())
    await plane.define(DEFINITION)
    return plane
  }

  /** Another way to the API server, which can be cut. */
  async proxied(): Promise<{ proxy: TCPProxy; access: ClusterAccess }> {
    const proxy = await startTCPProxy(this.address)
    this.#proxies.push(proxy)
    return { proxy, access: through(this.access, proxy) }
  }

  override async stop(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()))
    await super.stop()
  }
}

/** One of the test file's own, which it may stop. */
export class OwnPlane extends TestPlane {
  readonly #control: ControlPlane
  /** The API server in the place of the one that the control plane has started. */
  #restarted: ChildProcess | undefined

  private constructor(control: ControlPlane) {
    super(control)
    this.#control = control
  }

  static async start(): Promise<OwnPlane> {
    const plane = new OwnPlane(await startControlPlane())
    await plane.define(DEFINITION)
    return plane
  }

  /** Freezes the API server: connections stay open and nothing is answered. */
  pause(): void {
    if (this.#restarted === undefined) this.#control.pause()
    else this.#restarted.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#restarted === undefined) this.#control.resume()
    else this.#restarted.kill('SIGCONT')
  }

  /** Ends the API server without a word and starts it again. */
  async restart(): Promise<void> {
    this.#restarted = await restartApiServer(this.kubeconfig, this.address)
    await waitFor('API server answers again', 60_000, () => this.client.list(LEASES, { timeoutMs: 2_000 }))
  }

  /** Forgets all versions of all objects but the present ones, as etcd does by itself every five minutes. */
  compact(): Promise<void> {
    return compactEtcd(dirname(this.kubeconfig))
  }

  override async stop(): Promise<void> {
    this.#restarted?.kill('SIGKILL')
    await super.stop()
  }
}

export function widget(ref: ObjectRef, size = 1): Widget {
  return { metadata: { name: ref.name, ...(ref.namespace && { namespace: ref.namespace }) }, spec: { size } }
}

function through(access: ClusterAccess, proxy: Address): ClusterAccess {
  return {
    getCurrentCluster: () => ({ server: `https://${proxy.host}:${proxy.port}` }),
    applyToHTTPSOptions: (options) => access.applyToHTTPSOptions(options),
  }
}

/** Starts the same command again that the control plane had started. */
async function restartApiServer(kubeconfig: string, address: Address): Promise<ChildProcess> {
  const { pid, command } = await findServer('kube-apiserver', dirname(kubeconfig))
  process.kill(pid, 'SIGKILL')
  await waitFor('port of the API server is free', 10_000, () => listenBriefly(address.port))
  const [executable = '', ...args] = command
  return startBound(executable, args, 'ignore')
}

/** Fails while another process has the port. */
async function listenBriefly(port: number): Promise<true> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
  await once(server, 'close')
  return true
}

async function findServer(name: string, directory: string): Promise<{ pid: number; command: string[] }> {
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry)
    const command = Number.isInteger(pid) ? await commandOf(pid) : []
    const ours = command.some((argument) => argument.includes(directory))
    if (ours && command[0]?.endsWith(`/${name}`)) return { pid, command }
  }
  throw new Error(`no ${name} with files in ${directory} is running`)
}

/** Through etcd's JSON gateway, as etcdctl is not among the tools. */
async function compactEtcd(directory: string): Promise<void> {
  const { command } = await findServer('etcd', directory)
  const flag = '--listen-client-urls='
  const url = command.find((argument) => argument.startsWith(flag))?.slice(flag.length)
  const call = async (method: string, body: object): Promise<{ header?: { revision?: string } }> => {
    const response = await fetch(`${url}/v3/kv/${method}`, { method: 'POST', body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`etcd refuses ${method}: ${await response.text()}`)
    return (await response.json()) as { header?: { revision?: string } }
  }
  const { header } = await call('range', { key: Buffer.from('/').toString('base64') })
  await call('compaction', { revision: header?.revision, physical: true })
}

/** A process's arguments; none when it has ended. */
async function commandOf(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}

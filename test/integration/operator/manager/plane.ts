import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import type { ClusterAccess } from '../../../../src/operator/manager/access.ts'
import { isNotFound } from '../../../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { type ApiObject, LEASES, type ObjectRef, type Resource } from '../../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { type ControlPlane, startControlPlane } from '../../../cluster/controlplane.ts'
import { run, startBound, waitFor } from '../../../cluster/processes.ts'
import { ensureTools } from '../../../cluster/tools.ts'
import { type Address, startTCPProxy, type TCPProxy } from '../../../support/faultproxy.ts'

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

const NAMESPACES: Resource = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false }
const DEFINITIONS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
}

/** A real API server with the Widget kind, and the ways to it. */
export interface TestPlane {
  readonly plane: ControlPlane
  readonly access: ClusterAccess
  readonly client: KubernetesClient
  kubectl(...args: string[]): Promise<string>
  /** A fresh namespace. */
  namespace(): Promise<string>
  /** Ends the API server without a word and starts it again. */
  restart(): Promise<void>
  /** Forgets all versions of all objects but the present ones, as etcd does by itself every five minutes. */
  compact(): Promise<void>
  /** Another way to the API server, which can be cut. */
  proxied(): Promise<{ proxy: TCPProxy; access: ClusterAccess }>
  stop(): Promise<void>
}

export async function startTestPlane(): Promise<TestPlane> {
  const plane = await startControlPlane()
  const config = new KubeConfig()
  config.loadFromFile(plane.kubeconfig)
  const rest = new RestClient({ access: config })
  const client = new KubernetesClient(rest)
  await defineWidgets(client)
  const proxies: TCPProxy[] = []
  const stops: Array<() => void> = []
  let namespaces = 0
  return {
    plane,
    access: config,
    client,
    async kubectl(...args) {
      const tools = await ensureTools(['kubectl'])
      return run(tools.kubectl, ['--kubeconfig', plane.kubeconfig, ...args])
    },
    async namespace() {
      const name = `test-${++namespaces}`
      await client.create(NAMESPACES, { metadata: { name } })
      return name
    },
    async restart() {
      stops.push(await restartApiServer(plane, addressOf(config)))
      await waitFor('API server answers again', 60_000, () => client.list(LEASES, { timeoutMs: 2_000 }))
    },
    compact: () => compactEtcd(dirname(plane.kubeconfig)),
    async proxied() {
      const proxy = await startTCPProxy(addressOf(config))
      proxies.push(proxy)
      return { proxy, access: through(config, proxy) }
    },
    async stop() {
      rest.close()
      await Promise.all(proxies.map((proxy) => proxy.stop()))
      for (const stop of stops) stop()
      await plane.stop()
    },
  }
}

export function widget(ref: ObjectRef, size = 1): Widget {
  return { metadata: { name: ref.name, ...(ref.namespace && { namespace: ref.namespace }) }, spec: { size } }
}

async function defineWidgets(client: KubernetesClient): Promise<void> {
  const object = (properties: object): object => ({ type: 'object', properties })
  const schema = object({
    spec: object({ size: { type: 'integer' } }),
    status: object({ phase: { type: 'string' }, size: { type: 'integer' } }),
  })
  const definition = {
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
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  }
  await client.create(DEFINITIONS, definition)
  await waitFor('Widget is served', 30_000, async () => {
    try {
      return await client.list(WIDGETS)
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  })
}

function addressOf(access: ClusterAccess): Address {
  const { hostname, port } = new URL(access.getCurrentCluster()?.server ?? '')
  return { host: hostname, port: Number(port) }
}

function through(access: ClusterAccess, proxy: Address): ClusterAccess {
  return {
    getCurrentCluster: () => ({ server: `https://${proxy.host}:${proxy.port}` }),
    applyToHTTPSOptions: (options) => access.applyToHTTPSOptions(options),
  }
}

/** Starts the same command again that the control plane had started; returns what ends it. */
async function restartApiServer(plane: ControlPlane, address: Address): Promise<() => void> {
  const { pid, command } = await findServer('kube-apiserver', dirname(plane.kubeconfig))
  process.kill(pid, 'SIGKILL')
  await waitFor('port of the API server is free', 10_000, () => listenBriefly(address.port))
  const [executable = '', ...args] = command
  const child = startBound(executable, args, 'ignore')
  return () => void child.kill('SIGKILL')
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
    if (error instanceof Object && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return []
    throw error
  }
}

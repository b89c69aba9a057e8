import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withLock } from '../cache.ts'
import { HarnessError } from '../errors.ts'
import { type ImageArchive, minioImage, olderPostgresImage, pauseImage, postgresImage } from '../images/archives.ts'
import { operatorImage } from '../images/operator.ts'
import { type Access, isApiServerReady, writeKubeconfig } from '../kubeconfig.ts'
import { ensurePackages } from '../packages.ts'
import { run, waitFor } from '../processes.ts'
import { say, step } from '../progress.ts'
import { ensureTools } from '../tools.ts'
import { createControlGroup, removeControlGroup } from './cgroups.ts'
import {
  type Component,
  type ComponentName,
  componentNames,
  controlGroupOf,
  controlPlane,
  createCredentials,
  createNodeComponents,
} from './components.ts'
import { importImages, startContainerd } from './containerd.ts'
import { type Layout, network, readLayout } from './layout.ts'
import {
  createNamespace,
  destroyNamespace,
  findNamespace,
  inside,
  type Namespace,
  runInside,
  startInside,
} from './namespace.ts'
import { startRelay } from './relay.ts'

type Tools = Record<ComponentName | 'kubectl', string>

/** The images that every single-node cluster has. */
type Images = Readonly<Record<'pause' | 'postgres' | 'olderPostgres' | 'minio', ImageArchive>>

/** A single-node cluster that runs. */
export interface BareCluster {
  readonly kubeconfig: string
  /** References. */
  readonly images: Readonly<Record<'postgres' | 'olderPostgres' | 'minio', string>>
}

/**
 * Starts a cluster of one node on this machine, unless it runs: etcd, the control plane, containerd,
 * the kubelet, kube-proxy and CoreDNS, in namespaces of their own. It goes on when this process
 * ends, and starts anew after a crash or a reboot.
 * @throws HarnessError `PREREQUISITE_MISSING` where this is not Linux, or not root.
 */
export async function startBareCluster(): Promise<BareCluster> {
  requireRoot()
  const layout = readLayout()
  await ensurePackages([
    ...(['buildah', 'conntrack', 'containerd', 'containernetworking-plugins', 'iproute2', 'iptables'] as const),
    ...(['mmdebstrap', 'mount', 'openssl', 'procps', 'runc', 'util-linux'] as const),
  ])
  const tools = await ensureTools([...componentNames, 'helm', 'kubectl'])
  const images = {
    pause: await pauseImage(),
    postgres: await postgresImage(),
    olderPostgres: await olderPostgresImage(),
    minio: await minioImage(),
  }
  await withLock(layout.state, async () => {
    const running = await findNamespace(layout)
    // Images may have changed since it was started.
    if (running !== undefined && (await isHealthy(layout, tools))) return importImages(running, Object.values(images))
    await destroy(layout)
    await step(`starting the cluster ${layout.name}`, '15 s', () => start(layout, tools, images))
  })
  return {
    kubeconfig: layout.kubeconfig,
    images: {
      postgres: images.postgres.reference,
      olderPostgres: images.olderPostgres.reference,
      minio: images.minio.reference,
    },
  }
}

/** Ends the cluster; nothing of it is left but files in the cache directory. Does nothing where none runs. */
export async function stopBareCluster(): Promise<void> {
  const layout = readLayout()
  await withLock(layout.state, () => destroy(layout))
}

/** The kubeconfig that a single-node cluster has or would have. */
export function bareKubeconfig(): string {
  return readLayout().kubeconfig
}

/** Whether the single-node cluster's processes are there. */
export async function isBareClusterUp(): Promise<boolean> {
  return (await findNamespace(readLayout())) !== undefined
}

/** Builds the operator's image, where its inputs have changed, and hands it to the running cluster; the reference. */
export async function loadOperatorImage(): Promise<string> {
  const namespace = await findNamespace(readLayout())
  if (namespace === undefined) {
    throw new HarnessError('CLUSTER_NOT_RUNNING', 'the single-node cluster does not run: npm run cluster -- up')
  }
  const image = await operatorImage()
  await importImages(namespace, [image])
  return image.reference
}

async function start(layout: Layout, tools: Tools, images: Images): Promise<void> {
  await prepareDirectories(layout)
  try {
    await createControlGroup(controlGroupOf(layout))
    const [credentials, namespace] = await Promise.all([createCredentials(layout), createNamespace(layout)])
    await startComponents(namespace, layout, tools, controlPlane(credentials))
    const access = await connect(namespace, layout)
    await Promise.all([
      startRuntime(namespace, layout, images),
      waitFor('API server is ready', 60_000, async () => (await isApiServerReady(access)) || undefined),
    ])
    await writeKubeconfig(layout.kubeconfig, access)
    await run(tools.kubectl, [
      ...kubectlArguments(layout),
      'apply',
      '--filename',
      join(import.meta.dirname, 'coredns.yaml'),
    ])
    await startComponents(namespace, layout, tools, await createNodeComponents(layout, credentials))
    await waitForNode(namespace, layout, tools)
  } catch (error) {
    await destroy(layout)
    throw new HarnessError('NOT_READY', `the cluster did not start; its logs are in ${layout.logs}`, { cause: error })
  }
}

async function startComponents(
  namespace: Namespace,
  layout: Layout,
  tools: Tools,
  components: readonly Component[],
): Promise<void> {
  await Promise.all(components.map(({ name, args }) => startInside(namespace, layout, name, tools[name], args)))
}

async function startRuntime(namespace: Namespace, layout: Layout, images: Images): Promise<void> {
  await startContainerd(namespace, layout, images.pause.reference)
  await importImages(namespace, Object.values(images))
}

/** Makes the API server reachable from outside, on a port that is written down. */
async function connect(namespace: Namespace, layout: Layout): Promise<Access> {
  const node = inside(namespace, process.execPath, [])
  const port = await startRelay(node, network.apiServerPort, join(layout.logs, 'relay.log'))
  await writeFile(layout.portFile, String(port))
  return accessBy(layout, port)
}

async function waitForNode(namespace: Namespace, layout: Layout, tools: Tools): Promise<void> {
  const answers = async (url: string): Promise<true> => {
    const program = 'fetch(process.argv[1]).then((response) => process.exit(response.ok ? 0 : 1))'
    await runInside(namespace, process.execPath, ['--eval', program, url])
    return true
  }
  await Promise.all([
    waitFor('node is ready', 60_000, async () => (await isNodeReady(layout, tools)) || undefined),
    waitFor('CoreDNS is ready', 60_000, () => answers('http://127.0.0.1:8181/ready')),
    waitFor('kube-proxy is ready', 60_000, () => answers('http://127.0.0.1:10256/healthz')),
    waitFor('default service account is made', 60_000, async () => {
      return run(tools.kubectl, [...kubectlArguments(layout), 'get', 'serviceaccount', 'default'])
    }),
  ])
}

/** Whether the processes that are there answer as they should. */
async function isHealthy(layout: Layout, tools: Tools): Promise<boolean> {
  try {
    const port = Number(await readFile(layout.portFile, 'utf8'))
    return (await isApiServerReady(accessBy(layout, port))) && (await isNodeReady(layout, tools))
  } catch (error) {
    say(`the cluster ${layout.name} does not answer and is started anew: ${String(error)}`)
    return false
  }
}

async function isNodeReady(layout: Layout, tools: Tools): Promise<boolean> {
  const path = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
  return (await run(tools.kubectl, [...kubectlArguments(layout), 'get', 'nodes', '--output', path])) === 'True'
}

/**
 * Ends what runs and what a crash or reboot has left, and removes its data. The logs stay to be
 * looked at, and containerd's store for the images in it.
 */
async function destroy(layout: Layout): Promise<void> {
  await destroyNamespace(layout)
  await removeControlGroup(controlGroupOf(layout))
  const data = ['cni', 'etcd', 'kubelet'].map((name) => join(layout.varLib, name))
  for (const path of [...data, layout.secrets, layout.portFile, layout.kubeconfig]) {
    await rm(path, { recursive: true, force: true })
  }
}

async function prepareDirectories(layout: Layout): Promise<void> {
  const { varLib, varLog, logs, secrets, configuration } = layout
  for (const directory of [varLog, logs, configuration]) await rm(directory, { recursive: true, force: true })
  for (const directory of [varLib, varLog, logs, configuration]) await mkdir(directory, { recursive: true })
  await mkdir(secrets, { mode: 0o700 })
}

function accessBy(layout: Layout, port: number): Access {
  const pair = (name: string) => ({
    certificate: join(layout.secrets, `${name}.crt`),
    key: join(layout.secrets, `${name}.key`),
  })
  return { server: `https://127.0.0.1:${port}`, authority: pair('ca'), client: pair('admin') }
}

function kubectlArguments(layout: Layout): string[] {
  return ['--kubeconfig', layout.kubeconfig]
}

function requireRoot(): void {
  if (process.platform === 'linux' && process.getuid?.() === 0) return
  throw new HarnessError(
    'PREREQUISITE_MISSING',
    'no cluster at hand. One of these is needed: KUBECONFIG set to a cluster for tests; a Docker engine that answers; root on Linux, for a single-node cluster without Docker',
  )
}

import type { ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issue, type KeyPair } from './certificates.ts'
import { HarnessError } from './errors.ts'
import { type Access, isApiServerReady, writeKubeconfig } from './kubeconfig.ts'
import { appendingTo, FEWER_COLLECTIONS, hasEnded, startBound, stop, tailOf, waitFor } from './processes.ts'
import { ensureTools } from './tools.ts'

/** An API server and its etcd on loopback: no controllers, no scheduler, no nodes. */
export interface ControlPlane {
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string
  /** Freezes the API server: connections stay open and nothing is answered, as in a network partition. */
  pause(): void
  /** Lets a paused API server go on. */
  resume(): void
  /** Ends both processes and removes their files. */
  stop(): Promise<void>
}

/** What an API server is started with, beyond what is the same for all. */
export interface ApiServerOptions {
  readonly etcdPort: number
  readonly bindAddress: string
  readonly port: number
  readonly authority: KeyPair
  readonly serving: KeyPair
  /** Private key that signs service accounts' tokens, of {@link createServiceAccountKey}. */
  readonly serviceAccountKey: string
  readonly serviceAddresses: string
}

/**
 * Starts etcd and kube-apiserver, for tests that play the kubelet by hand. Takes about 4 s; several
 * can run side by side. Nothing deletes what an owner's deletion orphans, nothing makes `default`
 * service accounts (and nothing asks for them), and Jobs get no pods. Both processes end with the
 * process that called this, however it ends.
 * @throws HarnessError `NOT_READY` with the API server's last log lines.
 */
export async function startControlPlane(): Promise<ControlPlane> {
  const tools = await ensureTools(['etcd', 'kube-apiserver'])
  const attempts = 3
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(tools)
    } catch (error) {
      // Another process may have taken one of the ports between our finding it free and its use.
      if (attempt === attempts) throw error
    }
  }
}

type Tools = Record<'etcd' | 'kube-apiserver', string>

/** The two processes and how to reach them. */
interface Servers {
  readonly etcd: ChildProcess
  readonly apiServer: ChildProcess
  readonly access: Access
}

async function start(tools: Tools): Promise<ControlPlane> {
  const directory = await mkdtemp(join(tmpdir(), 'pgpack-controlplane-'))
  const { etcd, apiServer, access } = await startServers(tools, directory)
  const end = async (): Promise<void> => {
    apiServer.kill('SIGCONT')
    // An API server drains its watches for a minute; nobody waits for that here.
    await stop(apiServer, 0)
    await stop(etcd, 0)
    await rm(directory, { recursive: true, force: true })
  }
  const kubeconfig = join(directory, 'kubeconfig.yaml')
  try {
    await waitForReady(access, [etcd, apiServer], directory)
    await writeKubeconfig(kubeconfig, access)
  } catch (error) {
    await end()
    throw error
  }
  return {
    kubeconfig,
    pause: () => void apiServer.kill('SIGSTOP'),
    resume: () => void apiServer.kill('SIGCONT'),
    stop: end,
  }
}

async function startServers(tools: Tools, directory: string): Promise<Servers> {
  const [etcdPort, peerPort, port] = await findFreePorts()
  const authority = await createAuthority(directory)
  const [serving, client] = await Promise.all([
    issue(authority, directory, 'apiserver', { commonName: 'kube-apiserver', addresses: ['127.0.0.1'] }),
    issue(authority, directory, 'admin', { commonName: 'admin', organization: 'system:masters' }),
  ])
  const serviceAccountKey = await createServiceAccountKey(directory)
  const apiServerOptions = { etcdPort, port, authority, serving, serviceAccountKey }
  const commands = {
    etcd: etcdArguments(directory, etcdPort, peerPort),
    'kube-apiserver': [
      ...apiServerArguments({ ...apiServerOptions, bindAddress: '127.0.0.1', serviceAddresses: '10.96.0.0/16' }),
      // No controller makes default service accounts here, and the service range has no network.
      '--disable-admission-plugins=ServiceAccount',
      '--endpoint-reconciler-type=none',
      // As OpenShift has it: who names an owner that blocks its deletion must be allowed to finalize it.
      '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
    ],
  }
  const startServer = (name: keyof Tools): ChildProcess =>
    startBound(tools[name], commands[name], appendingTo(join(directory, `${name}.log`)), { GOGC: FEWER_COLLECTIONS })
  return {
    etcd: startServer('etcd'),
    apiServer: startServer('kube-apiserver'),
    access: { server: `https://127.0.0.1:${port}`, authority, client },
  }
}

async function waitForReady(access: Access, processes: readonly ChildProcess[], directory: string): Promise<void> {
  const ready = async (): Promise<boolean | undefined> => {
    if (processes.some(hasEnded)) return false
    return (await isApiServerReady(access)) || undefined
  }
  if (await waitFor(`API server at ${access.server} is ready`, 60_000, ready)) return
  const logs = ['etcd.log', 'kube-apiserver.log'].map((name) => `${name}:\n${tailOf(join(directory, name))}`)
  throw new HarnessError('NOT_READY', `etcd or kube-apiserver ended at once\n${logs.join('\n')}`)
}

/** etcd's arguments, for data that need not survive the machine. */
export function etcdArguments(directory: string, clientPort: number, peerPort: number): string[] {
  return [
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=http://127.0.0.1:${clientPort}`,
    `--advertise-client-urls=http://127.0.0.1:${clientPort}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
}

/** kube-apiserver's arguments: authentication by certificate, authorization by RBAC as everywhere. */
export function apiServerArguments(options: ApiServerOptions): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${options.etcdPort}`,
    `--bind-address=${options.bindAddress}`,
    `--secure-port=${options.port}`,
    `--service-cluster-ip-range=${options.serviceAddresses}`,
    `--client-ca-file=${options.authority.certificate}`,
    `--tls-cert-file=${options.serving.certificate}`,
    `--tls-private-key-file=${options.serving.key}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-signing-key-file=${options.serviceAccountKey}`,
    `--service-account-key-file=${options.serviceAccountKey}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
  ]
}

/** Makes the key that signs service accounts' tokens; its path. */
export async function createServiceAccountKey(directory: string): Promise<string> {
  const path = join(directory, 'service-account.key')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  return path
}

/** Three ports of loopback that were free a moment ago. */
async function findFreePorts(): Promise<[number, number, number]> {
  const servers = [createServer(), createServer(), createServer()] as const
  const port = async (server: (typeof servers)[number]): Promise<number> => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }
  const ports: [number, number, number] = [await port(servers[0]), await port(servers[1]), await port(servers[2])]
  for (const server of servers) server.close()
  return ports
}

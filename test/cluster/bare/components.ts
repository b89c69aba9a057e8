import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAuthority, issue, type KeyPair } from '../certificates.ts'
import { apiServerArguments, createServiceAccountKey, etcdArguments } from '../controlplane.ts'
import { writeKubeconfig } from '../kubeconfig.ts'
import type { ToolName } from '../tools.ts'
import { containerdSocket } from './containerd.ts'
import { type Layout, network } from './layout.ts'

/** The cluster's processes that are built from Go modules. */
export const componentNames = [
  'coredns',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-proxy',
  'kube-scheduler',
  'kubelet',
] as const satisfies readonly ToolName[]

export type ComponentName = (typeof componentNames)[number]

/** One process of the cluster: its command line. */
export interface Component {
  readonly name: ComponentName
  readonly args: readonly string[]
}

/** The certificates that the components know each other by. */
export interface Credentials {
  readonly authority: KeyPair
  readonly serving: KeyPair
  readonly administrator: KeyPair
  readonly serviceAccountKey: string
}

/** Makes the authority, the API server's and the administrator's certificate, and every component's kubeconfig. */
export async function createCredentials(layout: Layout): Promise<Credentials> {
  const directory = layout.secrets
  const authority = await createAuthority(directory)
  const users = {
    'kube-controller-manager': { commonName: 'system:kube-controller-manager' },
    'kube-scheduler': { commonName: 'system:kube-scheduler' },
    'kube-proxy': { commonName: 'system:kube-proxy' },
    kubelet: { commonName: `system:node:${layout.name}`, organization: 'system:nodes' },
    coredns: { commonName: 'system:coredns' },
  }
  const server = `https://127.0.0.1:${network.apiServerPort}`
  const kubeconfigs = Object.entries(users).map(async ([name, identity]) => {
    const client = await issue(authority, directory, name, identity)
    await writeKubeconfig(kubeconfigOf(layout, name), { server, authority, client })
  })
  const [serving, administrator, serviceAccountKey] = await Promise.all([
    issue(authority, directory, 'apiserver', {
      commonName: 'kube-apiserver',
      // The API server shows this certificate to kubelets, too; they know it as an administrator.
      organization: 'system:masters',
      dnsNames: ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'],
      addresses: ['127.0.0.1', network.node, network.apiServerService],
    }),
    issue(authority, directory, 'admin', { commonName: 'admin', organization: 'system:masters' }),
    createServiceAccountKey(directory),
    ...kubeconfigs,
  ])
  return { authority, serving, administrator, serviceAccountKey }
}

/** The processes that must run before the API server is ready. */
export function controlPlane(credentials: Credentials): Component[] {
  const { authority, serving, serviceAccountKey } = credentials
  const { apiServerPort: port, etcdPort, services: serviceAddresses } = network
  const apiServer = [
    ...apiServerArguments({
      bindAddress: '0.0.0.0',
      ...{ port, etcdPort, serviceAddresses, authority, serving, serviceAccountKey },
    }),
    `--advertise-address=${network.node}`,
    // The node's name resolves nowhere.
    '--kubelet-preferred-address-types=InternalIP',
    `--kubelet-client-certificate=${serving.certificate}`,
    `--kubelet-client-key=${serving.key}`,
  ]
  return [
    { name: 'etcd', args: etcdArguments('/var/lib', etcdPort, network.etcdPeerPort) },
    { name: 'kube-apiserver', args: apiServer },
  ]
}

/** The processes that are started once the API server is ready. Writes the configuration files that they read. */
export async function createNodeComponents(layout: Layout, credentials: Credentials): Promise<Component[]> {
  const { authority, serviceAccountKey } = credentials
  const kubeletConfiguration = join(layout.configuration, 'kubelet.yaml')
  const corefile = join(layout.configuration, 'Corefile')
  await writeFile(kubeletConfiguration, JSON.stringify(kubeletSettings(layout, authority), undefined, 2))
  await writeFile(corefile, dnsConfiguration(kubeconfigOf(layout, 'coredns')))
  const kubeconfig = (name: ComponentName): string => `--kubeconfig=${kubeconfigOf(layout, name)}`
  return [
    {
      name: 'kube-controller-manager',
      args: [
        kubeconfig('kube-controller-manager'),
        '--bind-address=127.0.0.1',
        '--leader-elect=false',
        '--use-service-account-credentials',
        `--service-account-private-key-file=${serviceAccountKey}`,
        `--root-ca-file=${authority.certificate}`,
        `--cluster-signing-cert-file=${authority.certificate}`,
        `--cluster-signing-key-file=${authority.key}`,
      ],
    },
    {
      name: 'kube-scheduler',
      args: [kubeconfig('kube-scheduler'), '--bind-address=127.0.0.1', '--leader-elect=false'],
    },
    {
      name: 'kubelet',
      args: [
        kubeconfig('kubelet'),
        `--config=${kubeletConfiguration}`,
        `--hostname-override=${layout.name}`,
        `--node-ip=${network.node}`,
      ],
    },
    {
      name: 'kube-proxy',
      args: [
        kubeconfig('kube-proxy'),
        `--hostname-override=${layout.name}`,
        `--cluster-cidr=${network.pods}`,
        // 0 leaves alone what a network namespace may not set.
        '--conntrack-max-per-core=0',
        '--conntrack-tcp-timeout-established=0',
        '--conntrack-tcp-timeout-close-wait=0',
      ],
    },
    { name: 'coredns', args: ['-conf', corefile] },
  ]
}

function kubeconfigOf(layout: Layout, name: string): string {
  return join(layout.secrets, `${name}.kubeconfig.yaml`)
}

function kubeletSettings(layout: Layout, authority: KeyPair): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { x509: { clientCAFile: authority.certificate } },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${controlGroupOf(layout)}`,
    clusterDNS: [network.node],
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    // From 1.35 on, Kubernetes takes version 2 only, and not every machine of ours has it.
    failCgroupV1: false,
    failSwapOn: false,
    // The machine's name servers are out of reach.
    resolvConf: '',
    // The disk is the machine's, and how full it is no business of the pods'.
    evictionHard: { 'imagefs.available': '0%', 'nodefs.available': '0%', 'nodefs.inodesFree': '0%' },
    imageGCHighThresholdPercent: 100,
  }
}

/** The control group that all pods' groups lie in. */
export function controlGroupOf(layout: Layout): string {
  return `pgpack-cluster-${layout.name}`
}

/** Answers are not cached: a test looks for a service the moment it is made. */
function dnsConfiguration(kubeconfig: string): string {
  return `.:53 {
  bind ${network.node}
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
  }
}
`
}

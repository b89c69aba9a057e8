import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageArchive } from '../images/archives.ts'
import { waitFor } from '../processes.ts'
import { type Layout, network } from './layout.ts'
import { type Namespace, runInside, startInside } from './namespace.ts'

/** The runtime's socket, inside the cluster's mount namespace. */
export const containerdSocket = '/run/containerd/containerd.sock'

/**
 * Starts containerd and waits until it answers. Images of an earlier cluster are still in its store;
 * so are the traces of its containers, which the kubelet clears away as after a machine's reboot.
 * @param pauseImage the image that holds a pod's namespaces open.
 */
export async function startContainerd(namespace: Namespace, layout: Layout, pauseImage: string): Promise<void> {
  const networks = join(layout.configuration, 'cni')
  await mkdir(networks, { recursive: true })
  await writeFile(join(networks, '10-bridge.conflist'), JSON.stringify(podNetwork()))
  const configuration = join(layout.configuration, 'containerd.toml')
  await writeFile(configuration, containerdConfiguration(pauseImage, networks))
  await startInside(namespace, layout, 'containerd', 'containerd', ['--config', configuration])
  await waitFor('containerd answers', 20_000, () => ctr(namespace, ['version']))
}

/** Imports those of the images that containerd does not have. */
export async function importImages(namespace: Namespace, images: readonly ImageArchive[]): Promise<void> {
  const present = (await ctr(namespace, ['images', 'list', '--quiet'])).split('\n')
  for (const { reference, archive } of images) {
    if (!present.includes(reference)) await ctr(namespace, ['images', 'import', archive])
  }
}

function ctr(namespace: Namespace, args: readonly string[]): Promise<string> {
  return runInside(namespace, 'ctr', ['--address', containerdSocket, '--namespace', 'k8s.io', ...args])
}

function containerdConfiguration(pauseImage: string, networks: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  return `
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "${containerdSocket}"

[${cri}]
  sandbox_image = "${pauseImage}"
  # Where CAP_SYS_RESOURCE is missing, lowering a process's score fails, and every sandbox with it.
  restrict_oom_score_adj = true

[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[${cri}.containerd.runtimes.runc.options]
  # The kubelet's cgroupDriver: no systemd is asked, because not every machine has one.
  SystemdCgroup = false

[${cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${networks}"
`
}

/** Pods hang on one bridge, and the node is their gateway. */
function podNetwork(): object {
  const bridge = {
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: network.pods }]], routes: [{ dst: '0.0.0.0/0' }] },
  }
  const portMapping = { type: 'portmap', capabilities: { portMappings: true } }
  return { cniVersion: '0.4.0', name: 'pgpack', plugins: [bridge, portMapping] }
}

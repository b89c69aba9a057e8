import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Cluster, PortForward } from '../cluster/index.ts'

/** A forwarded port that outlives the `kubectl port-forward` behind it. */
export interface LastingForward extends PortForward {
  /** Ends what goes through it now; the next connection takes a new way. */
  renew(): Promise<void>
}

/**
 * Forwards a port for as long as it is asked for: kubectl gives up when the server in the pod is away for a moment, and
 * stands still when the API server does.
 */
export async function forwardForGood(
  cluster: Cluster,
  ...target: Parameters<Cluster['portForward']>
): Promise<LastingForward> {
  let way: Promise<PortForward> = cluster.portForward(...target)
  await way
  const sockets = new Set<Socket>()
  const renew = async (): Promise<void> => {
    const old = way
    // Whoever comes meanwhile waits for the same new one.
    way = old.then((each) => each.close(), ignore).then(() => cluster.portForward(...target))
    for (const socket of sockets) socket.destroy()
    await way
  }
  const reach = async (): Promise<Socket> => {
    const before = way
    try {
      return await open((await before).port)
    } catch (error) {
      if (way === before) await renew()
      if (way === before) throw error
      return open((await way).port)
    }
  }
  const server = createServer((client) => {
    keep(sockets, client)
    reach().then(
      (upstream) => {
        keep(sockets, upstream)
        client.pipe(upstream).pipe(client)
        for (const [one, other] of [
          [client, upstream],
          [upstream, client],
        ] as const)
          one.on('close', () => other.destroy())
      },
      () => client.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    renew,
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await (await way).close()
    },
  }
}

/** A way that could not be had needs no closing. */
function ignore(): undefined {
  return undefined
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** An error of one side ends both; what it was is for the two that talk through us to find out. */
function keep(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.on('error', () => socket.destroy())
  socket.on('close', () => sockets.delete(socket))
}

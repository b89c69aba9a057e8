import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way through which a partition can go: bytes that are under way wait, and arrive when it is over. */
export interface Partition {
  readonly host: string
  readonly port: number
  /** From now on nothing passes, in neither direction; connections stay open, and new ones are taken. */
  cut(): void
  /** What has waited arrives, also from a process that has ended meanwhile. */
  heal(): void
  stop(): Promise<void>
}

/**
 * A TCP proxy on loopback that plays a network partition as TCP has it: nobody is told, the kernel keeps what was sent,
 * and delivers it late.
 */
export async function startPartition(target: { readonly host: string; readonly port: number }): Promise<Partition> {
  const sockets = new Set<Socket>()
  let isCut = false
  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    if (isCut) socket.pause()
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (chunk: Buffer) => to.write(chunk))
      from.on('end', () => to.end())
      from.on('error', () => to.resetAndDestroy())
      keep(from)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    cut() {
      isCut = true
      for (const socket of sockets) socket.pause()
    },
    heal() {
      isCut = false
      for (const socket of sockets) socket.resume()
    },
    async stop() {
      server.close()
      for (const socket of sockets) socket.resetAndDestroy()
      await once(server, 'close')
    },
  }
}

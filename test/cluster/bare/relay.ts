import { type ChildProcess, fork, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { HarnessError } from '../errors.ts'
import { appendingTo, tailOf } from '../processes.ts'

/**
 * Makes the API server reachable from outside the cluster's network.
 *
 * A socket belongs to the network it was made in. So this process makes the listening one, on the
 * machine's loopback, and hands it to a process inside the cluster, which connects to the API server
 * there. The relay ends with the cluster.
 * @param node the command line that runs Node inside the cluster's namespaces.
 * @returns the port of loopback.
 */
export async function startRelay(node: readonly [string, string[]], target: number, log: string): Promise<number> {
  const listener = createServer()
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const [execPath, execArgv] = node
  const stdio: StdioOptions = [...appendingTo(log), 'ipc']
  const relay = fork(import.meta.filename, [String(target)], { detached: true, execPath, execArgv, stdio })
  relay.send('listen', listener)
  await Promise.race([once(relay, 'message'), rejectOnExit(relay, log)])
  relay.disconnect()
  relay.unref()
  const address = listener.address()
  listener.close()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP socket has a port')
  return address.port
}

async function rejectOnExit(relay: ChildProcess, log: string): Promise<never> {
  await once(relay, 'exit')
  throw new HarnessError('NOT_READY', `the relay to the API server ended at once:\n${tailOf(log)}`)
}

/** What the process inside does: each connection is joined with a new one to the API server. */
async function serve(target: number): Promise<void> {
  const [, listener] = (await once(process, 'message')) as [string, Server]
  listener.on('connection', (client) => {
    const server = connect(target, '127.0.0.1')
    // Either side may hang up at any time: that ends the other, and is nothing to report.
    const hangUp = (): void => {
      client.destroy()
      server.destroy()
    }
    pipeline(client, server, client).then(hangUp, hangUp)
  })
  process.send?.('ready')
}

if (import.meta.main) void serve(Number(process.argv[2]))

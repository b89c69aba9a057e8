/**
 * A network of 30 ms a round trip, in a process of its own so that its work is not that of what is measured: `node
 * test/bench/upload-proxy.ts <port>` forwards to that port of loopback and prints its own. Ends with its stdin.
 *
 * One connection has at most 4 MiB unacknowledged, as much as Linux lets it by default (tcp_wmem): half of it on the way there.
 */
import { once } from 'node:events'
import { startTCPProxy } from '../support/faultproxy.ts'

const [port = '', roundTripMs = '30'] = process.argv.slice(2)
const flow = { latencyMs: Number(roundTripMs) / 2, window: 2 * 1024 * 1024 }
const proxy = await startTCPProxy({ host: '127.0.0.1', port: Number(port) }, () => ({ up: flow, down: flow }))
process.stdout.write(`${proxy.port}\n`)
process.stdin.resume()
await once(process.stdin, 'end')
await proxy.stop()

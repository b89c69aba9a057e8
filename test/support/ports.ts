import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/** A port of this address where nobody listens; 127.0.0.1 when not given. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

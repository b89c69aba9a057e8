import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { KeyPair } from './certificates.ts'

/** How a client reaches an API server and who it is there. */
export interface Access {
  /** `https://host:port` */
  readonly server: string
  readonly authority: KeyPair
  readonly client: KeyPair
}

/** Writes a kubeconfig that stands alone: certificates and key are inside. */
export async function writeKubeconfig(path: string, access: Access): Promise<void> {
  const encoded = async (file: string): Promise<string> => (await readFile(file)).toString('base64')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'pgpack',
        cluster: {
          server: access.server,
          'certificate-authority-data': await encoded(access.authority.certificate),
        },
      },
    ],
    users: [
      {
        name: 'pgpack',
        user: {
          'client-certificate-data': await encoded(access.client.certificate),
          'client-key-data': await encoded(access.client.key),
        },
      },
    ],
    contexts: [{ name: 'pgpack', context: { cluster: 'pgpack', user: 'pgpack' } }],
    'current-context': 'pgpack',
  }
  // JSON is YAML.
  await writeFile(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 })
}

/** Whether the API server says that it is ready to serve. */
export async function isApiServerReady(access: Access): Promise<boolean> {
  const agent = new Agent({
    ca: await readFile(access.authority.certificate),
    cert: await readFile(access.client.certificate),
    key: await readFile(access.client.key),
  })
  const call = request(new URL('/readyz', access.server), { agent, timeout: 2000 })
  call.on('timeout', () => call.destroy(new Error('no answer from /readyz within 2 s')))
  call.end()
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  response.resume()
  agent.destroy()
  return response.statusCode === 200
}

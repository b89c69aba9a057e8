import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ControlPlane, startControlPlane } from '../cluster/controlplane.ts'

/** Names, for the test files of a Jest run, where to ask for the API server that they share. */
const ADDRESS = 'PGPACK_TEST_CONTROL_PLANE'

/**
 * One API server for all test files of a Jest run that neither stop it, nor count what it is asked, nor start
 * controllers. It is started when the first of them asks.
 */
class Lender {
  readonly #server: Server
  #plane: Promise<ControlPlane> | undefined

  constructor() {
    this.#server = createServer((_, response) => void this.#lend(response))
    // Nobody waits for Jest to end because of it.
    this.#server.unref()
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    const [plane] = await Promise.allSettled([this.#plane])
    if (plane.status === 'fulfilled') await plane.value?.stop()
  }

  async #lend(response: ServerResponse): Promise<void> {
    this.#plane ??= startControlPlane()
    try {
      response.end((await this.#plane).kubeconfig)
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  }
}

let lender: Lender | undefined

/** Jest's `globalSetup`: test files start with this process's environment. */
export async function lendControlPlane(): Promise<void> {
  lender = new Lender()
  process.env[ADDRESS] = await lender.listen()
}

/** Jest's `globalTeardown`. */
export async function endControlPlane(): Promise<void> {
  await lender?.stop()
}

/** The API server that the test files of this run share: its kubeconfig, and nothing to stop. One's own outside Jest. */
export async function sharedControlPlane(): Promise<Pick<ControlPlane, 'kubeconfig' | 'stop'>> {
  const address = process.env[ADDRESS]
  if (address === undefined) return startControlPlane()
  const response = await fetch(address)
  const text = await response.text()
  if (!response.ok) throw new Error(`no API server to share: ${text}`)
  return { kubeconfig: text, stop: async () => undefined }
}

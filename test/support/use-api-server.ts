import { afterAll, beforeAll, beforeEach } from '@jest/globals'
import type { TestApiServer } from './api-server.ts'

/**
 * Registers an API server for a test file, and a fresh namespace for each of its tests.
 * @param take gets both before each test.
 */
export function useApiServer<Server extends TestApiServer>(
  start: () => Promise<Server>,
  take: (server: Server, namespace: string) => void,
): void {
  let server: Server | undefined
  beforeAll(async () => {
    server = await start()
  }, 120_000)
  beforeEach(async () => {
    if (server !== undefined) take(server, await server.namespace())
  }, 60_000)
  afterAll(() => server?.stop(), 60_000)
}

import { afterAll, beforeAll, beforeEach } from '@jest/globals'
import { type MinioOptions, type MinioServer, startMinio } from './minio-server.ts'

// The server itself is a module of its own, for scripts that run without Jest.
export * from './minio-server.ts'

/** One server for a test file, and a fresh bucket for each of its tests. */
export function useMinio(options: MinioOptions = {}): { readonly server: MinioServer; readonly bucket: string } {
  let server: MinioServer | undefined
  let bucket = ''
  beforeAll(async () => {
    server = await startMinio(options)
  }, 300_000)
  beforeEach(async () => {
    bucket = (await server?.createBucket()) ?? ''
  })
  afterAll(async () => {
    await server?.stop()
  })
  return {
    get server() {
      if (server === undefined) throw new Error('MinIO is not running: use it inside a test')
      return server
    },
    get bucket() {
      return bucket
    },
  }
}

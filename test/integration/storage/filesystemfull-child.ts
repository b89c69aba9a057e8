import { readdir } from 'node:fs/promises'
import { toPgpackError } from '../../../src/errors.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'

const [root = ''] = process.argv.slice(2)
const { signal } = new AbortController()
const upload = new FilesystemStore(root).upload('dump/x', { signal })
let result: Record<string, unknown> = { code: undefined }
try {
  for (let n = 0; n < 4; n++) await upload.write(Buffer.alloc(1024 * 1024))
} catch (error) {
  const { code, retryable, message, details } = toPgpackError(error)
  result = { code, retryable, message, status: details.status }
}
await upload.abort()
const files = (await readdir(root, { recursive: true })).filter((name) => name !== 'dump')
process.stdout.write(JSON.stringify({ ...result, files }))

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import type { S3Options } from '../../../src/storage/location.ts'
import { S3Store } from '../../../src/storage/s3.ts'
import { MIB } from '../../../src/storage/s3parts.ts'

interface Task {
  readonly work: 'idle' | 'upload' | 'download'
  readonly options: S3Options
  readonly megabytes: number
}

const hash = createHash('sha256')
const { work, options, megabytes } = JSON.parse(await text(process.stdin)) as Task
const { signal } = new AbortController()
const store = new S3Store(options)

if (work === 'upload') {
  // The quickest answer of several tells how near the store is, also on a busy machine: else more parts are in flight.
  for (let n = 0; n < 20; n++) await store.check(signal)
  const upload = store.upload('large', { signal, headLength: 16 })
  const head = Buffer.alloc(16, 'h')
  hash.update(head)
  // One chunk, used again: garbage of the caller's would be counted as the store's.
  const chunk = Buffer.alloc(MIB)
  for (let n = 0; n < megabytes; n++) {
    chunk.fill(n % 251)
    hash.update(chunk)
    await upload.write(chunk)
  }
  await upload.complete(head)
}
if (work === 'download') {
  for await (const chunk of store.read('large', signal)) hash.update(chunk)
}
store.close()
// Not getrusage's maxrss: that one is inherited over exec, so it starts at the size of the test's own process.
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
process.stdout.write(JSON.stringify({ peakMiB: Math.round(peakKiB / 1024), sha256: hash.digest('hex') }))

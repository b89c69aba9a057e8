/** One upload of bytes that no method shrinks, in a process of its own; reads an UploadTask on stdin, prints an UploadRun. */
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { S3Options } from '../../src/storage/location.ts'
import { MIB } from '../../src/storage/s3parts.ts'
import { pseudoRandomBytes } from '../support/bytes.ts'

export interface UploadTask {
  readonly side: 'ours' | 'peer' | 'peerKnowingSize'
  readonly options: S3Options
  readonly mib: number
}

export interface UploadRun {
  readonly seconds: number
  /** Of this process, user and system, from the first request on. */
  readonly cpuSeconds: number
  /** Bytes. */
  readonly peakRSS: number
}

const { side, options, mib } = JSON.parse(await text(process.stdin)) as UploadTask
/** Made before the clock starts: what is measured is the upload. */
const chunk = pseudoRandomBytes(MIB)

async function ours(): Promise<() => Promise<void>> {
  const { S3Store } = await import('../../src/storage/s3.ts')
  return async () => {
    const store = new S3Store(options)
    const target = store.upload('ours', { signal: new AbortController().signal, headLength: 16 })
    for (let n = 0; n < mib; n++) await target.write(chunk)
    await target.complete(Buffer.alloc(16))
    store.close()
  }
}

async function putObject(size?: number): Promise<() => Promise<void>> {
  const { Client } = await import('minio')
  const { hostname, port } = new URL(options.endpoint)
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = options
  return async () => {
    const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey })
    const chunks = Array.from({ length: mib }, () => chunk)
    await client.putObject(options.bucket, side, Readable.from(chunks, { objectMode: false }), size)
  }
}

/** Libraries are loaded before the clock starts, each by its own side: they count in its memory. */
const upload = await (side === 'ours' ? ours() : putObject(side === 'peer' ? undefined : mib * MIB))
const start = performance.now()
const cpuAtStart = process.cpuUsage()
await upload()
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(cpuAtStart)
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
const done: UploadRun = { seconds, cpuSeconds: (user + system) / 1e6, peakRSS: peakKiB * 1024 }
process.stdout.write(JSON.stringify(done), () => process.exit())

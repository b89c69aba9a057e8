/** One upload of bytes that no method shrinks, in a process of its own; reads an UploadTask on stdin, prints an UploadRun. */
import { Session } from 'node:inspector/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { S3Options } from '../../src/storage/location.ts'
import { MIB } from '../../src/storage/s3parts.ts'
import { pseudoRandomBytes } from '../support/bytes.ts'
import { type MachineTime, machineTime, peakResident, secondsByName, threadTimes } from './proc.ts'
import { mostSeen, type Profile } from './profile.ts'

export interface UploadTask {
  readonly side: 'ours' | 'peer' | 'peerKnowingSize'
  readonly options: S3Options
  readonly mib: number
  /** Whether the sampling profiler looks on, which takes its time. */
  readonly profiled?: boolean
}

export interface UploadRun {
  readonly seconds: number
  /** Of this process, user and system, from the first request on. */
  readonly cpuSeconds: number
  /** Bytes. */
  readonly peakRSS: number
  /** What all cores did meanwhile. */
  readonly machine: MachineTime
  /** CPU seconds by the names of threads, and what the main thread was seen in. */
  readonly profile: Pick<Profile, 'threads' | 'mainThread'> | undefined
}

const { side, options, mib, profiled = false } = JSON.parse(await text(process.stdin)) as UploadTask
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

const threadSeconds = () => secondsByName(threadTimes(process.pid).values())

/** What was seen while `work` ran; nothing where no profile is wanted. */
async function watched(work: () => Promise<void>): Promise<UploadRun['profile']> {
  if (!profiled) {
    await work()
    return undefined
  }
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.start')
  const before = threadSeconds()
  await work()
  const threads = Object.entries(threadSeconds()).map(([name, s]) => [name, s - (before[name] ?? 0)])
  const { profile } = await session.post('Profiler.stop')
  return { threads: Object.fromEntries(threads), mainThread: mostSeen(profile) }
}

/** Libraries are loaded before the clock starts, each by its own side: they count in its memory. */
const upload = await (side === 'ours' ? ours() : putObject(side === 'peer' ? undefined : mib * MIB))
const machineAtStart = machineTime()
const start = performance.now()
const cpuAtStart = process.cpuUsage()
const profile = await watched(upload)
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(cpuAtStart)
const { busy, idle } = machineTime()
const done: UploadRun = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakRSS: peakResident(process.pid),
  machine: { busy: busy - machineAtStart.busy, idle: idle - machineAtStart.idle },
  profile,
}
process.stdout.write(JSON.stringify(done), () => process.exit())

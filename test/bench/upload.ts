/**
 * Uploads to a real MinIO that is 30 ms away: ours beside the minio client's putObject, of a stream of unknown size (as a
 * dump is) and of known size. `node test/bench/upload.ts --mib 512 --rounds 5` prints a table.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { MIB } from '../../src/storage/s3parts.ts'
import { run } from '../cluster/processes.ts'
import { startMinio } from '../support/minio-server.ts'
import type { UploadRun, UploadTask } from './upload-child.ts'

/** Of each round, MB/s (10^6 bytes). */
export interface UploadFigures {
  readonly ours: readonly number[]
  /** putObject of a stream of unknown size. */
  readonly peer: readonly number[]
  /** putObject that is told the size; no dump can do that. */
  readonly peerKnowingSize: readonly number[]
  /** The highest resident set of each side over all rounds, bytes. */
  readonly peakRSS: Readonly<Record<UploadTask['side'], number>>
}

export interface UploadBenchOptions {
  /** Size of the object. */
  readonly mib: number
  readonly rounds: number
  /** 30 when not given. */
  readonly roundTripMs?: number
}

const SIDES = ['ours', 'peer', 'peerKnowingSize'] as const

/** Every side once a round, one after another, each in a process of its own. */
export async function benchUpload({ mib, rounds, roundTripMs = 30 }: UploadBenchOptions): Promise<UploadFigures> {
  const minio = await startMinio()
  const network = await startNetwork(minio.port, roundTripMs)
  const speeds = { ours: [] as number[], peer: [] as number[], peerKnowingSize: [] as number[] }
  const peakRSS = { ours: 0, peer: 0, peerKnowingSize: 0 }
  try {
    const options = minio.options(await minio.createBucket(), { via: network })
    for (let round = 0; round < rounds; round++) {
      for (const side of SIDES) {
        const done = await uploadOnce({ side, options, mib })
        speeds[side].push((mib * MIB) / 1e6 / done.seconds)
        peakRSS[side] = Math.max(peakRSS[side], done.peakRSS)
      }
    }
    return { ...speeds, peakRSS }
  } finally {
    await network.stop()
    await minio.stop()
  }
}

async function uploadOnce(task: UploadTask): Promise<UploadRun> {
  const script = new URL('upload-child.ts', import.meta.url).pathname
  const input = JSON.stringify(task)
  return JSON.parse(await run(process.execPath, ['--disable-warning=ExperimentalWarning', script], { input }))
}

async function startNetwork(target: number, roundTripMs: number): Promise<{ port: number; stop(): Promise<void> }> {
  const script = new URL('upload-proxy.ts', import.meta.url).pathname
  const args = ['--disable-warning=ExperimentalWarning', script, String(target), String(roundTripMs)]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the proxy did not start'))),
  ])
  const stop = async () => {
    child.stdin.end()
    await ended
  }
  return { port: Number(line), stop }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      mib: { type: 'string', default: '512' },
      rounds: { type: 'string', default: '5' },
      ms: { type: 'string', default: '30' },
    },
  })
  const { mib, rounds, ms } = values
  const figures = await benchUpload({ mib: Number(mib), rounds: Number(rounds), roundTripMs: Number(ms) })
  const ours = median(figures.ours)
  process.stdout.write(
    '| upload | median MB/s | min | max | ours is faster by | peak RSS, MiB |\n|---|---|---|---|---|---|\n',
  )
  for (const side of SIDES) {
    const speeds = figures[side]
    const cells = [median(speeds), Math.min(...speeds), Math.max(...speeds)].map((speed) => speed.toFixed(0))
    const ratio = (ours / median(speeds)).toFixed(2)
    process.stdout.write(
      `| ${side} | ${cells.join(' | ')} | ${ratio} | ${(figures.peakRSS[side] / MIB).toFixed(0)} |\n`,
    )
  }
}

if (import.meta.main) await main()

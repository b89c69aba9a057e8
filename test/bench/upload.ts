/**
 * Uploads to a real MinIO that is 30 ms away: ours beside the minio client's putObject, of a stream of unknown size (as a
 * dump is) and of known size. `node test/bench/upload.ts --mib 512 --rounds 5` prints a table. As root, on Linux.
 *
 * The server keeps its objects in memory: one that is far away writes to no disk of this machine's.
 */
import { parseArgs } from 'node:util'
import { MIB } from '../../src/storage/s3parts.ts'
import { run } from '../cluster/processes.ts'
import type { UploadTask } from './upload-child.ts'

/** Of each round, MB/s (10^6 bytes). */
export interface UploadFigures {
  readonly ours: readonly number[]
  /** putObject of a stream of unknown size. */
  readonly peer: readonly number[]
  /** putObject that is told the size; no dump can do that. */
  readonly peerKnowingSize: readonly number[]
  /** Of each side's process, by round. */
  readonly cpuSeconds: Readonly<Record<UploadTask['side'], readonly number[]>>
  /** The highest resident set of each side over all rounds, bytes. */
  readonly peakRSS: Readonly<Record<UploadTask['side'], number>>
}

export interface UploadBench {
  /** Size of the object. */
  readonly mib: number
  readonly rounds: number
  /** 30 when not given. */
  readonly roundTripMs?: number
}

export const SIDES = ['ours', 'peer', 'peerKnowingSize'] as const

/** Every side once a round, one after another, each in a process of its own. */
export async function benchUpload(bench: UploadBench): Promise<UploadFigures> {
  const script = new URL('upload-far.ts', import.meta.url).pathname
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', script]
  const env = { TMPDIR: '/dev/shm' }
  return JSON.parse(await run('unshare', ['--net', '--', ...command], { input: JSON.stringify(bench), env }))
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
    '| upload | median MB/s | min | max | ours is faster by | CPU s | peak RSS, MiB |\n|---|---|---|---|---|---|---|\n',
  )
  for (const side of SIDES) {
    const speeds = figures[side]
    const cells = [median(speeds), Math.min(...speeds), Math.max(...speeds)].map((speed) => speed.toFixed(0))
    const ratio = (ours / median(speeds)).toFixed(2)
    const cpu = median(figures.cpuSeconds[side]).toFixed(2)
    const peak = (figures.peakRSS[side] / MIB).toFixed(0)
    process.stdout.write(`| ${side} | ${cells.join(' | ')} | ${ratio} | ${cpu} | ${peak} |\n`)
  }
}

if (import.meta.main) await main()

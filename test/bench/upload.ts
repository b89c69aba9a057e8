/**
 * Uploads to a real MinIO that is 30 ms away: ours beside the minio client's putObject, of a stream of unknown size (as a
 * dump is) and of known size. `node test/bench/upload.ts --mib 512 --rounds 5` prints a table. As root, on Linux.
 *
 * The server keeps its objects in memory: one that is far away writes to no disk of this machine's.
 */
import { parseArgs } from 'node:util'
import { MIB } from '../../src/storage/s3parts.ts'
import { run } from '../cluster/processes.ts'
import { summarize } from './report.ts'
import type { UploadRun, UploadTask } from './upload-child.ts'

export interface UploadFigures {
  /** By round: of ours, of putObject of a stream of unknown size, and told the size, as no dump can do. */
  readonly runs: Readonly<Record<UploadTask['side'], readonly UploadRun[]>>
  /** One more run of ours. */
  readonly profiled: UploadRun
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

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      mib: { type: 'string', default: '512' },
      rounds: { type: 'string', default: '5' },
      ms: { type: 'string', default: '30' },
    },
  })
  const mib = Number(values.mib)
  const { runs } = await benchUpload({ mib, rounds: Number(values.rounds), roundTripMs: Number(values.ms) })
  const seconds = (side: UploadTask['side']) => summarize(runs[side].map((run) => run.seconds))?.median ?? Number.NaN
  process.stdout.write('| upload | median MiB/s | ours is faster by | CPU s | peak RSS, MiB |\n|---|---|---|---|---|\n')
  for (const side of SIDES) {
    const cpu = summarize(runs[side].map((run) => run.cpuSeconds))?.median
    const peak = Math.max(...runs[side].map((run) => run.peakRSS)) / MIB
    const ratio = seconds(side) / seconds('ours')
    const cells = [mib / seconds(side), ratio, cpu, peak].map((value) => value?.toFixed(2))
    process.stdout.write(`| ${side} | ${cells.join(' | ')} |\n`)
  }
}

if (import.meta.main) void main()

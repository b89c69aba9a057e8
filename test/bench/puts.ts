import { type Line, type Summary, summarize } from './report.ts'
import { benchUpload } from './upload.ts'
import type { UploadTask } from './upload-child.ts'

const MIB = 1024 ** 2
const NETWORK = '30 ms away'
const PEER = 'minio putObject, size unknown as in a dump'
const KNOWING = 'minio putObject, size known'

/** Uploads into a store that is 30 ms away, as lines of the report. */
export async function uploadLines(mebibytes: number, rounds: number): Promise<Line[]> {
  const figures = await benchUpload({ mib: mebibytes, rounds })
  const line = (name: string, side: UploadTask['side'], speeds = figures[side]): Line => ({
    section: 'upload',
    contest: `upload of ${mebibytes} MiB, ${NETWORK}`,
    name,
    rounds: speeds.length,
    seconds: summarize(speeds.map((speed) => (mebibytes * MIB) / 1e6 / speed)),
    mebibytesPerSecond: megabytes(summarize(speeds)),
    ratio: summarize(speeds.flatMap((speed, round) => speed / (figures.peer[round] ?? speed))),
    against: PEER,
    atLeast: undefined,
    reachFor: undefined,
    cpuSeconds: summarize(figures.cpuSeconds[side])?.median,
    serverSeconds: undefined,
    idleSeconds: undefined,
    peakMiB: figures.peakRSS[side] / MIB,
    memoryLimitMiB: undefined,
    failure: undefined,
  })
  return [
    line(PEER, 'peer'),
    line(KNOWING, 'peerKnowingSize'),
    { ...line('pgpack upload', 'ours'), atLeast: 3.5, reachFor: 4.5 },
  ]
}

/** MB/s of a million bytes to MiB/s. */
function megabytes(speed: Summary | undefined): number | undefined {
  return speed === undefined ? undefined : (speed.median * 1e6) / MIB
}

import { type Line, type Summary, summarize } from './report.ts'
import { benchUpload } from './upload.ts'

const MIB = 1024 ** 2
const NETWORK = '30 ms away'
const PEER = 'minio putObject, size unknown as in a dump'
const KNOWING = 'minio putObject, size known'

/** Uploads into a store that is 30 ms away, as lines of the report. */
export async function uploadLines(mebibytes: number, rounds: number): Promise<Line[]> {
  const { ours, peer, peerKnowingSize, peakRSS } = await benchUpload({ mib: mebibytes, rounds })
  const line = (name: string, speeds: readonly number[], peak: number): Line => ({
    section: 'upload',
    contest: `upload of ${mebibytes} MiB, ${NETWORK}`,
    name,
    rounds: speeds.length,
    seconds: summarize(speeds.map((speed) => (mebibytes * MIB) / 1e6 / speed)),
    mebibytesPerSecond: megabytes(summarize(speeds)),
    ratio: summarize(speeds.flatMap((speed, round) => speed / (peer[round] ?? speed))),
    against: PEER,
    atLeast: undefined,
    reachFor: undefined,
    cpuSeconds: undefined,
    serverSeconds: undefined,
    idleSeconds: undefined,
    peakMiB: peak / MIB,
    memoryLimitMiB: undefined,
    failure: undefined,
  })
  return [
    line(PEER, peer, peakRSS.peer),
    line(KNOWING, peerKnowingSize, peakRSS.peerKnowingSize),
    { ...line('pgpack upload', ours, peakRSS.ours), atLeast: 3.5, reachFor: 4.5 },
  ]
}

/** MB/s of a million bytes to MiB/s. */
function megabytes(speed: Summary | undefined): number | undefined {
  return speed === undefined ? undefined : (speed.median * 1e6) / MIB
}

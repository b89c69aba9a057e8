import type { Profile } from './profile.ts'
import { type Line, summarize } from './report.ts'
import { benchUpload } from './upload.ts'
import type { UploadRun } from './upload-child.ts'

const MIB = 1024 ** 2
const PEER = 'minio putObject, size unknown as in a dump'
const KNOWING = 'minio putObject, size known'
const OURS = 'pgpack upload'

/** Uploads into a store that is 30 ms away, as lines of the report, and where the time of ours goes. */
export async function uploadLines(mebibytes: number, rounds: number): Promise<{ lines: Line[]; profile: Profile }> {
  const { runs, profiled } = await benchUpload({ mib: mebibytes, rounds })
  const contest = `upload of ${mebibytes} MiB, 30 ms away`
  const line = (name: string, done: readonly UploadRun[]): Line => {
    const seconds = summarize(done.map((run) => run.seconds))
    return {
      section: 'upload',
      contest,
      name,
      rounds: done.length,
      seconds,
      mebibytesPerSecond: seconds === undefined ? undefined : mebibytes / seconds.median,
      ratio: summarize(done.map((run, round) => (runs.peer[round]?.seconds ?? Number.NaN) / run.seconds)),
      against: PEER,
      atLeast: undefined,
      reachFor: undefined,
      cpuSeconds: summarize(done.map((run) => run.cpuSeconds))?.median,
      serverSeconds: summarize(done.map(serversOf))?.median,
      idleSeconds: summarize(done.map((run) => run.machine.idle))?.median,
      peakMiB: Math.max(...done.map((run) => run.peakRSS)) / MIB,
      memoryLimitMiB: undefined,
      failure: undefined,
    }
  }
  const lines = [
    line(PEER, runs.peer),
    line(KNOWING, runs.peerKnowingSize),
    { ...line(OURS, runs.ours), atLeast: 3.5, reachFor: 4.5 },
  ]
  const { seconds, machine, profile: seen = { threads: {}, mainThread: [] } } = profiled
  const profile = { contest, name: OURS, seconds, ...seen, servers: serversOf(profiled), idle: machine.idle }
  return { lines, profile }
}

function serversOf({ machine, cpuSeconds }: UploadRun): number {
  return Math.max(0, machine.busy - cpuSeconds)
}

/**
 * The rounds of upload.ts, in a network namespace of this process's own: reads an UploadBench on stdin, prints UploadFigures.
 * Each upload is made in a namespace a round trip away (test/cluster/go/farlink), with the kernel's own TCP at both ends.
 */
import { text } from 'node:stream/consumers'
import { run } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import { startMinio } from '../support/minio-server.ts'
import { SIDES, type UploadBench, type UploadFigures } from './upload.ts'
import type { UploadRun, UploadTask } from './upload-child.ts'

/** What farlink takes the way back from. */
const NEAR_ADDRESS = '192.0.2.1'

const CHILD = new URL('upload-child.ts', import.meta.url).pathname

/** One upload of an object that the side writes again each round, far away. */
async function uploadOnce(farlink: string, task: UploadTask, roundTripMs: number): Promise<UploadRun> {
  const child = [process.execPath, '--disable-warning=ExperimentalWarning', CHILD]
  return JSON.parse(await run(farlink, [String(roundTripMs), ...child], { input: JSON.stringify(task) }))
}

async function measure({ mib, rounds, roundTripMs = 30 }: UploadBench): Promise<UploadFigures> {
  const { farlink } = await ensureTools(['farlink'])
  const minio = await startMinio({ host: NEAR_ADDRESS })
  const runs: Record<UploadTask['side'], UploadRun[]> = { ours: [], peer: [], peerKnowingSize: [] }
  try {
    const options = minio.options(await minio.createBucket())
    for (let round = 0; round < rounds; round++) {
      for (const side of SIDES) runs[side].push(await uploadOnce(farlink, { side, options, mib }, roundTripMs))
    }
    return { runs, profiled: await uploadOnce(farlink, { side: 'ours', options, mib, profiled: true }, roundTripMs) }
  } finally {
    await minio.stop()
  }
}

await run('ip', ['link', 'set', 'lo', 'up'])
await run('ip', ['address', 'add', `${NEAR_ADDRESS}/32`, 'dev', 'lo'])
process.stdout.write(JSON.stringify(await measure(JSON.parse(await text(process.stdin)))))

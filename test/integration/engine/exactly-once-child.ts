import { createInterface } from 'node:readline'
import { ProgressMeter } from '../../../src/engine/progress.ts'
import { type ArtifactRestoreRequest, restore } from '../../../src/engine/restore.ts'
import { silentLogger } from '../../../src/log.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'

/** A restore in a process of its own, so that a test can kill it: one request, as JSON on the first line of stdin. */
interface ChildRequest extends Omit<ArtifactRestoreRequest, 'store'> {
  readonly folder: string
}

process.stdout.write('ready\n')
for await (const line of createInterface(process.stdin)) {
  const { folder, ...request } = JSON.parse(line) as ChildRequest
  const progress = new ProgressMeter(() => undefined, { now: () => performance.now(), intervalMs: 1000 })
  const context = { signal: new AbortController().signal, log: silentLogger, progress }
  await restore({ ...request, store: new FilesystemStore(folder) }, context)
  process.exit(0)
}

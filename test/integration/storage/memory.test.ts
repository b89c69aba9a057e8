import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import type { S3Options } from '../../../src/storage/location.ts'
import { run } from '../../cluster/processes.ts'
import { useMinio } from '../../support/minio.ts'

jest.setTimeout(300_000)

const minio = useMinio()

interface Peak {
  readonly peakMiB: number
  readonly sha256: string
}

/** In a process of its own, started afresh: what the test's own process keeps must not count. */
async function measure(work: 'idle' | 'upload' | 'download', options: S3Options, megabytes: number): Promise<Peak> {
  const script = join(import.meta.dirname, 'memory-child.ts')
  const input = JSON.stringify({ work, options, megabytes })
  return JSON.parse(await run(process.execPath, ['--disable-warning=ExperimentalWarning', script], { input })) as Peak
}

describe('memory', () => {
  it('does not grow with the object', async () => {
    const options = minio.server.options(minio.bucket)
    const idle = await measure('idle', options, 0)
    const uploads = [await measure('upload', options, 100), await measure('upload', options, 400)]
    const downloads = [await measure('download', options, 400)]
    const [small, large] = uploads
    expect(downloads[0]?.sha256).toBe(large?.sha256)
    // 4 parts in flight, one being gathered and one that waits for its head are 30 MiB.
    for (const { peakMiB } of uploads) expect(peakMiB - idle.peakMiB).toBeLessThan(65)
    expect((large?.peakMiB ?? 0) - (small?.peakMiB ?? 0)).toBeLessThan(10)
    // 16 MiB are read ahead; what was handed over waits for the collector.
    for (const { peakMiB } of downloads) expect(peakMiB - idle.peakMiB).toBeLessThan(130)
  })
})

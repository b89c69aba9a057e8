import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, jest } from '@jest/globals'
import { run } from '../../cluster/processes.ts'

jest.setTimeout(60_000)

/** Runs the child with a file system of its own, seen by nobody else (mount namespace). */
async function onSmallVolume(options: string): Promise<unknown> {
  const root = await mkdtemp(join(tmpdir(), 'pgpack-small-'))
  const child = join(import.meta.dirname, 'filesystemfull-child.ts')
  const node = `"${process.execPath}" --disable-warning=ExperimentalWarning "${child}" "${root}"`
  const script = `mount -t tmpfs -o ${options} none "${root}" && exec ${node}`
  try {
    return JSON.parse(await run('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', script]))
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

describe('a volume', () => {
  it('that is full ends the upload as STORE_FULL, and nothing is left on it', async () => {
    expect(await onSmallVolume('size=1m')).toMatchObject({
      code: 'STORE_FULL',
      retryable: false,
      message: expect.stringContaining('free space'),
      status: 'ENOSPC',
      files: [],
    })
  })

  it('that is mounted read-only is STORE_DENIED', async () => {
    expect(await onSmallVolume('size=1m,ro')).toMatchObject({
      code: 'STORE_DENIED',
      status: 'EROFS',
      files: [],
    })
  })
})

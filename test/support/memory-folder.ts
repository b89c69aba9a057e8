import { existsSync } from 'node:fs'
import { readdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'

/** Where Linux has a file system in memory. */
const FOLDER = '/dev/shm'
/** What the servers of a few test files may need together; containers often have 64 MiB there. */
const NEEDED_BYTES = 4 * 2 ** 30

/**
 * A folder in memory with room for servers' data; undefined where there is none. What killed processes have left there
 * is removed first, because it would keep its memory.
 * @param prefix of what the caller makes in the folder, followed by its process ID and a dash.
 */
export async function memoryFolder(prefix: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined
  try {
    for (const name of await readdir(FOLDER)) {
      if (name.startsWith(prefix) && hasEnded(Number.parseInt(name.slice(prefix.length), 10))) {
        await rm(join(FOLDER, name), { recursive: true, force: true })
      }
    }
    const { bavail, bsize } = await statfs(FOLDER)
    return bavail * bsize >= NEEDED_BYTES ? FOLDER : undefined
  } catch (error) {
    // It may be missing, or be another's; the disk serves as well.
    if (['ENOENT', 'EACCES', 'EPERM', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

function hasEnded(processId: number): boolean {
  return !existsSync(`/proc/${processId}`)
}

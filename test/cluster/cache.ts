import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { say } from './progress.ts'
import { readSettings } from './settings.ts'

/**
 * A file or directory of the cache, made by `make` where it is not there yet.
 *
 * `make` gets a path beside the final one and fills it; a rename then puts it in place, so that an
 * interrupted build leaves nothing half. Two processes that want the same thing build it once.
 * @param key path below the cache directory; it must name everything the content depends on.
 */
export async function cached(key: string, make: (path: string) => Promise<void>): Promise<string> {
  const path = join(readSettings().cacheDirectory, key)
  if (existsSync(path)) return path
  return withLock(path, async () => {
    if (existsSync(path)) return path
    await mkdir(dirname(path), { recursive: true })
    const prefix = `.making-${basename(path)}-`
    if (canLock) await removeInterrupted(dirname(path), prefix)
    const workDirectory = await mkdtemp(join(dirname(path), prefix))
    try {
      const made = join(workDirectory, basename(path))
      await make(made)
      if (!existsSync(path)) await rename(made, path)
    } finally {
      await rm(workDirectory, { recursive: true, force: true })
    }
    return path
  })
}

/** What killed runs have left of the same thing: whoever holds its lock is alone with it. */
async function removeInterrupted(directory: string, prefix: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith(prefix)) await rm(join(directory, name), { recursive: true, force: true })
  }
}

/** Elsewhere two processes may build the same thing at once; the first rename counts. */
const canLock = process.platform === 'linux'

/**
 * Runs `work` while no other process of this machine runs under the same name.
 *
 * The lock is a listening socket in Linux's abstract namespace: the kernel frees it with its
 * process, so a killed run never leaves a stale lock behind.
 */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  if (!canLock) return work()
  const address = `\0pgpack-operator-${digest(name)}`
  const server = createServer()
  let waiting = false
  for (;;) {
    try {
      server.listen(address)
      await once(server, 'listening')
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      if (!waiting) say(`waiting for another process that holds ${name}`)
      waiting = true
      await delay(200)
    }
  }
  try {
    return await work()
  } finally {
    server.close()
  }
}

/** A short digest (12 hexadecimal digits) that names content in cache keys and image tags. */
export function digest(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) {
    // The length keeps ('ab', 'c') and ('a', 'bc') apart.
    hash.update(`${part.length}:`)
    hash.update(part)
  }
  return hash.digest('hex').slice(0, 12)
}

/** The digest of files' names and contents. */
export async function digestFiles(paths: readonly string[]): Promise<string> {
  const contents = await Promise.all(paths.map((path) => readFile(path)))
  return digest(...paths.map((path) => basename(path)), ...contents)
}

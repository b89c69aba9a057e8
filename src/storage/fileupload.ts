import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errorCode, PgpackError } from '../errors.ts'
import { type StoreContext, storeError } from './errors.ts'
import type { ObjectInfo, ObjectUpload, UploadOptions } from './store.ts'

const partialName = /^\..*\.[0-9a-f]{16}\.partial$/su

/** Whether a file name is that of an upload which is not complete. */
export function isPartial(name: string): boolean {
  return partialName.test(name)
}

/** Beside the target, so that the rename stays within one file system; short enough whatever the target's name. */
function partialPath(target: string): string {
  const name = [...basename(target)].slice(0, 50).join('')
  return join(dirname(target), `.${name}.${randomBytes(8).toString('hex')}.partial`)
}

/**
 * A file on its way: written under a partial name, synced, renamed, and its folders synced, so that after a crash of
 * the machine the file is there whole or not at all (rename(2), fsync(2)).
 */
export class FileUpload implements ObjectUpload {
  readonly #root: string
  readonly #key: string
  readonly #target: string
  readonly #partial: string
  readonly #options: UploadOptions
  readonly #context: StoreContext
  #size: number
  #file: FileHandle | undefined
  #error: PgpackError | undefined
  #renamed = false
  #complete = false
  /** The call in progress: `abort` must not take its file away. */
  #busy: Promise<unknown> = Promise.resolve()

  constructor(root: string, key: string, options: UploadOptions, context: StoreContext) {
    this.#root = root
    this.#key = key
    this.#target = join(root, key)
    this.#partial = partialPath(this.#target)
    this.#options = options
    this.#context = context
    this.#size = options.headLength ?? 0
  }

  get size(): number {
    return this.#size
  }

  write(chunk: Buffer): Promise<void> {
    return this.#step(async (file) => {
      await writeAll(file, chunk, this.#size)
      this.#size += chunk.length
    })
  }

  complete(head?: Buffer): Promise<ObjectInfo> {
    return this.#step(async (file) => {
      const headLength = this.#options.headLength ?? 0
      if ((head?.length ?? 0) !== headLength) {
        const found = `${head?.length ?? 0} bytes`
        throw new PgpackError('INTERNAL', `the head of ${this.#key} has ${found}, not ${headLength}`)
      }
      if (head !== undefined) await writeAll(file, head, 0)
      await this.#publish(file)
      this.#complete = true
      return { key: this.#key, size: this.#size }
    })
  }

  async abort(): Promise<void> {
    if (this.#complete) return
    this.#error ??= new PgpackError('CANCELLED', `the writing of ${this.#key} was given up`)
    await Promise.allSettled([this.#busy])
    if (this.#complete) return
    try {
      await this.#close()
      await rm(this.#partial, { force: true })
      if (this.#renamed) await rm(this.#target, { force: true })
    } catch (error) {
      throw storeError(error, { ...this.#context, action: `remove what was written of ${this.#key}` })
    }
  }

  /** One call after another, on the open file; the first failure is kept. */
  #step<T>(work: (file: FileHandle) => Promise<T>): Promise<T> {
    const run = async () => {
      if (this.#error !== undefined) throw this.#error
      if (this.#complete) throw new PgpackError('INTERNAL', `the writing of ${this.#key} is complete already`)
      try {
        this.#options.signal.throwIfAborted()
        this.#file ??= await this.#open()
        return await work(this.#file)
      } catch (error) {
        this.#error ??= storeError(error, this.#context)
        throw this.#error
      }
    }
    const result = run()
    this.#busy = result
    return result
  }

  async #open(): Promise<FileHandle> {
    try {
      await makeFolder(dirname(this.#target))
      return await open(this.#partial, 'wx')
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
      // Not a missing object, which is what ENOENT means of a read: the folder was removed meanwhile.
      throw new PgpackError(
        'STORE_FAILED',
        `the folder of ${this.#target} was removed meanwhile; run again, and let nobody clean up there`,
        { cause: error },
      )
    }
  }

  async #publish(file: FileHandle): Promise<void> {
    await file.sync()
    await this.#close()
    this.#options.signal.throwIfAborted()
    await rename(this.#partial, this.#target)
    this.#renamed = true
    for (let folder = dirname(this.#target); ; folder = dirname(folder)) {
      await syncFolder(folder)
      if (folder === this.#root || folder === dirname(folder)) return
    }
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }
}

/** As `mkdir -p`. Node's own way (24) says ENOENT where the file system is read-only. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    if (errorCode(error) !== 'ENOENT') throw error
    await makeFolder(dirname(path))
    await makeFolder(path)
  }
}

async function writeAll(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done)
    done += bytesWritten
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } catch (error) {
    // Some network file systems cannot sync a folder; there the rename is as durable as they make it.
    if (!['EINVAL', 'ENOTSUP', 'EBADF'].includes(errorCode(error) ?? '')) throw error
  } finally {
    await folder.close()
  }
}

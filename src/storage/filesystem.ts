import type { Dirent } from 'node:fs'
import { access, constants, type FileHandle, open, readdir, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { errorCode, PgpackError } from '../errors.ts'
import { own } from '../memory.ts'
import { type StoreContext, storeError } from './errors.ts'
import { FileUpload, isPartial } from './fileupload.ts'
import { checkKey } from './keys.ts'
import { rangeEnd } from './range.ts'
import type { ByteRange, ObjectInfo, ObjectStore, ObjectUpload, UploadOptions } from './store.ts'

const READ_SIZE = 1024 * 1024

/** A folder: a mounted volume, or where the command line was told to read and write. Keys are paths below it. */
export class FilesystemStore implements ObjectStore {
  readonly location: string
  readonly #root: string

  constructor(root: string) {
    this.#root = resolve(root)
    this.location = pathToFileURL(this.#root).href
  }

  upload(key: string, options: UploadOptions): ObjectUpload {
    return new FileUpload(this.#root, checkKey(key), options, this.#context(`write ${key}`, options.signal))
  }

  async *read(key: string, signal: AbortSignal, range: ByteRange = { offset: 0 }): AsyncGenerator<Buffer, void> {
    const context = this.#context(`read ${key}`, signal)
    let file: FileHandle | undefined
    try {
      signal.throwIfAborted()
      file = await open(this.#path(key))
      yield* readAhead({ key, file }, range.offset, rangeEnd(key, await fileSize(file), range), signal)
    } catch (error) {
      throw storeError(error, context)
    } finally {
      await file?.close()
    }
  }

  async stat(key: string, signal: AbortSignal): Promise<ObjectInfo> {
    return this.#attempt(`find ${key}`, signal, async () => {
      const found = await stat(this.#path(key))
      if (found.isFile()) return { key, size: found.size }
      throw Object.assign(new Error(`${key} is not a file`), { code: 'ENOENT' })
    })
  }

  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo, void> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    if (folder !== '') checkKey(folder.slice(0, -1))
    for await (const { key, isWhole } of this.#walk(folder, prefix, signal)) {
      if (isWhole) yield await this.stat(key, signal)
    }
  }

  /** Folders that become empty go too: in a bucket there would be none. */
  async remove(keys: readonly string[], signal: AbortSignal): Promise<void> {
    for (const key of keys) {
      await this.#attempt(`remove ${key}`, signal, async () => {
        await unless(['ENOENT', 'ENOTDIR'], unlink(this.#path(key)))
        await this.#removeEmptyFolders(dirname(this.#path(key)))
      })
    }
  }

  async abortUploads(prefix: string, signal: AbortSignal, wanted = (_: string) => true): Promise<number> {
    const partial: string[] = []
    for await (const { key, isWhole } of this.#walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, signal)) {
      if (!isWhole && wanted(key)) partial.push(key)
    }
    await this.remove(partial, signal)
    return partial.length
  }

  async check(signal: AbortSignal): Promise<void> {
    const context = this.#context('use this folder', signal)
    try {
      signal.throwIfAborted()
      if (!(await stat(this.#root)).isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' })
      await access(this.#root, constants.R_OK | constants.X_OK)
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw storeError(error, context)
      const advice = 'create it, or mount the volume there'
      throw new PgpackError('STORE_NO_BUCKET', `${context.where} is not a folder; ${advice}`, { cause: error })
    }
  }

  close(): void {
    // Every call closes what it opened.
  }

  #path(key: string): string {
    return join(this.#root, checkKey(key))
  }

  #context(action: string, signal: AbortSignal): StoreContext {
    return { action, where: this.#root, signal }
  }

  async #attempt<T>(action: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted()
      return await work()
    } catch (error) {
      throw storeError(error, this.#context(action, signal))
    }
  }

  /** Files below a folder; those that are not whole are on their way, or were left by a writer that was killed. */
  async *#walk(
    folder: string,
    prefix: string,
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly key: string; readonly isWhole: boolean }, void> {
    for (const entry of await this.#entries(folder, signal)) {
      const key = `${folder}${entry.name}`
      if (entry.isDirectory()) {
        // Only where keys with the prefix can be: one is the beginning of the other.
        if (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`)) yield* this.#walk(`${key}/`, prefix, signal)
      } else if (entry.isFile() && key.startsWith(prefix)) {
        yield { key, isWhole: !isPartial(entry.name) }
      }
    }
  }

  /** In the order in which S3 lists: by the bytes of the whole key, in which a folder's name ends in `/`. */
  async #entries(folder: string, signal: AbortSignal): Promise<Dirent[]> {
    const entries = await this.#attempt(`list ${folder || 'objects'}`, signal, () =>
      unless(['ENOENT', 'ENOTDIR'], readdir(join(this.#root, folder), { withFileTypes: true })),
    )
    const order = (entry: Dirent) => Buffer.from(entry.isDirectory() ? `${entry.name}/` : entry.name)
    return (entries ?? []).sort((a, b) => Buffer.compare(order(a), order(b)))
  }

  async #removeEmptyFolders(folder: string): Promise<void> {
    for (let path = folder; path !== this.#root; path = dirname(path)) {
      const removed = await unless(
        ['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST'],
        rmdir(path).then(() => true),
      )
      if (removed === undefined) return
    }
  }
}

/** The result, or undefined when it failed with one of these codes. */
async function unless<T>(codes: readonly string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (codes.includes(errorCode(error) ?? '')) return undefined
    throw error
  }
}

async function fileSize(file: FileHandle): Promise<number> {
  const found = await file.stat()
  if (found.isFile()) return found.size
  throw Object.assign(new Error('it is not a file'), { code: 'EISDIR' })
}

interface OpenedFile {
  readonly key: string
  readonly file: FileHandle
}

/** Chunks of 1 MiB, the next one being read while the last one is used. */
async function* readAhead(
  file: OpenedFile,
  from: number,
  to: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  let next = from < to ? settledRead(file, from, to) : undefined
  try {
    for (let at = from; next !== undefined; ) {
      signal.throwIfAborted()
      const result = await next
      next = undefined
      if ('error' in result) throw result.error
      at += result.chunk.length
      next = at < to ? settledRead(file, at, to) : undefined
      yield result.chunk
    }
  } finally {
    // The file is closed after this, and must not be while it is read.
    await next
  }
}

type ReadResult = { readonly chunk: Buffer } | { readonly error: unknown }

async function settledRead({ key, file }: OpenedFile, at: number, to: number): Promise<ReadResult> {
  try {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_SIZE, to - at))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
    if (bytesRead > 0) return { chunk: own(buffer).subarray(0, bytesRead) }
    const [expected, found] = [`${to} bytes`, `${at} bytes`]
    const message = `${key} became shorter while it was read: it has ${found}, not ${expected}; find out what writes to it`
    throw new PgpackError('STORE_FAILED', message, { expected, found })
  } catch (error) {
    return { error }
  }
}

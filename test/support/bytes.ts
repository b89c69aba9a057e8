import { createCipheriv, createHash } from 'node:crypto'
import type { ObjectInfo, ObjectStore, UploadOptions } from '../../src/storage/store.ts'

/** Bytes that do not compress and do not repeat, the same on every run. */
export function pseudoRandomBytes(length: number, seed = 0): Buffer {
  const key = createHash('sha256').update(`seed ${seed}`).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export async function toArray<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await toArray(chunks))
}

/** Writes the bytes in chunks and completes; the upload is given up when that fails. */
export async function putBytes(
  store: ObjectStore,
  key: string,
  bytes: Buffer,
  options: Partial<UploadOptions> & { readonly head?: Buffer; readonly chunkSize?: number } = {},
): Promise<ObjectInfo> {
  const { head, chunkSize = 1024 * 1024, signal = new AbortController().signal, ...rest } = options
  const headLength = head === undefined ? {} : { headLength: head.length }
  const upload = store.upload(key, { signal, ...headLength, ...rest })
  try {
    for (let at = 0; at < bytes.length; at += chunkSize) await upload.write(bytes.subarray(at, at + chunkSize))
    return await upload.complete(head)
  } finally {
    await upload.abort()
  }
}

export function never(): AbortSignal {
  return new AbortController().signal
}

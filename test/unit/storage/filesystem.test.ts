import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import { isPartial } from '../../../src/storage/fileupload.ts'
import { collect, never, pseudoRandomBytes, putBytes, toArray } from '../../support/bytes.ts'

let root: string
let store: FilesystemStore

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pgpack-files-'))
  store = new FilesystemStore(root)
})

afterEach(async () => {
  store.close()
  await rm(root, { recursive: true, force: true })
})

const files = async () => (await readdir(root, { recursive: true })).sort()

describe('a file', () => {
  it.each([0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_003])(
    'comes back as it was written at %i bytes',
    async (size) => {
      const bytes = pseudoRandomBytes(size, size)
      expect(await putBytes(store, 'a/b.pgpack', bytes)).toEqual({ key: 'a/b.pgpack', size })
      expect((await readFile(join(root, 'a/b.pgpack'))).equals(bytes)).toBe(true)
      expect((await collect(store.read('a/b.pgpack', never()))).equals(bytes)).toBe(true)
      expect(await store.stat('a/b.pgpack', never())).toEqual({ key: 'a/b.pgpack', size })
      expect(await files()).toEqual(['a', 'a/b.pgpack'])
    },
  )

  it('gets its head at the end', async () => {
    const body = pseudoRandomBytes(3_000_000)
    const info = await putBytes(store, 'x', body, { head: Buffer.from('the head'), chunkSize: 70_001 })
    expect(info.size).toBe(3_000_008)
    const whole = await collect(store.read('x', never()))
    expect(whole.equals(Buffer.concat([Buffer.from('the head'), body]))).toBe(true)
  })

  it('can be read in part, and not beyond its end', async () => {
    const bytes = pseudoRandomBytes(3_000_000)
    await putBytes(store, 'x', bytes)
    const part = await collect(store.read('x', never(), { offset: 1_000_000, length: 1_500_000 }))
    expect(part.equals(bytes.subarray(1_000_000, 2_500_000))).toBe(true)
    expect(await collect(store.read('x', never(), { offset: 3_000_000 }))).toHaveLength(0)
    await expect(collect(store.read('x', never(), { offset: 2_999_999, length: 2 }))).rejects.toMatchObject({
      code: 'STORE_FAILED',
    })
  })

  it('is not there before it is complete', async () => {
    const upload = store.upload('x', { signal: never() })
    await upload.write(Buffer.from('abc'))
    expect(upload.size).toBe(3)
    const [name = ''] = await files()
    expect(isPartial(name)).toBe(true)
    expect(await toArray(store.list('', never()))).toEqual([])
    await expect(store.stat('x', never())).rejects.toMatchObject({ code: 'STORE_NO_OBJECT' })
    await upload.complete()
    expect(await files()).toEqual(['x'])
  })

  it('that was there stays until the new one is complete, also for those that read it', async () => {
    await putBytes(store, 'x', Buffer.from('old'))
    const upload = store.upload('x', { signal: never() })
    await upload.write(Buffer.from('new'))
    expect((await collect(store.read('x', never()))).toString()).toBe('old')
    const reading = store.read('x', never())[Symbol.asyncIterator]()
    await upload.complete()
    expect((await collect(store.read('x', never()))).toString()).toBe('new')
    await reading.return?.()
  })

  it('may have the longest name that a file can have', async () => {
    const name = 'x'.repeat(255)
    await putBytes(store, name, Buffer.from('x'))
    expect(await files()).toEqual([name])
    await expect(putBytes(store, `${name}x`, Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })

  it('that became shorter while it was read is an error', async () => {
    await putBytes(store, 'x', pseudoRandomBytes(4 * 1024 * 1024))
    const read = async () => {
      for await (const chunk of store.read('x', never())) {
        await truncate(join(root, 'x'), 1024 * 1024)
        expect(chunk.length).toBeGreaterThan(0)
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('shorter') })
  })
})

describe('giving up', () => {
  it('leaves nothing, twice, and before and after anything was written', async () => {
    for (const chunks of [0, 1, 3]) {
      const upload = store.upload('x', { signal: never() })
      for (let n = 0; n < chunks; n++) await upload.write(Buffer.alloc(100_000))
      await upload.abort()
      await upload.abort()
      await expect(upload.write(Buffer.from('y'))).rejects.toMatchObject({ code: 'CANCELLED' })
      expect(await files()).toEqual([])
    }
  })

  it('during a write leaves nothing', async () => {
    const upload = store.upload('x', { signal: never() })
    const writing = upload.write(Buffer.alloc(20_000_000))
    await upload.abort()
    await Promise.allSettled([writing])
    expect(await files()).toEqual([])
  })

  it('does nothing after success', async () => {
    const upload = store.upload('x', { signal: never() })
    await upload.complete()
    await upload.abort()
    expect(await files()).toEqual(['x'])
    await expect(upload.complete()).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  it('comes by the signal too', async () => {
    const controller = new AbortController()
    const upload = store.upload('x', { signal: controller.signal })
    await upload.write(Buffer.from('abc'))
    controller.abort()
    await expect(upload.write(Buffer.from('d'))).rejects.toMatchObject({ code: 'CANCELLED', retryable: true })
    await expect(upload.complete()).rejects.toMatchObject({ code: 'CANCELLED' })
    await upload.abort()
    expect(await files()).toEqual([])
    await expect(collect(store.read('x', controller.signal))).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('of a head of another length keeps the file away', async () => {
    const upload = store.upload('x', { signal: never(), headLength: 4 })
    await expect(upload.complete(Buffer.from('four!'))).rejects.toMatchObject({ code: 'INTERNAL' })
    await upload.abort()
    expect(await files()).toEqual([])
  })
})

describe('what the system refuses', () => {
  it('a folder in place of a file, and a file in place of a folder, are told', async () => {
    await mkdir(join(root, 'folder'))
    await writeFile(join(root, 'file'), 'x')
    await expect(putBytes(store, 'folder', Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await expect(putBytes(store, 'file/x', Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await expect(store.stat('folder', never())).rejects.toMatchObject({ code: 'STORE_NO_OBJECT' })
    expect(await files()).toEqual(['file', 'folder'])
  })

  it('a key that would leave the folder is refused', async () => {
    for (const key of ['../x', '/etc/passwd', 'a/../../x']) {
      expect(() => store.upload(key, { signal: never() })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
      await expect(collect(store.read(key, never()))).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
      await expect(store.remove([key], never())).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    }
  })
})

describe('listing', () => {
  beforeEach(async () => {
    for (const key of ['a/1', 'a/2', 'a.x', 'ab/c/d', 'b']) await putBytes(store, key, Buffer.from(key))
    await writeFile(join(root, 'a', '.1.0123456789abcdef.partial'), 'half')
    await mkdir(join(root, 'empty'))
  })

  const keys = async (prefix: string) => (await toArray(store.list(prefix, never()))).map(({ key }) => key)

  it('is in the order of keys, as in a bucket, without what is not complete', async () => {
    expect(await keys('')).toEqual(['a.x', 'a/1', 'a/2', 'ab/c/d', 'b'])
  })

  it('takes any beginning of a key as prefix', async () => {
    expect(await keys('a')).toEqual(['a.x', 'a/1', 'a/2', 'ab/c/d'])
    expect(await keys('a/')).toEqual(['a/1', 'a/2'])
    expect(await keys('ab/c')).toEqual(['ab/c/d'])
    expect(await keys('nothing/here')).toEqual([])
    expect(await toArray(store.list('b', never()))).toEqual([{ key: 'b', size: 1 }])
  })

  it('finds the files of writers that were killed, and they can be given up by their folder', async () => {
    await writeFile(join(root, 'a.x'), 'whole')
    await writeFile(join(root, 'ab/c', '.d.0123456789abcdef.partial'), 'half')
    expect(await store.abortUploads('a/', never(), () => false)).toBe(0)
    expect(await store.abortUploads('a/', never())).toBe(1)
    expect(await files()).toEqual([
      'a',
      'a.x',
      'a/1',
      'a/2',
      'ab',
      'ab/c',
      'ab/c/.d.0123456789abcdef.partial',
      'ab/c/d',
      'b',
      'empty',
    ])
    expect(await store.abortUploads('', never())).toBe(1)
    expect(await store.abortUploads('nothing/here/', never())).toBe(0)
  })

  it('of a place outside is refused', async () => {
    await expect(keys('../')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('removing takes the folders that become empty with it, and nothing else', async () => {
    await store.remove(['ab/c/d', 'a/1', 'never/there'], never())
    expect(await files()).toEqual(['a', 'a.x', 'a/.1.0123456789abcdef.partial', 'a/2', 'b', 'empty'])
  })
})

describe('check', () => {
  it('passes for a folder', async () => {
    await store.check(never())
    expect(store.location).toBe(`file://${root}`)
  })

  it('names the folder that is not there, or is a file', async () => {
    await writeFile(join(root, 'file'), '')
    for (const path of [join(root, 'nothing'), join(root, 'file'), join(root, 'file', 'below')]) {
      await expect(new FilesystemStore(path).check(never())).rejects.toMatchObject({
        code: 'STORE_NO_BUCKET',
        message: expect.stringContaining(path),
      })
    }
  })
})

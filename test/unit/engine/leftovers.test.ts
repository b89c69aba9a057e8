import { describe, expect, it } from '@jest/globals'
import { removeBelow, removeEarlierAttempts } from '../../../src/engine/leftovers.ts'
import { PgpackError } from '../../../src/errors.ts'
import type { ObjectInfo, ObjectStore } from '../../../src/storage/store.ts'
import { testContext } from '../../support/engine.ts'
import { RecordingLog } from '../operator/manager/recordinglog.ts'

/** As much of a store as a removal needs. */
class Keys implements Pick<ObjectStore, 'list' | 'stat' | 'remove' | 'abortUploads'> {
  readonly keys: Set<string>
  uploads: string[] = []
  beforeAbort: () => void = () => undefined
  readonly batches: number[] = []
  beforeRemove: () => void = () => undefined

  constructor(...keys: string[]) {
    this.keys = new Set(keys)
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    for (const key of [...this.keys].sort()) if (key.startsWith(prefix)) yield { key, size: 10 }
  }
  async stat(key: string): Promise<ObjectInfo> {
    if (!this.keys.has(key)) throw new PgpackError('STORE_NO_OBJECT', 'none')
    return { key, size: 10 }
  }
  async remove(keys: readonly string[]): Promise<void> {
    this.beforeRemove()
    this.batches.push(keys.length)
    for (const key of keys) this.keys.delete(key)
  }

  async abortUploads(prefix: string, _: AbortSignal, wanted: (key: string) => boolean = () => true): Promise<number> {
    this.beforeAbort()
    const gone = this.uploads.filter((key) => key.startsWith(prefix) && wanted(key))
    this.uploads = this.uploads.filter((key) => !gone.includes(key))
    return gone.length
  }

  get store(): ObjectStore {
    return this as unknown as ObjectStore
  }
}

const signal = new AbortController().signal

describe('a new attempt of a dump', () => {
  const clean = (keys: Keys) => removeEarlierAttempts(keys.store, 'shop/orders-1a', 'pod-3', testContext())

  it('removes what attempts left that did not finish', async () => {
    const keys = new Keys('shop/orders-1a/pod-1/a.pgpack', 'shop/orders-1a/pod-2/a.pgpack', 'shop/orders-1a/pod-2/b')
    await clean(keys)
    expect([...keys.keys]).toEqual([])
  })

  it('leaves what is whole, its own, and of others', async () => {
    const kept = [
      'shop/orders-1a/pod-1/a.pgpack',
      'shop/orders-1a/pod-1/manifest.json',
      'shop/orders-1a/pod-3/a.pgpack',
      'shop/orders-1a/note.txt',
      'shop/orders-1a2/pod-1/a.pgpack',
      'shop/orders/pod-1/a.pgpack',
    ]
    const keys = new Keys(...kept)
    await clean(keys)
    expect([...keys.keys]).toEqual(kept)
  })

  it('gives up the uploads of other attempts, whole ones too, and no others', async () => {
    const keys = new Keys('shop/orders-1a/pod-1/manifest.json')
    const kept = ['shop/orders-1a/pod-3/a.pgpack', 'shop/orders-1a2/pod-1/a.pgpack', 'shop/orders-1a']
    keys.uploads = [...kept, 'shop/orders-1a/pod-1/a.pgpack', 'shop/orders-1a/pod-2/b.pgpack']
    await clean(keys)
    expect(keys.uploads).toEqual(kept)
  })

  it('is not held up where uploads may not be listed, and tells it', async () => {
    const keys = new Keys()
    keys.beforeAbort = () => {
      throw new PgpackError('STORE_DENIED', 'not allowed')
    }
    const log = new RecordingLog()
    await removeEarlierAttempts(keys.store, 'shop/orders-1a', 'pod-3', { ...testContext(), log })
    expect(log.messages('warn')).toEqual(['unfinished uploads of earlier attempts may remain in the store'])
  })

  it('leaves no manifest of a dump whose files are gone', async () => {
    const keys = new Keys('shop/orders-1a/pod-1/a.pgpack')
    keys.beforeRemove = () => keys.keys.add('shop/orders-1a/pod-1/manifest.json')
    await clean(keys)
    expect([...keys.keys]).toEqual([])
  })

  it('is not held up by a store that refuses', async () => {
    const keys = new Keys('shop/orders-1a/pod-1/a.pgpack')
    keys.beforeRemove = () => {
      throw new PgpackError('STORE_DENIED', 'not allowed')
    }
    await expect(clean(keys)).resolves.toBeUndefined()
    expect(keys.keys.size).toBe(1)
  })
})

describe('what lies below a prefix', () => {
  it('is removed a thousand at a time', async () => {
    const keys = new Keys(...Array.from({ length: 2500 }, (_, index) => `p/${index}`))
    await expect(removeBelow(keys.store, 'p/', signal)).resolves.toEqual({ objects: 2500, storedBytes: 25_000 })
    expect(keys.batches).toEqual([1000, 1000, 500])
  })

  it('is all that is removed, whatever the store lists', async () => {
    const keys = new Keys('p/a', 'q/b')
    const store = { ...keys.store, list: () => keys.list(''), remove: (gone: readonly string[]) => keys.remove(gone) }
    await removeBelow(store as unknown as ObjectStore, 'p/', signal)
    expect([...keys.keys]).toEqual(['q/b'])
  })

  it('may be nothing', async () => {
    const keys = new Keys()
    await expect(removeBelow(keys.store, 'p/', signal)).resolves.toEqual({ objects: 0, storedBytes: 0 })
    expect(keys.batches).toEqual([])
  })
})

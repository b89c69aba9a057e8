import { type ApiObject, objectKey } from './resources.ts'

/** Index values of an object; an object may stand under several, or none. */
export type Indexer<T> = (object: T) => readonly string[]

/** The uids of an object's owners: finds the children of a resource. */
export const OWNER_INDEX = 'ownerUid'

export function indexByOwner(object: ApiObject): readonly string[] {
  return (object.metadata?.ownerReferences ?? []).map((owner) => owner.uid)
}

/** What an informer has seen, for readers. Objects are shared: nobody changes them. */
export interface ObjectReader<T> {
  /** By `namespace/name`. */
  get(key: string): T | undefined
  list(): T[]
  /**
   * The objects that stand under `value` in the named index.
   * @throws TypeError when the store was made without that index
   */
  byIndex(index: string, value: string): T[]
  readonly size: number
}

/** Objects by `namespace/name`, with indices that follow every change (client-go's cache.Indexer). */
export class ObjectStore<T extends ApiObject> implements ObjectReader<T> {
  readonly #objects = new Map<string, T>()
  readonly #indexers: ReadonlyMap<string, Indexer<T>>
  readonly #indices = new Map<string, Map<string, Set<string>>>()

  constructor(indexers: Readonly<Record<string, Indexer<T>>> = {}) {
    this.#indexers = new Map(Object.entries(indexers))
    for (const name of this.#indexers.keys()) this.#indices.set(name, new Map())
  }

  get size(): number {
    return this.#objects.size
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  keys(): string[] {
    return [...this.#objects.keys()]
  }

  list(): T[] {
    return [...this.#objects.values()]
  }

  byIndex(index: string, value: string): T[] {
    const values = this.#indices.get(index)
    if (values === undefined) throw new TypeError(`the store has no index ${JSON.stringify(index)}`)
    const found: T[] = []
    for (const key of values.get(value) ?? []) {
      const object = this.#objects.get(key)
      if (object !== undefined) found.push(object)
    }
    return found
  }

  /** The object that was there before. */
  set(object: T): T | undefined {
    const key = objectKey(object)
    const previous = this.delete(key)
    this.#objects.set(key, object)
    for (const [name, indexer] of this.#indexers) {
      for (const value of indexer(object)) this.#keysUnder(name, value).add(key)
    }
    return previous
  }

  /** The object that was there. */
  delete(key: string): T | undefined {
    const previous = this.#objects.get(key)
    if (previous === undefined) return undefined
    this.#objects.delete(key)
    for (const [name, indexer] of this.#indexers) {
      for (const value of indexer(previous)) this.#unindex(name, value, key)
    }
    return previous
  }

  #keysUnder(index: string, value: string): Set<string> {
    const values = this.#indices.get(index) ?? new Map<string, Set<string>>()
    const keys = values.get(value) ?? new Set()
    values.set(value, keys)
    return keys
  }

  #unindex(index: string, value: string, key: string): void {
    const values = this.#indices.get(index)
    const keys = values?.get(value)
    keys?.delete(key)
    // An empty set left behind for each owner that ever lived would grow for ever
    if (keys?.size === 0) values?.delete(value)
  }
}

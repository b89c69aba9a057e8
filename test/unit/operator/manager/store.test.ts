import { describe, expect, it } from '@jest/globals'
import type { ApiObject } from '../../../../src/operator/manager/resources.ts'
import { indexByOwner, ObjectStore, OWNER_INDEX } from '../../../../src/operator/manager/store.ts'

function child(name: string, ...owners: string[]): ApiObject {
  const ownerReferences = owners.map((uid) => ({ apiVersion: 'v1', kind: 'Owner', name: uid, uid }))
  return { metadata: { namespace: 'ns', name, ownerReferences } }
}

function storeWithOwners(): ObjectStore<ApiObject> {
  return new ObjectStore({ [OWNER_INDEX]: indexByOwner })
}

describe('ObjectStore', () => {
  it('keeps objects by namespace and name, and cluster-scoped ones by name', () => {
    const store = new ObjectStore()
    const namespaced = { metadata: { namespace: 'a', name: 'x' } }
    const clusterScoped = { metadata: { name: 'x' } }
    store.set(namespaced)
    store.set(clusterScoped)
    expect(store.get('a/x')).toBe(namespaced)
    expect(store.get('x')).toBe(clusterScoped)
    expect(store.size).toBe(2)
  })

  it('returns what it replaces and what it deletes', () => {
    const store = new ObjectStore()
    const first = child('x')
    expect(store.set(first)).toBeUndefined()
    const second = child('x')
    expect(store.set(second)).toBe(first)
    expect(store.delete('ns/x')).toBe(second)
    expect(store.delete('ns/x')).toBeUndefined()
  })

  it('finds children by their owner', () => {
    const store = storeWithOwners()
    store.set(child('x', 'u1'))
    store.set(child('y', 'u1', 'u2'))
    expect(store.byIndex(OWNER_INDEX, 'u1').map((object) => object.metadata?.name)).toEqual(['x', 'y'])
    expect(store.byIndex(OWNER_INDEX, 'u2').map((object) => object.metadata?.name)).toEqual(['y'])
    expect(store.byIndex(OWNER_INDEX, 'nobody')).toEqual([])
  })

  it('moves a child that changes hands, and drops a deleted one', () => {
    const store = storeWithOwners()
    store.set(child('x', 'u1'))
    store.set(child('x', 'u2'))
    expect(store.byIndex(OWNER_INDEX, 'u1')).toEqual([])
    expect(store.byIndex(OWNER_INDEX, 'u2')).toHaveLength(1)
    store.delete('ns/x')
    expect(store.byIndex(OWNER_INDEX, 'u2')).toEqual([])
  })

  it('refuses an index it does not have', () => {
    expect(() => new ObjectStore().byIndex('color', 'red')).toThrow(TypeError)
  })
})

import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { createGarbageCollector } from '../../../../src/operator/manager/garbage.ts'

describe('createGarbageCollector', () => {
  it('frees what is not needed any more, soon after it was asked', async () => {
    const collect = createGarbageCollector()
    const freed = Promise.withResolvers<string>()
    const registry = new FinalizationRegistry<string>((name) => freed.resolve(name))
    registry.register({ list: new Array(1000).fill('x') }, 'list')
    collect()
    collect()
    await turn()
    expect(await freed.promise).toBe('list')
  })
})

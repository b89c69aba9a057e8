import { describe, expect, it } from '@jest/globals'
import { OrderedQueue } from '../../../src/compression/ordered-queue.ts'

describe('OrderedQueue', () => {
  it('gives results in the order of adding, not of ending', async () => {
    const queue = new OrderedQueue<string>()
    const first = Promise.withResolvers<string>()
    queue.add(first.promise)
    queue.add(Promise.resolve('second'))
    queue.add(Promise.resolve('third'))
    first.resolve('first')
    const results: string[] = []
    for await (const result of queue.takeDownTo(1)) results.push(result)
    expect(results).toEqual(['first', 'second'])
    expect(queue.size).toBe(1)
  })

  it('keeps a rejection for its turn', async () => {
    const queue = new OrderedQueue<number>()
    queue.add(Promise.resolve(1))
    queue.add(Promise.reject(new Error('two is bad')))
    queue.add(Promise.resolve(3))
    expect(await queue.take()).toBe(1)
    await expect(queue.take()).rejects.toThrow('two is bad')
    expect(await queue.take()).toBe(3)
  })

  it('waits in idle() for what still runs, rejections included, and is empty then', async () => {
    const queue = new OrderedQueue<void>()
    const slow = Promise.withResolvers<void>()
    let ended = false
    queue.add(Promise.reject(new Error('nobody takes me')))
    queue.add(
      slow.promise.then(() => {
        ended = true
      }),
    )
    setImmediate(slow.resolve)
    await queue.idle()
    expect(ended).toBe(true)
    expect(queue.size).toBe(0)
    await expect(queue.take()).rejects.toThrow('empty OrderedQueue')
  })
})

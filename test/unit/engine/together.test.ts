import { describe, expect, it } from '@jest/globals'
import { together } from '../../../src/engine/together.ts'

const never = new AbortController().signal

/** Ends when its signal fires, as a COPY does: with an error of its own, a moment later. */
function untilAborted(signal: AbortSignal, log: string[] = [], name = ''): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () =>
      setImmediate(() => {
        log.push(`${name} ended`)
        reject(new Error('cancelled'))
      }),
    )
  })
}

describe('tasks side by side', () => {
  it('give their results in the order of the tasks, not of their ends', async () => {
    const later = Promise.withResolvers<string>()
    const results = together(never, [
      () => later.promise,
      async () => {
        later.resolve('first')
        return 'second'
      },
    ])
    await expect(results).resolves.toEqual(['first', 'second'])
  })

  it('start all at once', async () => {
    const started: number[] = []
    const gate = Promise.withResolvers<void>()
    const tasks = [0, 1, 2].map((number) => async () => {
      started.push(number)
      await gate.promise
    })
    const all = together(never, tasks)
    expect(started).toEqual([0, 1, 2])
    gate.resolve()
    await all
  })

  it('are none, and that is well', async () => {
    await expect(together(never, [])).resolves.toEqual([])
  })

  it('fire the signal of the others when one fails, and fail with the first failure', async () => {
    const failure = new Error('constraint violated')
    const all = together(never, [
      (signal) => untilAborted(signal),
      () => Promise.reject(failure),
      (signal) => untilAborted(signal),
    ])
    await expect(all).rejects.toBe(failure)
  })

  it("are waited for to the last, so that nothing goes on behind the caller's back", async () => {
    const log: string[] = []
    await expect(
      together(never, [
        (signal) => untilAborted(signal, log, 'a'),
        () => Promise.reject(new Error('x')),
        (signal) => untilAborted(signal, log, 'b'),
      ]),
    ).rejects.toThrow('x')
    expect(log).toEqual(['a ended', 'b ended'])
  })

  it('fail by a throw before the first await as by a rejection', async () => {
    const all = together(never, [
      (signal) => untilAborted(signal),
      () => {
        throw new Error('at once')
      },
    ])
    await expect(all).rejects.toThrow('at once')
  })

  it('fail even with undefined as the reason', async () => {
    await expect(together(never, [() => Promise.reject(undefined)])).rejects.toBeUndefined()
  })

  it('see the outer signal fire, with its reason', async () => {
    const outer = new AbortController()
    let seen: unknown
    const all = together(outer.signal, [
      (signal) =>
        new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => {
            seen = signal.reason
            reject(new Error('stopped'))
          })
        }),
    ])
    outer.abort('SIGTERM')
    await expect(all).rejects.toThrow('stopped')
    expect(seen).toBe('SIGTERM')
  })

  it('leave the outer signal alone when one of them fails', async () => {
    const outer = new AbortController()
    await expect(together(outer.signal, [() => Promise.reject(new Error('x'))])).rejects.toThrow('x')
    expect(outer.signal.aborted).toBe(false)
  })
})

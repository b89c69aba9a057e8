import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { dumpAll, type PooledDump } from '../../../src/engine/dump-pool.ts'
import type { PostgresConnection } from '../../../src/postgres/connection.ts'

interface Journal {
  /** Statements in the order in which they began. */
  readonly begun: string[]
  readonly aborted: string[]
  mostOpen: number
}

interface Fake {
  readonly size: number
  readonly statements: number
}

const never = new AbortController().signal
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** An object whose statements take a random number of turns of the event loop. */
function fakes(objects: readonly Fake[], turns: () => number, fails?: string) {
  const journal: Journal = { begun: [], aborted: [], mostOpen: 0 }
  const open = new Set<string>()
  const dumps = objects.map(({ size, statements }, index): PooledDump => {
    const name = `object ${index}`
    let left = statements
    return {
      source: {
        planned: { rows: 0n, bytes: BigInt(size) },
        relation: undefined,
        statements: Array.from({ length: statements }, (_, part) => `${name}, part ${part}`),
      },
      async copy(_session: PostgresConnection, statement: string, signal: AbortSignal) {
        open.add(name)
        journal.begun.push(statement)
        journal.mostOpen = Math.max(journal.mostOpen, open.size)
        for (let count = turns(); count > 0; count -= 1) {
          await turn()
          signal.throwIfAborted()
        }
        if (statement === fails) throw new Error(`failed: ${statement}`)
        left -= 1
        if (left === 0) open.delete(name)
      },
      async abort() {
        journal.aborted.push(name)
      },
    }
  })
  return { dumps, journal }
}

const sessions = (count: number) => Array.from({ length: count }, () => ({}) as PostgresConnection)

const anyObjects = fc.array(fc.record({ size: fc.nat(1000), statements: fc.integer({ min: 1, max: 5 }) }), {
  minLength: 1,
  maxLength: 8,
})
const anyTurns = fc.infiniteStream(fc.nat(4)).map((stream) => () => stream.next().value ?? 0)

describe('objects dumped over several sessions', () => {
  it('have each statement run once, the largest object first, and no more files open than sessions', async () => {
    await fc.assert(
      fc.asyncProperty(anyObjects, anyTurns, fc.integer({ min: 1, max: 5 }), async (objects, turns, count) => {
        const { dumps, journal } = fakes(objects, turns)
        await dumpAll(dumps, sessions(count), never)
        const all = dumps.flatMap(({ source }) => source.statements)
        expect([...journal.begun].sort()).toEqual([...all].sort())
        expect(journal.mostOpen).toBeLessThanOrEqual(count)
        const sizes = journal.begun.map((statement) => objects[Number(/\d+/.exec(statement)?.[0])]?.size ?? 0)
        expect(sizes).toEqual([...sizes].sort((one, other) => other - one))
        expect(journal.aborted).toEqual([])
      }),
      { numRuns: 50 },
    )
  })

  it('are all given up when one fails, with its error, after every session has stopped', async () => {
    const { dumps, journal } = fakes(
      [
        { size: 9, statements: 3 },
        { size: 5, statements: 1 },
      ],
      () => 3,
      'object 0, part 1',
    )
    await expect(dumpAll(dumps, sessions(3), never)).rejects.toThrow('failed: object 0, part 1')
    expect(journal.aborted).toEqual(['object 0', 'object 1'])
  })
})

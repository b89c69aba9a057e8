import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { FAULT_NAMES, type FaultName, infoOf } from '../chaos/faults.ts'
import { createRandom, pickOne, schedule } from '../chaos/schedule.ts'
import { type Outcome, problemsOf, type RunOutcome, type StoredManifest } from '../chaos/verdict.ts'

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 })

describe('a schedule of faults', () => {
  it('follows from its seed alone, and its start does not depend on its length', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 100 }), (seed, count) => {
        const steps = schedule(seed, count, FAULT_NAMES)
        expect(steps).toEqual(schedule(seed, count, FAULT_NAMES))
        expect(steps).toEqual(schedule(seed, 100, FAULT_NAMES).slice(0, count))
      }),
    )
  })

  it('is another one for another seed', () => {
    expect(schedule(1, 20, FAULT_NAMES)).not.toEqual(schedule(2, 20, FAULT_NAMES))
  })

  it('has every kind in each bag, as often as it weighs, and none that is not possible', () => {
    const bag = FAULT_NAMES.reduce((sum, name) => sum + infoOf(name).weight, 0)
    fc.assert(
      fc.property(seeds, (seed) => {
        const counts = Map.groupBy(schedule(seed, bag, FAULT_NAMES), ({ fault }) => fault)
        for (const name of FAULT_NAMES) expect(counts.get(name)).toHaveLength(infoOf(name).weight)
        const some = schedule(seed, 30, ['DeletePod', 'DeleteJob'])
        expect(new Set(some.map(({ fault }) => fault))).toEqual(new Set(['DeletePod', 'DeleteJob']))
      }),
    )
  })

  it('keeps within the times of its faults', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        for (const { fault, lastsMs, pauseMs, pick } of schedule(seed, 60, FAULT_NAMES)) {
          const [shortest, longest] = infoOf(fault).seconds ?? [0, 0]
          expect(lastsMs).toBeGreaterThanOrEqual(shortest * 1000)
          expect(lastsMs).toBeLessThanOrEqual(longest * 1000)
          expect(pauseMs).toBeGreaterThan(0)
          expect(pick).toBeLessThan(1)
        }
      }),
    )
  })

  it('is refused where no fault is possible', () => {
    expect(() => schedule(1, 1, [])).toThrow('no fault is possible')
  })

  it('takes its numbers evenly from 0 to below 1', () => {
    const random = createRandom(42)
    const numbers = Array.from({ length: 10_000 }, random)
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...numbers)).toBeLessThan(1)
    expect(numbers.reduce((sum, each) => sum + each, 0) / numbers.length).toBeCloseTo(0.5, 1)
    expect(pickOne(['a', 'b'], 0.99)).toBe('b')
    expect(pickOne([], 0)).toBeUndefined()
  })
})

describe('the verdict', () => {
  const ROWS = 10
  const PATH = 'ns/dump-1/attempt'
  const FAULTLESS = { faults: [] }
  const dump: RunOutcome = {
    ...FAULTLESS,
    status: 'True',
    reason: 'Succeeded',
    path: PATH,
    manifestSHA256: 'a',
    rows: ROWS,
  }
  const manifest: StoredManifest = { path: PATH, sha256: 'a', flaws: [] }
  const whole = { rows: ROWS, distinct: ROWS, wrong: 0 }
  const empty = { rows: 0, distinct: 0, wrong: 0 }
  const good: Outcome = {
    number: 1,
    mode: 'Append',
    dump,
    restore: { ...FAULTLESS, status: 'True', reason: 'Succeeded' },
    target: whole,
  }
  const judge = (change: Partial<Outcome>, manifests = [manifest]) =>
    problemsOf([{ ...good, ...change }], manifests, ROWS)
  const failed = (reason: string, ...faults: FaultName[]): RunOutcome => ({ status: 'False', reason, faults })

  it('has nothing to say of data that is equal', () => {
    expect(judge({})).toEqual([])
  })

  it.each([
    ['lost', { rows: 9, distinct: 9, wrong: 0 }],
    ['doubled', { rows: 20, distinct: 10, wrong: 0 }],
    ['changed', { rows: 10, distinct: 10, wrong: 1 }],
    ['doubled for lost', { rows: 10, distinct: 9, wrong: 0 }],
  ])('finds rows that are %s behind a success', (_, target) => {
    expect(judge({ target })).toEqual([expect.stringContaining('restore 1: succeeded with')])
  })

  it('finds a resource that is gone, and one that does not end', () => {
    expect(judge({ dump: { ...FAULTLESS, status: undefined, reason: '' } })).toEqual([
      expect.stringContaining('dump 1: is lost'),
    ])
    const stuck = judge({ restore: { ...FAULTLESS, status: 'Unknown', reason: 'Pending' }, target: empty })
    expect(stuck).toEqual(['restore 1: is stuck: Pending'])
  })

  it.each(FAULT_NAMES)(
    'excuses a failure of a run that %s hit by the reasons that it leads to, and by no other',
    (fault) => {
      const reasons = FAULT_NAMES.flatMap((name) => infoOf(name).reasons)
      for (const reason of new Set([...reasons, 'PermissionDenied'] as const)) {
        const problems = judge({ restore: failed(reason, fault), target: empty, mode: 'Truncate' })
        if (infoOf(fault).reasons.some((each) => each === reason)) expect(problems).toEqual([])
        else
          expect(problems).toEqual([
            `restore 1: failed with ${reason}, which no fault explains: it was hit by ${fault}`,
          ])
      }
    },
  )

  it('excuses nothing where no fault hit the run itself, whatever hit others', () => {
    expect(
      judge({ restore: failed('DatabaseConnectionLost'), dump: { ...dump, faults: ['CrashPostgres'] }, target: empty }),
    ).toEqual(['restore 1: failed with DatabaseConnectionLost, which no fault explains: no fault hit it'])
    expect(judge({ dump: failed('StoreUnreachable', 'DeletePod', 'CrashPostgres', 'DeletePod') })).toEqual([
      'dump 1: failed with StoreUnreachable, which no fault explains: it was hit by CrashPostgres, DeletePod',
    ])
  })

  it('takes the reason of any of several faults, and finds rows that were torn all the same', () => {
    const restore = failed('DatabaseConnectionLost', 'DeletePod', 'TerminateBackend')
    expect(judge({ restore, target: empty })).toEqual([])
    expect(judge({ restore, target: { rows: 4, distinct: 4, wrong: 0 } })).toEqual([
      expect.stringContaining('failed with 4 rows'),
    ])
  })

  it('takes an unknown result from a Truncate only: an Append has its ledger', () => {
    const restore = failed('ResultUnknown', 'DeletePod')
    expect(judge({ restore, target: whole, mode: 'Truncate' })).toEqual([])
    expect(judge({ restore, target: empty, mode: 'Truncate' })).toEqual([])
    expect(judge({ restore, target: whole })).toEqual([expect.stringContaining('has a ledger')])
  })

  it('takes DumpFailed when the dump has failed, and not otherwise', () => {
    const restore = failed('DumpFailed')
    expect(judge({ restore, target: empty, dump: failed('StoreUnreachable', 'StopStore') }, [])).toEqual([])
    expect(judge({ restore, target: empty })).toEqual(['restore 1: failed for a dump that has not'])
  })

  it('finds a dump without its manifest, with another one, or with fewer rows', () => {
    expect(judge({}, [])).toEqual([expect.stringContaining('there is no manifest')])
    expect(judge({}, [{ ...manifest, sha256: 'b' }])).toEqual([expect.stringContaining('is not the one of its status')])
    expect(judge({ dump: { ...dump, rows: 9 } })).toEqual([expect.stringContaining('has 9 rows of 10')])
  })

  it('finds what looks whole and is not, whoever left it', () => {
    const left = { path: 'ns/dump-1/other', sha256: 'c', flaws: ['orders.pgpack is missing'] }
    expect(judge({}, [manifest, left])).toEqual(['ns/dump-1/other looks whole and is not: orders.pgpack is missing'])
  })
})

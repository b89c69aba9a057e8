import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ProgressMeter } from '../../../src/engine/progress.ts'
import type { Progress } from '../../../src/run/progress.ts'

const INTERVAL_MS = 1000

function meterOf() {
  const emitted: Progress[] = []
  const clock = { ms: 0 }
  const meter = new ProgressMeter((progress) => emitted.push(progress), {
    now: () => clock.ms,
    intervalMs: INTERVAL_MS,
  })
  return { meter, emitted, clock }
}

describe('a progress meter', () => {
  it('tells at the start, before anything has moved', () => {
    const { meter, emitted } = meterOf()
    meter.start({ objects: 2, unit: 'rows', total: 10n })
    expect(emitted).toEqual([{ objects: 2, objectsDone: 0, rows: '0', bytes: '0', storedBytes: '0', percent: 0 }])
  })

  it('counts beyond 2^53', () => {
    const { meter } = meterOf()
    meter.start({ objects: 1, unit: 'rows', total: undefined })
    for (let i = 0; i < 3; i += 1) meter.moved(1, Number.MAX_SAFE_INTEGER)
    expect(meter.snapshot().bytes).toBe(String(3n * BigInt(Number.MAX_SAFE_INTEGER)))
  })

  it('tells at most once in an interval, however much moves', () => {
    const { meter, emitted, clock } = meterOf()
    meter.start({ objects: 1, unit: 'rows', total: 1_000_000n })
    for (clock.ms = 1; clock.ms <= 3 * INTERVAL_MS; clock.ms += 1) {
      meter.moved(1, 10)
      meter.stored(1)
    }
    expect(emitted.map(({ rows }) => rows)).toEqual(['0', '1000', '2000', '3000'])
  })

  it('tells at once when an object is done, and counts the interval from there', () => {
    const { meter, emitted, clock } = meterOf()
    meter.start({ objects: 2, unit: 'rows', total: undefined })
    clock.ms = 900
    meter.objectDone()
    clock.ms = 1100
    meter.moved(1, 1)
    expect(emitted.map(({ objectsDone, rows }) => [objectsDone, rows])).toEqual([
      [0, '0'],
      [1, '0'],
    ])
    clock.ms = 1900
    meter.moved(1, 1)
    expect(emitted.at(-1)).toMatchObject({ objectsDone: 1, rows: '2' })
  })

  it('adds up the stored bytes of all objects, in whatever order they come', () => {
    const { meter } = meterOf()
    meter.start({ objects: 2, unit: 'storedBytes', total: 300n })
    meter.stored(40)
    meter.stored(60)
    expect(meter.snapshot()).toMatchObject({ storedBytes: '100', percent: 33 })
    meter.objectDone()
    expect(meter.snapshot()).toMatchObject({ storedBytes: '100', percent: 33 })
    meter.stored(50)
    expect(meter.snapshot()).toMatchObject({ storedBytes: '150', percent: 50 })
  })

  it('says 99 where the estimate was too low, and 100 only when every object is done', () => {
    const { meter, emitted } = meterOf()
    meter.start({ objects: 1, unit: 'rows', total: 10n })
    meter.moved(1000, 1)
    expect(meter.snapshot().percent).toBe(99)
    meter.objectDone()
    expect(emitted.at(-1)?.percent).toBe(100)
  })

  it('names no percent where the size is not known, or is nothing, until all is done', () => {
    for (const total of [undefined, 0n]) {
      const { meter, emitted } = meterOf()
      meter.start({ objects: 1, unit: 'rows', total })
      meter.moved(5, 5)
      expect(meter.snapshot()).not.toHaveProperty('percent')
      meter.objectDone()
      expect(emitted.at(-1)?.percent).toBe(100)
    }
  })
})

type Step = { readonly move: number } | { readonly store: number } | 'done'

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ move: fc.nat({ max: 5000 }) }),
  fc.record({ store: fc.nat({ max: 5000 }) }),
  fc.constant<Step>('done'),
)

function apply(meter: ProgressMeter, step: Step): void {
  if (step === 'done') meter.objectDone()
  else if ('move' in step) meter.moved(step.move, step.move * 10)
  else meter.stored(step.store)
}

describe('whatever a run does', () => {
  it('percent is a whole number from 0 to 99 before the end and 100 at it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom('rows' as const, 'storedBytes' as const),
        fc.bigInt({ min: 0n, max: 20_000n }),
        fc.array(anyStep, { maxLength: 40 }),
        (objects, unit, total, steps) => {
          const { meter, emitted, clock } = meterOf()
          meter.start({ objects, unit, total })
          let done = 0
          for (const step of steps) {
            if (step === 'done' && done === objects) break
            if (step === 'done') done += 1
            clock.ms += 400
            apply(meter, step)
          }
          for (const { percent, objectsDone } of emitted) {
            if (objectsDone === objects) expect(percent).toBe(100)
            else if (percent !== undefined)
              expect(Number.isInteger(percent) && percent >= 0 && percent <= 99).toBe(true)
          }
          expect(emitted.at(-1)?.objectsDone).toBe(done)
        },
      ),
    )
  })

  it('rows and bytes never go back', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        const { meter, emitted, clock } = meterOf()
        meter.start({ objects: 50, unit: 'rows', total: undefined })
        for (const step of steps) {
          clock.ms += INTERVAL_MS
          apply(meter, step)
        }
        const rows = emitted.map((progress) => BigInt(progress.rows))
        expect(rows.every((value, index) => index === 0 || value >= (rows[index - 1] ?? 0n))).toBe(true)
      }),
    )
  })
})

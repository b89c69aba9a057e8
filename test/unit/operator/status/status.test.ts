import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ERROR_CODES } from '../../../../src/errors.ts'
import { isFinal } from '../../../../src/operator/status/conditions.ts'
import { mergePatch } from '../../../../src/operator/status/mergepatch.ts'
import {
  finishedProgress,
  formatBytes,
  formatDuration,
  progressStatus,
  type SuccessResult,
  toCount,
} from '../../../../src/operator/status/progress.ts'
import { REASONS } from '../../../../src/operator/status/reasons.ts'
import { summarize, summarizeRemoval, truncate } from '../../../../src/operator/status/summarize.ts'
import { NOW, SUCCESS } from '../controllers/fixtures.ts'

const LATER = new Date(NOW.getTime() + 60_000)
const visit = (now = NOW, generation = 1) => ({ now, generation })
const running = { phase: 'Running', reason: 'Running', message: 'm' } as const
const pending = { phase: 'Pending', reason: 'Pending', message: 'm' } as const
const failed = { phase: 'Failed', reason: 'OOMKilled', message: 'm' } as const
const times = (status: ReturnType<typeof summarize>) =>
  status.conditions?.map(({ lastTransitionTime }) => lastTransitionTime)

describe('the summary of a run', () => {
  it('moves lastTransitionTime only with the status of the condition', () => {
    const first = summarize(undefined, pending, {}, visit())
    const second = summarize(first, running, {}, visit(LATER))
    expect(times(second)).toEqual(times(first))
    const last = summarize(second, failed, {}, visit(LATER))
    expect(times(last)).toEqual(Array(3).fill('2026-01-02T03:05:05Z'))
  })

  it('tells for which generation it is', () => {
    const status = summarize(undefined, pending, {}, visit(NOW, 7))
    expect(status.observedGeneration).toBe(7)
    expect(status.conditions?.map(({ observedGeneration }) => observedGeneration)).toEqual([7, 7, 7])
  })

  it.each([
    [pending, 'Unknown True False'],
    [running, 'Unknown True False'],
    [{ phase: 'Suspended', reason: 'Suspended', message: '' } as const, 'Unknown True False'],
    [{ phase: 'Succeeded', result: SUCCESS } as const, 'True False False'],
    [failed, 'False False True'],
  ])('of %j has Succeeded, Reconciling and Stalled %s', (state, expected) => {
    const { conditions = [], phase } = summarize(undefined, state, {}, visit())
    expect(conditions.map(({ status }) => status).join(' ')).toBe(expected)
    expect(phase).toBe(state.phase)
  })

  it('is final once it has succeeded or failed', () => {
    const last = summarize(undefined, failed, {}, visit())
    expect(summarize(last, { phase: 'Succeeded', result: SUCCESS }, { attempts: 9 }, visit(LATER))).toBe(last)
  })

  it('keeps what was observed before and is not any more', () => {
    const first = summarize(undefined, running, { jobName: 'j', attempts: 1 }, visit())
    expect(summarize(first, pending, {}, visit())).toMatchObject({ jobName: 'j', attempts: 1 })
  })

  it('keeps conditions of others', () => {
    const foreign = { type: 'Audited', status: 'True', reason: 'R', message: '', lastTransitionTime: '' } as const
    const { conditions } = summarize({ conditions: [foreign] }, running, {}, visit())
    expect(conditions).toHaveLength(4)
    expect(conditions?.[0]).toBe(foreign)
  })

  it('cuts long messages with a mark', () => {
    const { conditions } = summarize(undefined, { ...failed, message: 'x'.repeat(9999) }, {}, visit())
    expect(conditions?.[0]?.message).toMatch(/^x{2047}…$/)
    expect(truncate('abc', 3)).toBe('abc')
  })
})

describe('progress', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [314_572_800, '300 MiB'],
    [1_288_490_189, '1.2 GiB'],
    [2 ** 53 - 1, '8 PiB'],
  ])('shows %d bytes as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))

  it('counts exactly up to 2^53, and never leaves what JSON numbers can hold', () => {
    expect(toCount('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER)
    expect(toCount('18446744073709551616')).toBe(Number.MAX_SAFE_INTEGER)
    for (const nonsense of ['', '-1', 'x', 'Infinity']) expect(toCount(nonsense)).toBe(0)
  })

  const half = { objects: 5, objectsDone: 2, rows: '1', bytes: '3000', storedBytes: '1024', percent: 50 }

  it('shows objects where the size is not known', () => {
    const { percent: _, ...unknown } = half
    expect(progressStatus(unknown, true)).toMatchObject({ display: '2/5' })
    expect(progressStatus(unknown, true)).not.toHaveProperty('percent')
  })

  it('shows what is stored, or what is moved where there is no store', () => {
    expect(progressStatus(half, true)).toMatchObject({ size: '1 KiB' })
    expect(progressStatus(half, false)).toMatchObject({ size: '2.93 KiB' })
  })

  it('shows the rate and the time left', () => {
    expect(progressStatus({ ...half, bytesPerSecond: 15.2 }, true)).toMatchObject({
      bytesPerSecond: 15,
      rate: '15 B/s',
      secondsLeft: 200,
      timeLeft: '3m20s',
    })
  })

  it.each([
    ['nothing moves', { ...half, bytesPerSecond: 0 }],
    ['the size is not known', { ...half, percent: undefined, bytesPerSecond: 9 }],
    ['nothing is done yet', { ...half, percent: 0, bytesPerSecond: 9 }],
    ['all is done', { ...half, percent: 100, bytesPerSecond: 9 }],
  ])('tells no time left when %s', (_, { percent, ...rest }) => {
    const status = progressStatus({ ...rest, ...(percent === undefined ? {} : { percent }) }, true)
    expect(status).not.toHaveProperty('secondsLeft')
    expect(status).not.toHaveProperty('timeLeft')
    expect(status).toHaveProperty('rate')
  })

  it.each([
    [0, '0s'],
    [45.9, '45s'],
    [60, '1m'],
    [200, '3m20s'],
    [7_530, '2h5m'],
    [3_605, '1h'],
    [277_200, '3d5h'],
  ])('shows %d seconds as %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text))

  it('of a finished run is everything, at its average rate', () => {
    expect(finishedProgress(SUCCESS)).toMatchObject({
      objects: 2,
      objectsDone: 2,
      percent: 100,
      display: '100%',
      rate: '72.1 MiB/s',
      size: '300 MiB',
    })
    expect(finishedProgress({ ...SUCCESS, seconds: 0 })).not.toHaveProperty('rate')
  })

  it('of a finished transfer has the size of what was moved', () => {
    const { artifact: _, ...transfer } = SUCCESS
    expect(finishedProgress(transfer)).toMatchObject({ size: '1 GiB' })
  })
})

describe('what a success leaves in the status', () => {
  const { artifact, ...withoutArtifact } = SUCCESS
  const leaves = (result: SuccessResult) => summarize(undefined, { phase: 'Succeeded', result }, {}, visit())

  it('is an artefact, with the rows that were rejected', () => {
    const totals = { ...SUCCESS.totals, rejectedRows: '7' }
    const status = leaves({ ...SUCCESS, totals })
    expect(status.artifact).toMatchObject({ ...artifact, rows: 5_000_000, rejectedRows: 7 })
    expect(status.conditions?.[0]?.message).toBe('5000000 rows, 7 rejected, 1 GiB (300 MiB stored) in 14.2 s')
  })

  it('is where the rejected rows lie, when they were brought back', () => {
    const totals = { ...SUCCESS.totals, rejectedRows: '7' }
    const status = leaves({ ...SUCCESS, totals, rejects: 'shop/orders/rejects/uid' })
    expect(status.artifact).toMatchObject({ rejectedRows: 7, rejects: 'shop/orders/rejects/uid' })
    expect(status.conditions?.[0]?.message).toMatch(/ in 14\.2 s; the rejected rows lie in shop\/orders\/rejects\/uid$/)
    expect(leaves(SUCCESS).artifact).not.toHaveProperty('rejects')
  })

  it('is what was moved, of a transfer', () => {
    const status = leaves(withoutArtifact)
    expect(status.artifact).not.toHaveProperty('path')
    expect(status.artifact).toMatchObject({ rows: 5_000_000 })
    expect(status.conditions?.[0]?.message).toBe('5000000 rows, 1 GiB in 14.2 s')
  })

  it('is a plan, of a DryRun', () => {
    const plan = 'public.orders -> public.copy'
    const status = leaves({ ...withoutArtifact, plan })
    expect(status).toMatchObject({ plan, phase: 'Succeeded' })
    expect(status).not.toHaveProperty('artifact')
    expect(status.conditions?.[0]?.message).toBe(
      'nothing was written (DryRun), this would be done: public.orders -> public.copy',
    )
  })
})

describe('the removal of an artefact', () => {
  const removing = { status: 'Unknown', reason: 'Removing', message: 'm' } as const

  it('adds its condition to whatever is final, and changes nothing else', () => {
    const last = summarize(undefined, failed, {}, visit())
    const { conditions = [], ...rest } = summarizeRemoval(last, removing, visit(LATER))
    expect(conditions).toEqual([...(last.conditions ?? []), expect.objectContaining({ type: 'ArtifactRemoved' })])
    expect({ ...rest, conditions: last.conditions }).toEqual(last)
    expect(isFinal({ conditions })).toBe(true)
  })
})

describe('a merge patch', () => {
  const anyJson = fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(0, 1, 'x', true),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value')),
      ),
    })).value,
  )

  /** RFC 7386, as the API server applies it. */
  function apply(target: unknown, patch: unknown): unknown {
    if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
    const result: Record<string, unknown> =
      typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {}
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) delete result[key]
      else result[key] = apply(result[key], value)
    }
    return result
  }

  it('turns the one into the other', () => {
    fc.assert(
      fc.property(anyJson, anyJson, (before, after) => {
        const patch = mergePatch(before, after)
        expect(patch === undefined ? before : apply(before, patch)).toEqual(after)
      }),
    )
  })

  it('is nothing between equals', () => {
    fc.assert(fc.property(anyJson, (value) => expect(mergePatch(value, structuredClone(value))).toBeUndefined()))
  })

  it('holds what has changed only', () => {
    expect(
      mergePatch({ a: 1, b: { c: 1, d: 2 }, e: [1], f: 1 }, { a: 1, b: { c: 1, d: 3 }, e: [1, 2], f: undefined }),
    ).toEqual({
      b: { d: 3 },
      e: [1, 2],
      f: null,
    })
  })
})

describe('the list of reasons', () => {
  it('has the reason of every error code', () => {
    for (const { reason } of Object.values(ERROR_CODES)) expect(REASONS).toHaveProperty(reason)
  })

  it('is in CamelCase, and says what each means and what to do', () => {
    for (const [reason, { meaning, action }] of Object.entries(REASONS)) {
      expect(reason).toMatch(/^[A-Z][A-Za-z]+$/)
      expect(meaning).toMatch(/\S.*\.$/)
      expect(action).toMatch(/\S.*\.$/)
    }
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ERROR_CODES, type ErrorCode, PgpackError } from '../../../src/errors.ts'
import {
  decodeResult,
  EXIT,
  encodeResult,
  exitCodeOf,
  failedResult,
  type RunResult,
  TERMINATION_MESSAGE_LIMIT,
} from '../../../src/run/result.ts'

const CODES = Object.keys(ERROR_CODES) as ErrorCode[]

const succeeded: RunResult = {
  outcome: 'Succeeded',
  attempt: 'nightly-x7k2p',
  totals: { objects: 2, rows: '9007199254740993', bytes: '1', storedBytes: '0' },
  seconds: 12.5,
  artifact: { path: 'app/nightly/pod', manifestSHA256: 'ab'.repeat(32) },
}

const failed = (message: string): RunResult =>
  failedResult('nightly-x7k2p', new PgpackError('POSTGRES_STATEMENT', message))

/** Everything that a server's or a store's message may hold: control characters, quotes, astral and lone surrogates. */
const anyText = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength }),
    fc.string({ unit: 'grapheme', maxLength }),
    fc.string({
      unit: fc.constantFrom('\0', '\x1f', '"', '\\', '\n', 'ä', '漢', '🐘', '\ud83d', '\udc18', 'a'),
      maxLength,
    }),
    fc
      .tuple(fc.constantFrom('\0', 'é', '漢', '🐘', 'x'), fc.nat({ max: maxLength }))
      .map(([unit, n]) => unit.repeat(n)),
  )

describe('a result as a termination message', () => {
  it('is at most 4096 bytes, whatever the error says, and reads back as the same failure', () => {
    fc.assert(
      fc.property(anyText(6000), fc.constantFrom(...CODES), fc.boolean(), (message, code, retryable) => {
        const result = failedResult('pod-1', new PgpackError(code, message, { retryable }))
        const text = encodeResult(result)
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(TERMINATION_MESSAGE_LIMIT)
        expect(decodeResult(text)).toMatchObject({ outcome: 'Failed', attempt: 'pod-1', code, retryable })
      }),
    )
  })

  it('is at most 4096 bytes, whatever the plan of a dry run says, and reads back as the same success', () => {
    fc.assert(
      fc.property(anyText(6000), (plan) => {
        const text = encodeResult({ ...succeeded, plan })
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(TERMINATION_MESSAGE_LIMIT)
        const { plan: kept, ...rest } = decodeResult(text) as { plan: string }
        expect(rest).toEqual(succeeded)
        expect(plan.startsWith(kept.replace(/…$/, ''))).toBe(true)
      }),
    )
  })

  it('keeps a message that fits as it is', () => {
    fc.assert(
      fc.property(anyText(600), (message) => {
        expect(decodeResult(encodeResult(failed(message)))).toEqual(failed(message))
      }),
    )
  })

  it('keeps the start of a message that does not fit, and says by … that it was cut', () => {
    fc.assert(
      fc.property(anyText(3000), (tail) => {
        const message = `relation "orders" does not exist${'x'.repeat(4000)}${tail}`
        const read = decodeResult(encodeResult(failed(message)))
        const text = read?.outcome === 'Failed' ? read.message : ''
        expect(text.endsWith('…')).toBe(true)
        expect(message.startsWith(text.slice(0, -1))).toBe(true)
      }),
    )
  })

  it.each([
    ['ASCII', 'x'.repeat(9000)],
    ['accents', 'é'.repeat(9000)],
    ['CJK', '漢'.repeat(9000)],
    ['emoji', '🐘'.repeat(9000)],
    ['control characters', '\0'.repeat(9000)],
  ])('uses the room it has for a long message: %s', (_, message) => {
    expect(Buffer.byteLength(encodeResult(failed(message)))).toBeGreaterThan(TERMINATION_MESSAGE_LIMIT - 10)
  })

  it('never cuts a character in two', () => {
    for (let length = 2000; length < 2010; length += 1) {
      const read = decodeResult(encodeResult(failed(`${'x'.repeat(length)}${'🐘'.repeat(600)}`)))
      expect(read?.outcome === 'Failed' && read.message.isWellFormed()).toBe(true)
    }
  })

  it('ends even where the attempt alone fills the message', () => {
    const result = failedResult('p'.repeat(5000), new PgpackError('INTERNAL', 'x'))
    expect(() => encodeResult(result)).not.toThrow()
  })

  it('keeps a success with counts beyond 2^53', () => {
    expect(decodeResult(encodeResult(succeeded))).toEqual(succeeded)
  })
})

describe('text that is not a result', () => {
  it.each([
    ['nothing', ''],
    ['a stack trace', 'Error: boom\n    at main.ts:1'],
    ['a kernel message', 'OOMKilled'],
    ['null', 'null'],
    ['a number', '42'],
    ['a list', '[]'],
    ['an object of somebody else', '{"level":"info","msg":"started"}'],
    ['another outcome', '{"outcome":"Maybe","code":"INTERNAL"}'],
    ['an unknown code', JSON.stringify({ ...failed('x'), code: 'NO_SUCH_CODE' })],
    ['a code that every object inherits', JSON.stringify({ ...failed('x'), code: 'toString' })],
    ['a failure without message', '{"outcome":"Failed","attempt":"a","code":"INTERNAL","retryable":true}'],
    [
      'a failure that does not say whether to retry',
      '{"outcome":"Failed","attempt":"a","code":"INTERNAL","message":"x"}',
    ],
    ['a failure without attempt', '{"outcome":"Failed","code":"INTERNAL","message":"x","retryable":true}'],
    ['a success without totals', JSON.stringify({ ...succeeded, totals: undefined })],
    ['a success with null totals', JSON.stringify({ ...succeeded, totals: null })],
    ['a success with totals that count nothing', JSON.stringify({ ...succeeded, totals: {} })],
    ['a success without totals', JSON.stringify({ ...succeeded, totals: undefined })],
    ['a success with an empty artifact', JSON.stringify({ ...succeeded, artifact: {} })],
    ['a result that was cut', encodeResult(succeeded).slice(0, -1)],
  ])('is refused: %s', (_, text) => {
    expect(decodeResult(text)).toBeUndefined()
  })

  it('is refused without a throw, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(decodeResult(text)).toBeUndefined()
      }),
    )
  })
})

describe('the exit code', () => {
  it('is 0 for success, as the contract has it', () => {
    expect(exitCodeOf(succeeded)).toBe(0)
    expect(EXIT).toEqual({ done: 0, retry: 1, permanent: 42, cancelled: 143 })
  })

  it.each(CODES.filter((code) => code !== 'CANCELLED'))('tells the Job whether to try again after %s', (code) => {
    const { retryable } = ERROR_CODES[code]
    expect(exitCodeOf(failedResult('a', new PgpackError(code, 'x')))).toBe(retryable ? 1 : 42)
    const otherwise = new PgpackError(code, 'x', { retryable: !retryable })
    expect(exitCodeOf(failedResult('a', otherwise))).toBe(retryable ? 42 : 1)
  })

  it('is 143, as after SIGTERM, for a run that was told to stop: it is no failed attempt', () => {
    expect(exitCodeOf(failedResult('a', new PgpackError('CANCELLED', 'x')))).toBe(143)
  })
})

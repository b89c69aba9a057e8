import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  ERROR_CODES,
  type ErrorCode,
  errorCode,
  errorMessage,
  PgpackError,
  type PgpackErrorOptions,
  toPgpackError,
} from '../../src/errors.ts'

const CODES = Object.keys(ERROR_CODES) as ErrorCode[]
/** metav1.Condition's own pattern for `reason`, which the API server enforces. */
const CONDITION_REASON = /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/

/** What is thrown in practice: errors of any realm, which are objects with a message and perhaps a code, and plain values. */
const anyThrown = fc.oneof(
  fc.constantFrom(undefined, null),
  fc.string(),
  fc.integer(),
  fc.bigInt(),
  fc.record(
    { message: fc.string(), code: fc.oneof(fc.string(), fc.integer()) },
    { requiredKeys: [], noNullPrototype: true },
  ),
  fc.string().map((message) => new TypeError(message)),
)

describe('the table of error codes', () => {
  it.each(CODES)('%s has a reason that a condition may carry, in CamelCase', (code) => {
    const { reason } = ERROR_CODES[code]
    expect(reason).toMatch(CONDITION_REASON)
    expect(reason).toMatch(/^[A-Z][A-Za-z]+$/)
    expect(reason.length).toBeLessThanOrEqual(1024)
  })

  it.each(CODES)('%s is spelled as scripts match it', (code) => {
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
  })

  it('answers one way for codes that share a reason, so that a reason tells whether a retry can help', () => {
    const answers = new Map<string, Set<boolean>>()
    for (const { reason, retryable } of Object.values(ERROR_CODES)) {
      answers.set(reason, (answers.get(reason) ?? new Set()).add(retryable))
    }
    expect([...answers].filter(([, retryable]) => retryable.size > 1)).toEqual([])
  })

  it.each(['ARTIFACT', 'PGPACK', 'MANIFEST', 'CONFIG', 'TARGET'])('never tries %s_ errors again', (family) => {
    const retried = CODES.filter((code) => code.startsWith(`${family}_`) && ERROR_CODES[code].retryable)
    expect(retried).toEqual([])
  })

  it.each([
    'POSTGRES_UNREACHABLE',
    'POSTGRES_CONNECTION_LOST',
    'POSTGRES_BUSY',
    'STORE_UNREACHABLE',
    'STORE_BUSY',
    'CANCELLED',
    'INTERNAL',
  ] as const)('tries %s again, which can pass by itself', (code) => {
    expect(new PgpackError(code, 'x').retryable).toBe(true)
  })

  it.each([
    'POSTGRES_AUTHENTICATION',
    'POSTGRES_NO_RELATION',
    'STORE_NO_BUCKET',
    'STORE_DENIED',
    'ROW_TOO_LARGE',
  ] as const)('does not try %s again, which waits for a person', (code) => {
    expect(new PgpackError(code, 'x').retryable).toBe(false)
  })
})

describe('a PgpackError', () => {
  it('takes reason and retryable from its code', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CODES), fc.string(), (code, message) => {
        const error = new PgpackError(code, message)
        expect(error).toMatchObject({ ...ERROR_CODES[code], code, message, name: 'PgpackError', details: {} })
      }),
    )
  })

  it.each([true, false])('lets the thrower say retryable: %s, whatever the code says', (retryable) => {
    for (const code of CODES) expect(new PgpackError(code, 'x', { retryable }).retryable).toBe(retryable)
  })

  it('keeps its cause, and has none where none was given', () => {
    const cause = new Error('below')
    expect(new PgpackError('INTERNAL', 'x', { cause }).cause).toBe(cause)
    expect('cause' in new PgpackError('INTERNAL', 'x')).toBe(false)
  })

  it('keeps what was looked at, without cause and retryable among the details', () => {
    const options: PgpackErrorOptions = {
      offset: 7n,
      expected: 'a',
      found: 'b',
      status: '42P01',
      cause: 1,
      retryable: true,
    }
    expect(new PgpackError('PGPACK_TRUNCATED', 'x', options).details).toEqual({
      offset: 7n,
      expected: 'a',
      found: 'b',
      status: '42P01',
    })
  })

  it('prints its name and message like any error', () => {
    expect(String(new PgpackError('STORE_FULL', 'the volume is full'))).toBe('PgpackError: the volume is full')
  })
})

describe('toPgpackError', () => {
  it('returns our own errors as they are', () => {
    const error = new PgpackError('STORE_FULL', 'x')
    expect(toPgpackError(error)).toBe(error)
  })

  it('wraps whatever else was thrown as INTERNAL, to be tried again, with the cause kept', () => {
    fc.assert(
      fc.property(anyThrown, (thrown) => {
        const error = toPgpackError(thrown)
        expect(error).toBeInstanceOf(PgpackError)
        expect(error).toMatchObject({ code: 'INTERNAL', retryable: true, reason: 'InternalError' })
        if (thrown !== undefined) expect(error.cause).toBe(thrown)
      }),
    )
  })

  it('keeps the text of the cause in its own', () => {
    expect(toPgpackError(new TypeError('x is not a function')).message).toBe('unexpected error: x is not a function')
    expect(toPgpackError('a string').message).toBe('unexpected error: a string')
    expect(toPgpackError(undefined).message).toBe('unexpected error: undefined')
  })
})

describe('errorMessage and errorCode', () => {
  it('read errors of any realm by their properties', () => {
    const foreign = { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' }
    expect(errorMessage(foreign)).toBe('connect ECONNREFUSED')
    expect(errorCode(foreign)).toBe('ECONNREFUSED')
  })

  it.each([[undefined], [null], ['text'], [42], [{}], [{ code: 42 }], [{ code: null }]])(
    'find no code in %j',
    (thrown) => {
      expect(errorCode(thrown)).toBeUndefined()
    },
  )

  it('never throw, whatever was thrown', () => {
    fc.assert(
      fc.property(anyThrown, (thrown) => {
        expect(typeof errorMessage(thrown)).toBe('string')
        expect(['string', 'undefined']).toContain(typeof errorCode(thrown))
      }),
    )
  })
})

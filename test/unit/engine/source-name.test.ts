import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { about, objectName } from '../../../src/engine/source-name.ts'
import { PgpackError } from '../../../src/errors.ts'

describe("an object's name", () => {
  it.each([
    ['public', 'orders', 'public.orders'],
    ['Sales', 'Große Tabelle', 'Sales.Große Tabelle'],
    ['a.b', 'c', '"a.b".c'],
    ['a', 'b.c', 'a."b.c"'],
    ['say "hi"', 'x', '"say ""hi""".x'],
  ])('of schema %j and table %j is %s', (schema, name, expected) => {
    expect(objectName({ schema, name })).toBe(expected)
  })

  it('is never that of another', () => {
    const anyPart = fc.string({ unit: fc.constantFrom('a', '.', '"', ' '), minLength: 1, maxLength: 5 })
    const anyName = fc.record({ schema: anyPart, name: anyPart })
    fc.assert(
      fc.property(anyName, anyName, (one, other) => {
        const same = one.schema === other.schema && one.name === other.name
        expect(objectName(one) === objectName(other)).toBe(same)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('an error about an object', () => {
  const failing = (error: unknown) => about('public.orders', async () => Promise.reject(error))

  it('says so, and stays what it was', async () => {
    const cause = new Error('cause')
    const error = new PgpackError('POSTGRES_BUSY', 'no lock', { cause, retryable: false, status: '55P03' })
    await expect(failing(error)).rejects.toMatchObject({
      code: 'POSTGRES_BUSY',
      message: 'public.orders: no lock',
      retryable: false,
      details: { status: '55P03' },
      cause,
    })
  })

  it('does not say it twice', async () => {
    const error = new PgpackError('POSTGRES_NO_COLUMN', 'public.orders has no column "x"')
    await expect(failing(error)).rejects.toBe(error)
  })

  it('passes when it is none of ours', async () => {
    const error = new TypeError('a bug')
    await expect(failing(error)).rejects.toBe(error)
  })
})

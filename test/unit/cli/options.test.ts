import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { MAX_CONNECTIONS, parseChoice, parseCompression, parseInteger } from '../../../src/cli/options.ts'
import { PgpackError } from '../../../src/errors.ts'

function refusal(parse: () => unknown): PgpackError {
  try {
    parse()
  } catch (error) {
    if (error instanceof PgpackError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('--compression', () => {
  it.each([
    ['zstd', { method: 'Zstd' }],
    ['zstd:1', { method: 'Zstd', level: 1 }],
    ['zstd:22', { method: 'Zstd', level: 22 }],
    ['zstd:auto', { method: 'Zstd', level: 'Auto' }],
    ['Zstd:Auto', { method: 'Zstd', level: 'Auto' }],
    ['ZSTD:3', { method: 'Zstd', level: 3 }],
    ['lz4', { method: 'LZ4' }],
    ['None', { method: 'None' }],
  ])('%s is %j', (text, options) => {
    expect(parseCompression(text)).toEqual(options)
  })

  it.each(['', 'gzip', 'snappy', 'lz4:3', 'lz4:auto', 'none:1', 'zstd:1:2', ':3', 'zstd 3', 'zst'])(
    '%j is refused with what there is',
    (text) => {
      const error = refusal(() => parseCompression(text))
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
      expect(error.message).toBe(`--compression "${text}" is none of zstd, zstd:LEVEL, zstd:auto, lz4, none`)
    },
  )

  it.each(['zstd:', 'zstd:0', 'zstd:23', 'zstd:-1', 'zstd:1.5', 'zstd:fast', 'zstd: 3'])(
    '%j has no level that zstd knows',
    (text) => {
      expect(refusal(() => parseCompression(text)).message).toContain('is not a number from 1 to 22')
    },
  )
})

describe('a number', () => {
  it('within its bounds is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_CONNECTIONS }), (value) => {
        expect(parseInteger('--connections', String(value), 1, MAX_CONNECTIONS)).toBe(value)
      }),
    )
  })

  it.each(['0', '65', '-1', '+1', '1.0', '1e1', '0x1', ' 1', '1 ', '', 'four', '٣', '99999999999999999999'])(
    'is not %j',
    (text) => {
      const error = refusal(() => parseInteger('--connections', text, 1, MAX_CONNECTIONS))
      expect(error.message).toBe(`--connections "${text}" is not a number from 1 to 64`)
    },
  )
})

describe('a choice', () => {
  it('is typed in any case and read in its own', () => {
    expect(parseChoice('--mode', 'TRUNCATE', ['Append', 'Truncate'])).toBe('Truncate')
  })

  it('that there is not is refused with those that there are', () => {
    const error = refusal(() => parseChoice('--mode', 'replace', ['Append', 'Truncate']))
    expect(error.message).toBe('--mode "replace" is none of append, truncate')
  })
})

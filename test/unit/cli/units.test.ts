import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { formatBytes, formatCount, formatDuration } from '../../../src/cli/units.ts'

describe('bytes', () => {
  it.each<[bytes: number | bigint, text: string]>([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536n, '1.5 KiB'],
    [100 * 1024, '100 KiB'],
    [1024 ** 2, '1.0 MiB'],
    [5n * 1024n ** 4n, '5.0 TiB'],
    [2n ** 60n, '1024 PiB'],
    [0.4, '0 B'],
  ])('%s are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it('take at most four digits below 1024 PiB, and the text is near the value', () => {
    const factors: Record<string, number> = {
      B: 1,
      KiB: 2 ** 10,
      MiB: 2 ** 20,
      GiB: 2 ** 30,
      TiB: 2 ** 40,
      PiB: 2 ** 50,
    }
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 60n - 1n }), (bytes) => {
        const [number = '', unit = ''] = formatBytes(bytes).split(' ')
        expect(number).toMatch(/^\d{1,4}$|^\d{1,2}\.\d$|^100\.0$/)
        expect(Math.abs(Number(number) * (factors[unit] ?? Number.NaN) - Number(bytes))).toBeLessThanOrEqual(
          Number(bytes) * 0.05 + 0.5,
        )
      }),
    )
  })
})

describe('counts', () => {
  it('are grouped by thousands, exactly', () => {
    expect(formatCount(0n)).toBe('0')
    expect(formatCount(999n)).toBe('999')
    expect(formatCount(9_007_199_254_740_993n)).toBe('9,007,199,254,740,993')
  })
})

describe('durations', () => {
  it.each([
    [0, '0:00'],
    [0.4, '0:00'],
    [0.5, '0:01'],
    [59.6, '1:00'],
    [61, '1:01'],
    [3599, '59:59'],
    [3600, '1:00:00'],
    [3661, '1:01:01'],
    [360_000, '100:00:00'],
    [-5, '0:00'],
  ])('%s seconds are %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })

  it('read back as the whole seconds that they were', () => {
    fc.assert(
      fc.property(fc.nat({ max: 10_000_000 }), (seconds) => {
        const value = formatDuration(seconds)
          .split(':')
          .reduce((sum, part) => sum * 60 + Number(part), 0)
        expect(value).toBe(seconds)
      }),
    )
  })
})

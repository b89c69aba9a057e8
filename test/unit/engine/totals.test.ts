import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { addTotals, noTotals } from '../../../src/engine/totals.ts'

const count = fc.bigInt({ min: 0n, max: 2n ** 64n })

describe('totals', () => {
  it('are the exact sums of what every object moved, beyond 2^53 too', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ rows: count, rawBytes: count, fileBytes: count })), (objects) => {
        const sum = (field: 'rows' | 'rawBytes' | 'fileBytes') =>
          String(objects.reduce((total, object) => total + object[field], 0n))
        expect(objects.reduce(addTotals, noTotals)).toEqual({
          objects: objects.length,
          rows: sum('rows'),
          bytes: sum('rawBytes'),
          storedBytes: sum('fileBytes'),
        })
      }),
    )
  })

  it('leave the totals before as they were', () => {
    addTotals(noTotals, { rows: 1n, rawBytes: 2n, fileBytes: 3n })
    expect(noTotals).toEqual({ objects: 0, rows: '0', bytes: '0', storedBytes: '0' })
  })
})

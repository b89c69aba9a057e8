import { describe, expect, it } from '@jest/globals'
import { checkInStore, checkSegmentPaths, isOnSegments, withObjectName } from '../../../src/engine/segments.ts'

const table = { schema: 'public', name: 'my table' }

describe('the path of the segments files', () => {
  it('holds the name of the object where it asks for it, as a file in a store would have it', () => {
    const how = { format: 'CSV', options: { header: 'Present', onSegment: '/d/<OBJECT>/<SEGID>-<OBJECT>' } } as const
    expect(withObjectName(how, table)).toEqual({
      format: 'CSV',
      options: { header: 'Present', onSegment: '/d/public.my%20table/<SEGID>-public.my%20table' },
    })
  })

  it.each([undefined, {}, { onSegment: '/d/<SEGID>' }])('is left as it is in %j', (options) => {
    expect(withObjectName({ format: 'Text', options }, table)).toEqual({ format: 'Text', options })
  })

  it('may be the same for one object, or for none', () => {
    checkSegmentPaths({ onSegment: '/d/<SEGID>' }, 1)
    checkSegmentPaths({ delimiter: ';' }, 2)
    checkSegmentPaths(undefined, 2)
  })

  it('names each of several objects', () => {
    checkSegmentPaths({ onSegment: '/d/<SEGID>-<OBJECT>' }, 2)
    expect(() => checkSegmentPaths({ onSegment: '/d/<SEGID>' }, 2)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', details: { expected: '<OBJECT>', found: '/d/<SEGID>' } }),
    )
  })

  it('is nothing for rows that lie in the store', () => {
    checkInStore('rows.csv', { header: 'Present' })
    expect(() => checkInStore('rows.csv', { onSegment: '/d/<SEGID>' })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('rows.csv lies in the store'),
      }),
    )
  })

  it('is what makes a COPY one of the segments', () => {
    expect([{ onSegment: '/d' }, { header: 'Present' } as const, undefined].map(isOnSegments)).toEqual([
      true,
      false,
      false,
    ])
  })
})

import { describe, expect, it } from '@jest/globals'
import { parseCopyOptions } from '../../../src/cli/copy-option.ts'

describe('--copy-option', () => {
  it('not given is none', () => {
    expect(parseCopyOptions([])).toBeUndefined()
  })

  it.each([
    ['delimiter=;', { delimiter: ';' }],
    ['DELIMITER==', { delimiter: '=' }],
    ['null=', { null: '' }],
    ['header', { header: 'Present' }],
    ['HEADER=match', { header: 'Match' }],
    ['FORCE_QUOTE=a,b', { forceQuote: ['a', 'b'] }],
    ['force quote=*', { forceQuote: ['*'] }],
    ['freeze', { freeze: true }],
    ['freeze=false', { freeze: false }],
    ['reject_limit=12', { rejectLimit: 12 }],
    ['on-error=ignore', { onError: 'Ignore' }],
    ['segmentRejectLimit=10 percent', { segmentRejectLimit: { count: 10, unit: 'Percent' } }],
    ['SEGMENT REJECT LIMIT=7', { segmentRejectLimit: { count: 7 } }],
  ])('%j is read', (text, options) => {
    expect(parseCopyOptions([text])).toEqual(options)
  })

  it('can be given often', () => {
    expect(parseCopyOptions(['delimiter=|', 'header'])).toEqual({ delimiter: '|', header: 'Present' })
  })

  it.each([
    ['nonsense=1', /"nonsense=1".*delimiter/],
    ['header=maybe', /absent, present, match/],
    ['freeze=perhaps', /true or false/],
    ['delimiter=ab', /does not fit/],
    ['reject_limit=many', /does not fit/],
    ['segment reject limit=few', /10 percent/],
  ])('%j is refused', (text, message) => {
    expect(() => parseCopyOptions([text])).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(() => parseCopyOptions([text])).toThrow(message)
  })
})

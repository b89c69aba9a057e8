import { describe, expect, it } from '@jest/globals'
import { Value } from 'typebox/value'
import { CopyOptions } from '../../../../src/postgres/copy-options/schema.ts'

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly maxLength?: number
  readonly maxItems?: number
  readonly maximum?: number
  readonly enum?: readonly string[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
}

describe('the schema of the options of COPY', () => {
  it.each<[unknown, boolean]>([
    [{}, true],
    [{ null: '', default: '', delimiter: '\t' }, true],
    [{ forceQuote: ['*'], rejectLimit: 2 ** 40, segmentRejectLimit: { count: 1 } }, true],
    [{ delimiter: '' }, false],
    [{ delimiter: '||' }, false],
    [{ escape: 'OFF!' }, false],
    [{ header: 'present' }, false],
    [{ forceNull: [] }, false],
    [{ forceNull: [''] }, false],
    [{ forceNull: '*' }, false],
    [{ rejectLimit: 0 }, false],
    [{ rejectLimit: 1.5 }, false],
    [{ segmentRejectLimit: { unit: 'Rows' } }, false],
    [{ segmentRejectLimit: { count: 1, of: 'all' } }, false],
    [{ format: 'CSV' }, false],
  ])('of %j says %j', (options, fits) => {
    expect(Value.Check(CopyOptions, options)).toBe(fits)
  })

  it('describes and bounds every field, as the API server asks of a CRD', () => {
    const fields = Object.entries(CopyOptions.properties as Readonly<Record<string, Schema>>)
    for (const [name, field] of fields) expect([name, field.description]).toEqual([name, expect.stringMatching(/\.$/)])
    expect(fields.filter(([, field]) => !isBounded(field)).map(([name]) => name)).toEqual([])
  })
})

function isBounded({ type, maxLength, maxItems, maximum, items, properties, ...rest }: Schema): boolean {
  if (type === 'string') return maxLength !== undefined || rest.enum !== undefined
  if (type === 'array') return maxItems !== undefined && items !== undefined && isBounded(items)
  if (type === 'integer') return maximum !== undefined
  if (type === 'object') return Object.values(properties ?? {}).every(isBounded)
  return type === 'boolean'
}

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { copyClause } from '../../../../src/postgres/copy-options/clause.ts'
import type { CopyOptions } from '../../../../src/postgres/copy-options/schema.ts'
import type { CopyFormat } from '../../../../src/postgres/copy-options/table.ts'
import { copyOptionProblems } from '../../../../src/postgres/copy-options/validate.ts'
import { allowedOf, copyOptions, targets } from '../../../support/copy-arbitraries.ts'
import { readCopyClause } from '../../../support/copy-grammar.ts'

describe('copyClause', () => {
  it.each<[CopyFormat | undefined, CopyOptions | undefined, string]>([
    [undefined, undefined, '(FORMAT binary)'],
    ['Text', {}, '(FORMAT text)'],
    [
      'CSV',
      { delimiter: ';', null: '', quote: "'", escape: '\\' },
      `(FORMAT csv, DELIMITER ';', NULL '', QUOTE '''', ESCAPE  E'\\\\')`,
    ],
    ['CSV', { header: 'Present', encoding: 'LATIN1' }, "(FORMAT csv, ENCODING 'LATIN1', HEADER)"],
    ['Text', { header: 'Match', default: '?' }, "(FORMAT text, DEFAULT '?', HEADER MATCH)"],
    ['CSV', { forceQuote: ['*'] }, '(FORMAT csv, FORCE_QUOTE *)'],
    [
      'CSV',
      { forceNull: ['a', 'B "c"'], forceNotNull: ['*', 'd'] },
      '(FORMAT csv, FORCE_NOT_NULL ("*", "d"), FORCE_NULL ("a", "B ""c"""))',
    ],
    ['Binary', { freeze: true, oids: true }, '(FORMAT binary, FREEZE, OIDS)'],
    [
      'CSV',
      { onError: 'Ignore', rejectLimit: Number.MAX_SAFE_INTEGER, logVerbosity: 'Silent', where: 'a > 1 -- b' },
      '(FORMAT csv, ON_ERROR ignore, REJECT_LIMIT 9007199254740991, LOG_VERBOSITY silent) WHERE (\na > 1 -- b\n)',
    ],
    [
      'Binary',
      { header: 'Absent', freeze: false, oids: false, onError: 'Stop', logVerbosity: 'Default', logErrors: false },
      '(FORMAT binary)',
    ],
    ['Text', { segmentRejectLimit: { count: 10 } }, '(FORMAT text) SEGMENT REJECT LIMIT 10 ROWS'],
    [
      'CSV',
      { segmentRejectLimit: { count: 5, unit: 'Percent' }, logErrors: true, where: 'true' },
      '(FORMAT csv) WHERE (\ntrue\n) LOG ERRORS SEGMENT REJECT LIMIT 5 PERCENT',
    ],
    ['Text', { escape: 'OFF' }, "(FORMAT text, ESCAPE 'OFF')"],
    ['Binary', { onSegment: '/t<SEGID>' }, 'ON SEGMENT BINARY'],
    ['Text', { onSegment: '/t<SEGID>' }, 'ON SEGMENT'],
    [
      'CSV',
      { onSegment: '/t<SEGID>', header: 'Present', delimiter: '|', forceNull: ['a', 'b'], forceNotNull: ['c'] },
      `ON SEGMENT CSV DELIMITER '|' HEADER FORCE NOT NULL "c" FORCE NULL "a", "b"`,
    ],
    ['CSV', { fillMissingFields: true, newline: 'CRLF' }, "CSV FILL MISSING FIELDS NEWLINE 'CRLF'"],
    ['CSV', { ignoreExternalPartitions: true, forceQuote: ['*'] }, 'CSV FORCE QUOTE * IGNORE EXTERNAL PARTITIONS'],
    ['Text', { fillMissingFields: false, ignoreExternalPartitions: false }, '(FORMAT text)'],
  ])('%s %j is %s', (format, options, expected) => {
    expect(copyClause({ format, options })).toBe(expected)
  })

  it('is read by the grammar of the server as it was asked for, whatever has passed the check', () => {
    const seen = { PostgreSQL: 0, Greenplum: 0 }
    fc.assert(
      fc.property(copyOptions, targets, (wished, target) => {
        const options = allowedOf(wished, target)
        fc.pre(copyOptionProblems(options, target).length === 0)
        seen[target.flavour] += 1
        const clause = copyClause({ format: target.format, options })
        expect(copyClause({ format: target.format, options: reversed(options) })).toBe(clause)
        const { onSegment, ...asked } = normalised(options)
        expect(readCopyClause(clause)).toEqual({
          format: target.format,
          options: asked,
          onSegment: onSegment !== undefined,
        })
      }),
      { numRuns: 2000 },
    )
    expect(Math.min(seen.PostgreSQL, seen.Greenplum)).toBeGreaterThan(100)
  })
})

/** The same options in another order. */
function reversed(options: CopyOptions): CopyOptions {
  return Object.fromEntries(Object.entries(options).reverse())
}

/** Rows is the unit that goes without saying. */
function normalised(options: CopyOptions): CopyOptions {
  const { segmentRejectLimit: limit, ...rest } = options
  return limit === undefined
    ? rest
    : { ...rest, segmentRejectLimit: { count: limit.count, unit: limit.unit ?? 'Rows' } }
}

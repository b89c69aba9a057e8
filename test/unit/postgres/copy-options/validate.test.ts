import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { PgpackError } from '../../../../src/errors.ts'
import type { CheckedCopy } from '../../../../src/postgres/copy-options/rules.ts'
import type { CopyOptions } from '../../../../src/postgres/copy-options/schema.ts'
import { featuresOf, supportOf } from '../../../../src/postgres/copy-options/table.ts'
import { checkCopyOptions, copyOptionProblems } from '../../../../src/postgres/copy-options/validate.ts'
import { copyOptions, targets } from '../../../support/copy-arbitraries.ts'

const csvFrom: CheckedCopy = { format: 'CSV', direction: 'From', flavour: 'PostgreSQL', versionNumber: 180003 }
const csvTo: CheckedCopy = { ...csvFrom, direction: 'To' }
const textFrom: CheckedCopy = { ...csvFrom, format: 'Text' }
const textTo: CheckedCopy = { ...textFrom, direction: 'To' }
const binaryFrom: CheckedCopy = { ...csvFrom, format: 'Binary' }
const greenplumFrom: CheckedCopy = { ...textFrom, flavour: 'Greenplum', versionNumber: 90426 }
const greenplumTo: CheckedCopy = { ...greenplumFrom, direction: 'To' }

describe('checkCopyOptions', () => {
  it.each<[CopyOptions, CheckedCopy]>([
    [{}, binaryFrom],
    [{ header: 'Absent', onError: 'Stop', oids: false, logVerbosity: 'Default' }, binaryFrom],
    [{ delimiter: '|', null: '', header: 'Present', quote: "'", escape: '\\', encoding: 'iso-8859-15' }, csvTo],
    [{ onError: 'Ignore', rejectLimit: 5, logVerbosity: 'Silent', where: 'a > 1', default: '?' }, textFrom],
    [{ forceQuote: ['*'] }, { ...csvTo, columns: ['a'] }],
    [
      { forceNull: ['a'], forceNotNull: ['a', 'b'] },
      { ...csvFrom, versionNumber: 100023, columns: ['a', 'b'] },
    ],
    [{ escape: 'OFF', header: 'Present' }, greenplumTo],
    [{ segmentRejectLimit: { count: 100, unit: 'Percent' }, logErrors: true, newline: 'CRLF' }, greenplumFrom],
    [{ onSegment: '<SEG_DATA_DIR>/t<SEGID>.txt' }, greenplumTo],
    [{ onSegment: 'relative/t<SEGID>.txt', fillMissingFields: true }, greenplumFrom],
    [{ oids: true }, { ...greenplumTo, format: 'Binary', source: 'Table' }],
  ])('passes %j', (options, copy) => {
    expect(copyOptionProblems(options, copy)).toEqual([])
  })

  it.each<[CopyOptions, CheckedCopy, string]>([
    [
      { rejectLimit: 5, onError: 'Ignore' },
      { ...textFrom, versionNumber: 170004 },
      'rejectLimit (REJECT_LIMIT) needs COPY FROM in Text or CSV on PostgreSQL 18 or later, found COPY FROM in Text on PostgreSQL 17.4',
    ],
    [
      { header: 'Present' },
      { ...textTo, versionNumber: 140012 },
      'header Present (HEADER) needs COPY in CSV on PostgreSQL, or COPY in Text on PostgreSQL 15 or later, found COPY TO in Text on PostgreSQL 14.12',
    ],
    [
      { delimiter: '|' },
      binaryFrom,
      'delimiter (DELIMITER) needs COPY in Text or CSV on PostgreSQL, found COPY FROM in Binary on PostgreSQL 18.3',
    ],
    [
      { forceQuote: ['a'] },
      csvFrom,
      'forceQuote (FORCE_QUOTE) needs COPY TO in CSV on PostgreSQL, found COPY FROM in CSV on PostgreSQL 18.3',
    ],
    [
      { oids: true },
      csvFrom,
      'oids (OIDS) needs COPY on PostgreSQL before 12, found COPY FROM in CSV on PostgreSQL 18.3',
    ],
    [
      { newline: 'LF' },
      csvFrom,
      'newline (NEWLINE) needs COPY FROM in Text or CSV on Greenplum, found COPY FROM in CSV on PostgreSQL 18.3',
    ],
    [
      { where: 'true' },
      greenplumFrom,
      'where (WHERE) needs COPY FROM on Greenplum (PostgreSQL 12 or later), found COPY FROM in Text on Greenplum (PostgreSQL 9.4.26)',
    ],
    [
      { encoding: 'UTF8' },
      binaryFrom,
      'encoding (ENCODING) has no effect there: it needs COPY in Text or CSV on PostgreSQL, found COPY FROM in Binary on PostgreSQL 18.3',
    ],
    [
      { freeze: true },
      { ...csvTo, versionNumber: 160001 },
      'freeze (FREEZE) has no effect there: it needs COPY FROM on PostgreSQL, found COPY TO in CSV on PostgreSQL 16.1',
    ],
    [{ rejectLimit: 5 }, textFrom, 'rejectLimit (REJECT_LIMIT) needs onError Ignore'],
    [{ rejectLimit: 5, onError: 'Stop' }, textFrom, 'rejectLimit (REJECT_LIMIT) needs onError Ignore'],
    [{ logErrors: true }, greenplumFrom, 'logErrors (LOG ERRORS) needs segmentRejectLimit'],
    [
      { onSegment: '/t<SEGID>' },
      { ...greenplumTo, source: 'Query' },
      'onSegment (ON SEGMENT) needs the COPY of a whole table, found that of a query',
    ],
    [{ delimiter: '||' }, csvTo, 'delimiter is one byte, not "||"'],
    [{ delimiter: 'é' }, csvTo, 'delimiter is one byte, not "é"'],
    [{ quote: '' }, csvTo, 'quote is one byte, not ""'],
    [{ escape: 'OF' }, greenplumTo, 'escape is one byte, not "OF"'],
    [{ delimiter: '\n' }, csvTo, 'delimiter holds no line feed and no carriage return'],
    [{ null: 'a\rb' }, textTo, 'null holds no line feed and no carriage return'],
    [{ default: '\n' }, textFrom, 'default holds no line feed and no carriage return'],
    [{ escape: '\r' }, greenplumTo, 'escape holds no line feed and no carriage return'],
    [{ delimiter: '.' }, textTo, 'delimiter in Text is none of \\ . a-z 0-9, not "."'],
    [{ delimiter: 'N' }, textTo, 'null ("\\\\N") holds the delimiter'],
    [{ delimiter: '"' }, csvTo, 'delimiter and quote differ, but both are "\\""'],
    [{ null: 'a,b' }, csvTo, 'null ("a,b") holds the delimiter'],
    [{ null: '"' }, csvTo, 'null ("\\"") holds the quote'],
    [{ default: 'a\tb' }, textFrom, 'default ("a\\tb") holds the delimiter'],
    [{ default: '' }, csvFrom, 'null and default differ, but both are ""'],
    [{ default: '\\N' }, textFrom, 'null and default differ, but both are "\\\\N"'],
    [{ forceNull: ['a', 'a', 'a'] }, csvFrom, 'forceNull names column "a" more than once'],
    [
      { forceNotNull: ['a', 'b'] },
      { ...csvFrom, columns: ['b'] },
      'forceNotNull names column "a", which is not copied',
    ],
    [{ encoding: 'utf-9' }, csvFrom, 'encoding is a name that PostgreSQL knows, such as UTF8 or LATIN1, not "utf-9"'],
    [{ segmentRejectLimit: { count: 1 } }, greenplumFrom, 'segmentRejectLimit.count is at least 2 for Rows, not 1'],
    [
      { segmentRejectLimit: { count: 101, unit: 'Percent' } },
      greenplumFrom,
      'segmentRejectLimit.count is 1 to 100 for Percent, not 101',
    ],
    [{ onSegment: '/t' }, greenplumFrom, 'onSegment holds <SEGID>, but "/t" does not'],
    [
      { onSegment: 't<SEGID>' },
      greenplumTo,
      'onSegment is an absolute path or starts with <SEG_DATA_DIR>, not "t<SEGID>"',
    ],
    [{ null: 'a\0' }, csvFrom, 'null holds a NUL'],
    [{ forceNull: ['a\0'] }, csvFrom, 'forceNull holds a NUL'],
  ])('refuses %j in %j', (options, copy, problem) => {
    expect(copyOptionProblems(options, copy)).toEqual([problem])
  })

  it('tells all problems at once, with a stable code', () => {
    const options: CopyOptions = { forceQuote: ['a'], rejectLimit: 3, delimiter: ';;', encoding: 'nope' }
    const error = caught(() => checkCopyOptions(options, { ...csvFrom, versionNumber: 160002 }))
    expect(error).toBeInstanceOf(PgpackError)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    const { message } = error as PgpackError
    expect(message.startsWith('copyOptions do not fit COPY FROM in CSV on PostgreSQL 16.2: ')).toBe(true)
    expect(message.split('; ')).toHaveLength(4)
    for (const part of ['forceQuote', 'rejectLimit', 'delimiter is one byte', 'encoding is'])
      expect(message).toContain(part)
  })

  it('names each option that the COPY does not have, and passes what is left once they are gone', () => {
    fc.assert(
      fc.property(copyOptions, targets, (options, target) => {
        const lacking = featuresOf(options).filter((feature) => supportOf(feature, target) !== 'Allowed')
        const problems = copyOptionProblems(options, target)
        for (const { option } of lacking) expect(problems.some((problem) => problem.startsWith(option))).toBe(true)
        const rest = Object.fromEntries(
          Object.entries(options).filter(([name]) => !lacking.some(({ option }) => option === name)),
        )
        expect(copyOptionProblems(rest, target).filter((problem) => problem.includes(', found COPY'))).toEqual([])
      }),
    )
  })
})

function caught(work: () => void): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

import { describe, expect, it } from '@jest/globals'
import { countingOf, loadOptions } from '../../../src/engine/load-options.ts'
import type { CopyOptions } from '../../../src/postgres/copy-options/schema.ts'

const postgres17 = { versionNumber: 170_004, flavour: 'PostgreSQL' } as const
const postgres11 = { versionNumber: 110_022, flavour: 'PostgreSQL' } as const
const greenplum = { versionNumber: 120_012, flavour: 'Greenplum' } as const
const columns = ['id']

describe.each(['PGPack', 'NDJSON'] as const)('options for rows that are %s', (format) => {
  const file = { name: 'public.orders', format, columns }

  it.each<[typeof postgres17 | typeof greenplum, CopyOptions]>([
    [postgres17, {}],
    [postgres17, { freeze: true, where: 'id > 0' }],
    [postgres17, { header: 'Absent', onError: 'Stop' }],
    [greenplum, { segmentRejectLimit: { count: 10 }, logErrors: true }],
  ])('go into the binary COPY that loads them: on %j, %j', (server, options) => {
    expect(loadOptions(server, file, options)).toEqual({ format: 'Binary', options })
  })

  it.each<[CopyOptions, RegExp]>([
    [{ delimiter: ';' }, /delimiter \(DELIMITER\) needs COPY in Text or CSV on PostgreSQL/],
    [{ encoding: 'LATIN1' }, /encoding \(ENCODING\) has no effect there/],
    [{ header: 'Present' }, /header Present/],
    [{ onError: 'Ignore' }, /onError Ignore/],
    [{ segmentRejectLimit: { count: 10 } }, /segmentRejectLimit .* on Greenplum/],
    [{ oids: true }, /oids: it holds none/],
  ])('are refused where they mean nothing, with those that do: %j', (options, said) => {
    expect(() => loadOptions(postgres17, file, { ...options, freeze: true })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(said),
        details: { expected: 'freeze, where', found: [...Object.keys(options), 'freeze'].join(', ') },
      }),
    )
  })

  it('are told all at once, with the object, the server and what is allowed', () => {
    const options: CopyOptions = { delimiter: ';', null: '-' }
    expect(() => loadOptions(postgres17, file, options)).toThrow(
      `public.orders is ${format}, which is loaded by COPY FROM in Binary on PostgreSQL 17.4: copyOptions do not fit: ` +
        'delimiter (DELIMITER) needs COPY in Text or CSV on PostgreSQL, found COPY FROM in Binary on PostgreSQL 17.4; ' +
        'null (NULL) needs COPY in Text or CSV on PostgreSQL, found COPY FROM in Binary on PostgreSQL 17.4; ' +
        'allowed are freeze, where',
    )
  })

  it('hold no OIDs for a server that has them', () => {
    expect(() => loadOptions(postgres11, file, { oids: true })).toThrow(/oids: it holds none; allowed are freeze$/)
  })
})

describe("options for files of COPY's own", () => {
  it('are those of their format', () => {
    const file = { name: 'public.orders', format: 'CSV', columns } as const
    expect(loadOptions(postgres17, file, { delimiter: ';' })).toEqual({ format: 'CSV', options: { delimiter: ';' } })
    expect(() => loadOptions(postgres17, file, { newline: 'LF' })).toThrow(/^copyOptions do not fit COPY FROM in CSV/)
  })
})

it.each([
  [undefined, 'Exact'],
  [{ freeze: true }, 'Exact'],
  [{ onError: 'Ignore' }, 'Rejects'],
  [{ segmentRejectLimit: { count: 2 } }, 'Rejects'],
  [{ segmentRejectLimit: { count: 2 }, where: 'id > 0' }, 'Open'],
] as const)('with %j fewer rows than were sent are %s', (options, counting) => {
  expect(countingOf(options)).toBe(counting)
})

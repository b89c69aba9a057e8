import { describe, expect, it } from '@jest/globals'
import { Value } from 'typebox/value'
import { COPY_FORMATS, CopyOptions } from '../../../../src/postgres/copy-options/schema.ts'
import {
  COPY_DIRECTIONS,
  COPY_FEATURES,
  type CopyTarget,
  featuresOf,
  supportOf,
} from '../../../../src/postgres/copy-options/table.ts'
import { checkCopyOptions } from '../../../../src/postgres/copy-options/validate.ts'

const VERSIONS = [
  ...[10, 11, 12, 13, 14, 15, 16, 17, 18].map((major) => ({
    flavour: 'PostgreSQL' as const,
    versionNumber: major * 10_000,
  })),
  ...[90426, 120012, 140004].map((versionNumber) => ({ flavour: 'Greenplum' as const, versionNumber })),
]
const TARGETS: CopyTarget[] = VERSIONS.flatMap((server) =>
  COPY_FORMATS.flatMap((format) => COPY_DIRECTIONS.map((direction) => ({ ...server, format, direction }))),
)
const ROWS = COPY_FEATURES.map((feature) => ({ ...feature, feature, name: `${feature.option} ${feature.value ?? ''}` }))

const postgres = (major: number, format: CopyTarget['format'], direction: CopyTarget['direction']): CopyTarget => ({
  flavour: 'PostgreSQL',
  versionNumber: major * 10_000 + 3,
  format,
  direction,
})

const feature = (option: keyof CopyOptions, value?: string) => {
  const row = COPY_FEATURES.find((one) => one.option === option && one.value === value)
  if (row === undefined) throw new Error(`${option} is not in the table`)
  return row
}

describe('the table of the options of COPY', () => {
  it('has every option of the schema', () => {
    expect(new Set(COPY_FEATURES.map(({ option }) => option))).toEqual(new Set(Object.keys(CopyOptions.properties)))
  })

  it.each(ROWS)('has an example of $name that fits the schema and asks for it', ({ feature, example }) => {
    expect([...Value.Errors(CopyOptions, example)]).toEqual([])
    expect(featuresOf(example)).toContain(feature)
  })

  it.each(ROWS)('has a COPY for $name, and passes its example there', ({ feature, example }) => {
    const targets = TARGETS.filter((target) => supportOf(feature, target) === 'Allowed')
    expect(targets).not.toEqual([])
    for (const target of targets) checkCopyOptions(example, target)
  })

  it.each(ROWS)('says of $name either that it is allowed or that it is ignored', ({ feature }) => {
    const { allowed, ignored = [] } = feature
    const ignoredOnly = { ...feature, allowed: ignored, ignored: [] }
    const both = TARGETS.filter(
      (target) =>
        supportOf({ ...feature, ignored: [] }, target) === 'Allowed' && supportOf(ignoredOnly, target) === 'Allowed',
    )
    expect(both).toEqual([])
    expect(allowed.length).toBeGreaterThan(0)
  })

  it('gives every value of an enumeration a row, but for the default of the server', () => {
    const values = ['header', 'onError', 'logVerbosity'].flatMap((option) =>
      COPY_FEATURES.filter((row) => row.option === option).map((row) => `${option} ${row.value}`),
    )
    expect(values).toEqual([
      'header Present',
      'header Match',
      'onError Ignore',
      'logVerbosity Verbose',
      'logVerbosity Silent',
    ])
  })

  it.each<[keyof CopyOptions, string | undefined, CopyTarget, ReturnType<typeof supportOf>]>([
    ['header', 'Present', postgres(14, 'Text', 'To'), 'Refused'],
    ['header', 'Present', postgres(15, 'Text', 'To'), 'Allowed'],
    ['header', 'Present', postgres(10, 'CSV', 'To'), 'Allowed'],
    ['header', 'Match', postgres(15, 'CSV', 'To'), 'Refused'],
    ['freeze', undefined, postgres(16, 'CSV', 'To'), 'Ignored'],
    ['freeze', undefined, postgres(17, 'CSV', 'To'), 'Refused'],
    ['oids', undefined, postgres(11, 'Binary', 'To'), 'Allowed'],
    ['oids', undefined, postgres(12, 'Binary', 'To'), 'Refused'],
    ['forceNull', '*', postgres(16, 'CSV', 'From'), 'Refused'],
    ['forceNull', '*', postgres(17, 'CSV', 'From'), 'Allowed'],
    ['forceNull', undefined, postgres(10, 'CSV', 'From'), 'Allowed'],
    ['rejectLimit', undefined, postgres(18, 'Text', 'From'), 'Allowed'],
    ['rejectLimit', undefined, postgres(17, 'Text', 'From'), 'Refused'],
    ['encoding', undefined, postgres(18, 'Binary', 'From'), 'Ignored'],
    ['onSegment', undefined, postgres(18, 'Text', 'From'), 'Refused'],
    ['where', undefined, { ...postgres(12, 'Binary', 'From'), flavour: 'Greenplum' }, 'Allowed'],
    ['where', undefined, { ...postgres(12, 'Binary', 'From'), flavour: 'Greenplum', versionNumber: 90426 }, 'Refused'],
  ])('%s %s: %j is %s', (option, value, target, expected) => {
    expect(supportOf(feature(option, value), target)).toBe(expected)
  })
})

describe('featuresOf', () => {
  it.each<[CopyOptions, (string | undefined)[][]]>([
    [{}, []],
    [{ header: 'Absent', freeze: false, onError: 'Stop', logVerbosity: 'Default' }, []],
    [
      { null: '', delimiter: '|' },
      [
        ['null', undefined],
        ['delimiter', undefined],
      ],
    ],
    [{ forceNull: ['*'] }, [['forceNull', '*']]],
    [{ forceNull: ['*', 'a'] }, [['forceNull', undefined]]],
    [{ escape: 'OFF' }, [['escape', 'OFF']]],
    [{ escape: 'o' }, [['escape', undefined]]],
  ])('%j asks for %j', (options, expected) => {
    expect(featuresOf(options).map(({ option, value }) => [option, value])).toEqual(expected)
  })
})

import fc from 'fast-check'
import { COPY_FORMATS, type CopyOptions } from '../../src/postgres/copy-options/schema.ts'
import { COPY_DIRECTIONS, type CopyTarget, featuresOf, supportOf } from '../../src/postgres/copy-options/table.ts'

/** Characters that some rule of the server is about, and some that none is. */
const character = fc.constantFrom(
  ...['|', ',', '\t', '"', "'", '\\', '.', 'a', 'Z', '7', 'N', '\n', '\r', ' ', 'é', '~'],
)
const shortString = fc.array(character, { maxLength: 3 }).map((characters) => characters.join(''))
const column = fc.constantFrom('id', 'name', 'Odd "name"', "it's", 'é')
const someColumns = fc.array(fc.constantFrom('id', 'name', 'missing'), { minLength: 1, maxLength: 3 })
const columns: fc.Arbitrary<string[]> = fc.oneof(fc.constant<string[]>(['*']), fc.uniqueArray(column, { minLength: 1 }))

/** Options whose values are at the edge of what the server takes, with the columns `id` and `name`. */
export const aroundServersRules = fc.record({
  format: fc.constantFrom('Text' as const, 'CSV' as const),
  direction: fc.constantFrom(...COPY_DIRECTIONS),
  options: fc.record(
    {
      delimiter: fc.oneof(character, shortString),
      null: shortString,
      default: shortString,
      quote: fc.oneof(character, shortString),
      escape: fc.oneof(character, shortString),
      forceQuote: someColumns,
      forceNull: someColumns,
      forceNotNull: someColumns,
    },
    { requiredKeys: [] },
  ),
})

export const servers: fc.Arbitrary<Pick<CopyTarget, 'versionNumber' | 'flavour'>> = fc.oneof(
  fc.record({
    flavour: fc.constant('PostgreSQL' as const),
    versionNumber: fc.constantFrom(100023, 110022, 120022, 140023, 150018, 160014, 170010, 180004),
  }),
  fc.record({ flavour: fc.constant('Greenplum' as const), versionNumber: fc.constantFrom(90426, 120012, 140004) }),
)

export const targets: fc.Arbitrary<CopyTarget> = fc
  .tuple(servers, fc.constantFrom(...COPY_FORMATS), fc.constantFrom(...COPY_DIRECTIONS))
  .map(([server, format, direction]) => ({ ...server, format, direction }))

/** Any options that the schema takes. */
export const copyOptions: fc.Arbitrary<CopyOptions> = fc.record(
  {
    delimiter: character,
    null: shortString,
    default: shortString,
    header: fc.constantFrom('Absent', 'Present', 'Match'),
    quote: character,
    escape: fc.oneof(character, fc.constant('OFF')),
    forceQuote: columns,
    forceNotNull: columns,
    forceNull: columns,
    encoding: fc.constantFrom('UTF8', 'LATIN1', 'utf-9'),
    freeze: fc.boolean(),
    oids: fc.boolean(),
    onError: fc.constantFrom('Stop', 'Ignore'),
    rejectLimit: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    logVerbosity: fc.constantFrom('Default', 'Verbose', 'Silent'),
    where: fc.constantFrom('id > 0', "name <> ')' -- not the end", 'a or b'),
    onSegment: fc.constantFrom('<SEG_DATA_DIR>/t<SEGID>', "/it's <SEGID>\\x", 'relative<SEGID>', '/no'),
    segmentRejectLimit: fc.record(
      { count: fc.integer({ min: 1, max: 200 }), unit: fc.constantFrom('Rows', 'Percent') },
      { requiredKeys: ['count'] },
    ),
    logErrors: fc.boolean(),
    fillMissingFields: fc.boolean(),
    newline: fc.constantFrom('LF', 'CR', 'CRLF'),
    ignoreExternalPartitions: fc.boolean(),
  },
  { requiredKeys: [] },
)

/** The options that a COPY has, of those that are given: with all of them, hardly any combination would be one. */
export function allowedOf(options: CopyOptions, target: CopyTarget): CopyOptions {
  const allowed = featuresOf(options).filter((feature) => supportOf(feature, target) === 'Allowed')
  return Object.fromEntries(allowed.map(({ option }) => [option, options[option]]))
}

import type { Flavour } from '../types.ts'
import type { COPY_FORMATS, CopyOptions } from './schema.ts'

export type CopyFormat = (typeof COPY_FORMATS)[number]

export const COPY_DIRECTIONS = ['From', 'To'] as const
export type CopyDirection = (typeof COPY_DIRECTIONS)[number]

/** What a COPY is and who runs it. */
export interface CopyTarget {
  readonly format: CopyFormat
  readonly direction: CopyDirection
  /** server_version_num: 180003 is PostgreSQL 18.3; 90426, 9.4.26, is what Greenplum 6 is made of. */
  readonly versionNumber: number
  readonly flavour: Flavour
}

/** COPYs that share an answer. What is left out does not matter. */
export interface CopyCell {
  readonly flavour: Flavour
  readonly formats?: readonly CopyFormat[]
  readonly directions?: readonly CopyDirection[]
  /** server_version_num of the first that has it. */
  readonly since?: number
  /** server_version_num of the first that has it no more. */
  readonly until?: number
}

export interface CopyFeature {
  readonly option: keyof CopyOptions
  /** Of an option whose values came at different times: the value this row is about; `*` is the list `["*"]`. */
  readonly value?: string
  /** As SQL has it. */
  readonly keyword: string
  readonly allowed: readonly CopyCell[]
  /** Where the server takes the option in silence and nothing comes of it; refused here, so that nobody relies on it. */
  readonly ignored?: readonly CopyCell[]
  /** Another option that must be set, to this value where one is named. */
  readonly requires?: { readonly option: keyof CopyOptions; readonly value?: string }
  /** COPY of a query does not have it. */
  readonly tableOnly?: true
  /** The shortest use of it. */
  readonly example: CopyOptions
}

/** State of an option in a COPY: see `allowed` and `ignored` of CopyFeature; the server raises an error for Refused. */
export type CopySupport = 'Allowed' | 'Ignored' | 'Refused'

const PG12 = 120000
const PG15 = 150000
const PG16 = 160000
const PG17 = 170000
const PG18 = 180000

const LINES = ['Text', 'CSV'] as const
const CSV = ['CSV'] as const
const BINARY = ['Binary'] as const
const FROM = ['From'] as const
const TO = ['To'] as const

type Where = Omit<CopyCell, 'flavour'>
const postgres = (where: Where = {}): CopyCell => ({ flavour: 'PostgreSQL', ...where })
const greenplum = (where: Where = {}): CopyCell => ({ flavour: 'Greenplum', ...where })
const everywhere = (where: Where = {}): CopyCell[] => [postgres(where), greenplum(where)]

/** Values that are the server's own choice where nothing is said: they ask for nothing, so every COPY has them. */
const DEFAULTS: ReadonlySet<unknown> = new Set([false, 'Absent', 'Stop', 'Default'])

/**
 * Every option of COPY. Of PostgreSQL by ProcessCopyOptions of src/backend/commands/copy.c, 10 to 18; of Greenplum by
 * its own copy.c and gram.y: 6 (PostgreSQL 9.4), and 7, YMatrix and Cloudberry (PostgreSQL 12 and later).
 */
export const COPY_FEATURES: readonly CopyFeature[] = [
  {
    option: 'delimiter',
    keyword: 'DELIMITER',
    allowed: everywhere({ formats: LINES }),
    example: { delimiter: '|' },
  },
  { option: 'null', keyword: 'NULL', allowed: everywhere({ formats: LINES }), example: { null: '-' } },
  {
    option: 'default',
    keyword: 'DEFAULT',
    allowed: [postgres({ formats: LINES, directions: FROM, since: PG16 })],
    example: { default: '?' },
  },
  {
    option: 'header',
    value: 'Present',
    keyword: 'HEADER',
    allowed: [postgres({ formats: CSV }), postgres({ formats: ['Text'], since: PG15 }), greenplum({ formats: LINES })],
    example: { header: 'Present' },
  },
  {
    option: 'header',
    value: 'Match',
    keyword: 'HEADER MATCH',
    allowed: [postgres({ formats: LINES, directions: FROM, since: PG15 })],
    example: { header: 'Match' },
  },
  { option: 'quote', keyword: 'QUOTE', allowed: everywhere({ formats: CSV }), example: { quote: "'" } },
  {
    option: 'escape',
    keyword: 'ESCAPE',
    allowed: [postgres({ formats: CSV }), greenplum({ formats: LINES })],
    ignored: [greenplum({ formats: BINARY })],
    example: { escape: '!' },
  },
  {
    option: 'escape',
    value: 'OFF',
    keyword: "ESCAPE 'OFF'",
    allowed: [greenplum({ formats: ['Text'] })],
    ignored: [greenplum({ formats: BINARY })],
    example: { escape: 'OFF' },
  },
  {
    option: 'forceQuote',
    keyword: 'FORCE_QUOTE',
    allowed: everywhere({ formats: CSV, directions: TO }),
    example: { forceQuote: ['id'] },
  },
  {
    option: 'forceQuote',
    value: '*',
    keyword: 'FORCE_QUOTE *',
    allowed: everywhere({ formats: CSV, directions: TO }),
    example: { forceQuote: ['*'] },
  },
  {
    option: 'forceNotNull',
    keyword: 'FORCE_NOT_NULL',
    allowed: everywhere({ formats: CSV, directions: FROM }),
    example: { forceNotNull: ['id'] },
  },
  {
    option: 'forceNotNull',
    value: '*',
    keyword: 'FORCE_NOT_NULL *',
    allowed: [postgres({ formats: CSV, directions: FROM, since: PG17 })],
    example: { forceNotNull: ['*'] },
  },
  {
    option: 'forceNull',
    keyword: 'FORCE_NULL',
    allowed: everywhere({ formats: CSV, directions: FROM }),
    example: { forceNull: ['id'] },
  },
  {
    option: 'forceNull',
    value: '*',
    keyword: 'FORCE_NULL *',
    allowed: [postgres({ formats: CSV, directions: FROM, since: PG17 })],
    example: { forceNull: ['*'] },
  },
  {
    option: 'encoding',
    keyword: 'ENCODING',
    allowed: everywhere({ formats: LINES }),
    ignored: everywhere({ formats: BINARY }),
    example: { encoding: 'LATIN1' },
  },
  {
    option: 'freeze',
    keyword: 'FREEZE',
    allowed: everywhere({ directions: FROM }),
    ignored: [postgres({ directions: TO, until: PG17 }), greenplum({ directions: TO })],
    example: { freeze: true },
  },
  {
    option: 'oids',
    keyword: 'OIDS',
    allowed: everywhere({ until: PG12 }),
    tableOnly: true,
    example: { oids: true },
  },
  {
    option: 'onError',
    value: 'Ignore',
    keyword: 'ON_ERROR ignore',
    allowed: [postgres({ formats: LINES, directions: FROM, since: PG17 })],
    example: { onError: 'Ignore' },
  },
  {
    option: 'rejectLimit',
    keyword: 'REJECT_LIMIT',
    allowed: [postgres({ formats: LINES, directions: FROM, since: PG18 })],
    requires: { option: 'onError', value: 'Ignore' },
    example: { onError: 'Ignore', rejectLimit: 10 },
  },
  {
    option: 'logVerbosity',
    value: 'Verbose',
    keyword: 'LOG_VERBOSITY verbose',
    allowed: [postgres({ formats: LINES, directions: FROM, since: PG17 })],
    ignored: [postgres({ formats: BINARY, since: PG17 }), postgres({ formats: LINES, directions: TO, since: PG17 })],
    example: { logVerbosity: 'Verbose' },
  },
  {
    option: 'logVerbosity',
    value: 'Silent',
    keyword: 'LOG_VERBOSITY silent',
    allowed: [postgres({ formats: LINES, directions: FROM, since: PG18 })],
    ignored: [postgres({ formats: BINARY, since: PG18 }), postgres({ formats: LINES, directions: TO, since: PG18 })],
    example: { logVerbosity: 'Silent' },
  },
  {
    option: 'where',
    keyword: 'WHERE',
    allowed: everywhere({ directions: FROM, since: PG12 }),
    example: { where: 'id > 0' },
  },
  {
    option: 'onSegment',
    keyword: 'ON SEGMENT',
    allowed: [greenplum()],
    tableOnly: true,
    example: { onSegment: '<SEG_DATA_DIR>/t<SEGID>' },
  },
  {
    option: 'segmentRejectLimit',
    keyword: 'SEGMENT REJECT LIMIT',
    allowed: [greenplum({ directions: FROM })],
    example: { segmentRejectLimit: { count: 10 } },
  },
  {
    option: 'logErrors',
    keyword: 'LOG ERRORS',
    allowed: [greenplum({ directions: FROM })],
    requires: { option: 'segmentRejectLimit' },
    example: { logErrors: true, segmentRejectLimit: { count: 10, unit: 'Percent' } },
  },
  {
    option: 'fillMissingFields',
    keyword: 'FILL MISSING FIELDS',
    allowed: [greenplum({ formats: LINES, directions: FROM })],
    ignored: [greenplum({ formats: BINARY, directions: FROM })],
    example: { fillMissingFields: true },
  },
  {
    option: 'newline',
    keyword: 'NEWLINE',
    allowed: [greenplum({ formats: LINES, directions: FROM })],
    ignored: [greenplum({ formats: BINARY, directions: FROM })],
    example: { newline: 'CRLF' },
  },
  {
    option: 'ignoreExternalPartitions',
    keyword: 'IGNORE EXTERNAL PARTITIONS',
    allowed: [greenplum({ directions: TO })],
    ignored: [greenplum({ directions: FROM })],
    tableOnly: true,
    example: { ignoreExternalPartitions: true },
  },
]

/** The rows of the table that `options` asks for; values that are the server's default ask for none. */
export function featuresOf(options: CopyOptions): CopyFeature[] {
  return Object.entries(options).flatMap(([option, value]) => {
    if (value === undefined || DEFAULTS.has(value)) return []
    const rows = COPY_FEATURES.filter((feature) => feature.option === option)
    const name = isEveryColumn(value) ? '*' : value
    const row = rows.find((feature) => feature.value === name) ?? rows.find((feature) => feature.value === undefined)
    return row === undefined ? [] : [row]
  })
}

/** Whether a list of columns is the `*` of FORCE_QUOTE, FORCE_NOT_NULL and FORCE_NULL. */
export function isEveryColumn(value: unknown): boolean {
  return Array.isArray(value) && value.length === 1 && value[0] === '*'
}

export function supportOf(feature: CopyFeature, target: CopyTarget): CopySupport {
  if (feature.allowed.some((cell) => covers(cell, target))) return 'Allowed'
  return feature.ignored?.some((cell) => covers(cell, target)) === true ? 'Ignored' : 'Refused'
}

/** The options that such a COPY has in one value at least, in the order of the table. */
export function allowedOptions(target: CopyTarget): (keyof CopyOptions)[] {
  const allowed = COPY_FEATURES.filter((feature) => supportOf(feature, target) === 'Allowed')
  return [...new Set(allowed.map(({ option }) => option))]
}

function covers({ flavour, formats, directions, since, until }: CopyCell, target: CopyTarget): boolean {
  return (
    flavour === target.flavour &&
    formats?.includes(target.format) !== false &&
    directions?.includes(target.direction) !== false &&
    (since === undefined || target.versionNumber >= since) &&
    (until === undefined || target.versionNumber < until)
  )
}

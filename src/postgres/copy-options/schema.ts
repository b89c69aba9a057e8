import type { Static } from 'typebox'
import * as Type from 'typebox'

/** FORMAT of COPY, in the spelling of `spec.format`. PGPack is made of Binary. */
export const COPY_FORMATS = ['Binary', 'Text', 'CSV'] as const
export const HEADERS = ['Absent', 'Present', 'Match'] as const
export const ON_ERROR_ACTIONS = ['Stop', 'Ignore'] as const
export const LOG_VERBOSITIES = ['Default', 'Verbose', 'Silent'] as const
export const NEWLINES = ['LF', 'CR', 'CRLF'] as const
export const REJECT_UNITS = ['Rows', 'Percent'] as const

const character = (description: string) => Type.String({ description, minLength: 1, maxLength: 1 })

const text = (description: string, minLength: number, maxLength: number) =>
  Type.String({ description, minLength, maxLength })

const flag = (description: string) => Type.Boolean({ description })

const choice = <const T extends readonly string[]>(values: T, description: string) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], description })

const columns = (description: string) =>
  Type.Array(text('Column name.', 1, 63), {
    description,
    minItems: 1,
    maxItems: 1600,
    'x-kubernetes-list-type': 'atomic',
  })

const count = (description: string, maximum: number) =>
  Type.Integer({ description, minimum: 1, maximum, format: maximum > 2 ** 31 - 1 ? 'int64' : 'int32' })

const SegmentRejectLimit = Type.Object(
  {
    count: count('Rows, at least 2; or percent, 1 to 100.', 2 ** 31 - 1),
    unit: Type.Optional(choice(REJECT_UNITS, 'What count is of; Rows when not given.')),
  },
  {
    additionalProperties: false,
    description: 'Malformed rows are left out until one segment has refused this many. Greenplum, COPY FROM.',
  },
)

/**
 * `copyOptions` of the resources and of the run's configuration: every option of COPY, none with a default of its own,
 * so that what is not said is the server's choice. Which formats, directions and versions know an option is in
 * table.ts; checkCopyOptions tells.
 */
export const CopyOptions = Type.Object(
  {
    delimiter: Type.Optional(character('DELIMITER: one byte between columns. Text and CSV.')),
    null: Type.Optional(text('NULL: what stands for a null value. Text and CSV.', 0, 1024)),
    default: Type.Optional(
      text("DEFAULT: what stands for the column's default. Text and CSV, COPY FROM of PostgreSQL 16.", 0, 1024),
    ),
    header: Type.Optional(
      choice(
        HEADERS,
        "HEADER: a first line with the columns' names. Match refuses a file whose names differ (COPY FROM of PostgreSQL 15). CSV; text from PostgreSQL 15.",
      ),
    ),
    quote: Type.Optional(character('QUOTE: one byte around a quoted value. CSV.')),
    escape: Type.Optional(
      text('ESCAPE: one byte before a quote within a value. CSV; text on Greenplum, where OFF means none.', 1, 3),
    ),
    forceQuote: Type.Optional(
      columns('FORCE_QUOTE: columns whose values are always quoted; ["*"] for all. CSV, COPY TO.'),
    ),
    forceNotNull: Type.Optional(
      columns('FORCE_NOT_NULL: columns whose values are never null; ["*"] for all (PostgreSQL 17). CSV, COPY FROM.'),
    ),
    forceNull: Type.Optional(
      columns(
        'FORCE_NULL: columns whose quoted values can be null too; ["*"] for all (PostgreSQL 17). CSV, COPY FROM.',
      ),
    ),
    encoding: Type.Optional(text("ENCODING: of the file, by PostgreSQL's name for it.", 1, 63)),
    freeze: Type.Optional(
      flag('FREEZE: writes rows frozen. COPY FROM into a table created or truncated in the same transaction.'),
    ),
    oids: Type.Optional(flag("OIDS: each row's OID goes first. PostgreSQL 10 and 11, Greenplum 6.")),
    onError: Type.Optional(
      choice(ON_ERROR_ACTIONS, 'ON_ERROR: Ignore leaves out rows that do not convert. COPY FROM of PostgreSQL 17.'),
    ),
    rejectLimit: Type.Optional(
      count('REJECT_LIMIT: rows that onError Ignore leaves out at most. PostgreSQL 18.', Number.MAX_SAFE_INTEGER),
    ),
    logVerbosity: Type.Optional(
      choice(LOG_VERBOSITIES, 'LOG_VERBOSITY: what the server says of rows left out. PostgreSQL 17; Silent 18.'),
    ),
    where: Type.Optional(
      text('WHERE: SQL condition that a row must meet to be loaded. COPY FROM of PostgreSQL 12.', 1, 16384),
    ),
    onSegment: Type.Optional(
      text(
        "ON SEGMENT: the file of each segment, on the segment's host: a path that holds <SEGID>, can start with <SEG_DATA_DIR>, and holds <OBJECT>, the name of each object, where there are several. Greenplum.",
        1,
        1024,
      ),
    ),
    segmentRejectLimit: Type.Optional(SegmentRejectLimit),
    logErrors: Type.Optional(
      flag(
        'LOG ERRORS: what segmentRejectLimit leaves out is brought back out of gp_read_error_log(), as CSV beside the manifest. Greenplum, COPY FROM.',
      ),
    ),
    fillMissingFields: Type.Optional(
      flag('FILL MISSING FIELDS: columns missing at the end of a line are null. Greenplum, COPY FROM.'),
    ),
    newline: Type.Optional(choice(NEWLINES, 'NEWLINE: what ends a line. Greenplum, COPY FROM.')),
    ignoreExternalPartitions: Type.Optional(
      flag('IGNORE EXTERNAL PARTITIONS: leaves out partitions that are external tables. Greenplum, COPY TO.'),
    ),
  },
  { additionalProperties: false, description: 'Options of COPY, checked against the server before anything moves.' },
)

export type CopyOptions = Static<typeof CopyOptions>

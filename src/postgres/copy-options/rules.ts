import { isEncodingName } from './encodings.ts'
import type { CopyOptions } from './schema.ts'
import { type CopyTarget, isEveryColumn } from './table.ts'

/** A COPY whose options are checked. */
export interface CheckedCopy extends CopyTarget {
  /** Whether rows come from a table's COPY or from a query's, as copyTableTo decides by its conditions; Table when not given. */
  readonly source?: 'Table' | 'Query'
  /** The columns that are copied, where they are known. */
  readonly columns?: readonly string[]
}

/** What the server asks of values, beyond the schema. */
export interface ValueRule {
  /** For the reference. */
  readonly text: string
  /** @param options those that this COPY has. */
  problems(options: CopyOptions, copy: CheckedCopy): Iterable<string>
}

const COLUMN_LISTS = ['forceQuote', 'forceNotNull', 'forceNull'] as const
/** COPY FROM takes a backslash before these for something else than the character itself. */
const TAKEN_BY_TEXT = '\\.abcdefghijklmnopqrstuvwxyz0123456789'

/** By ProcessCopyOptions of src/backend/commands/copy.c; Greenplum's clauses by its gram.y. */
export const VALUE_RULES: readonly ValueRule[] = [
  {
    text: '`delimiter`, `quote` and `escape` are one ASCII character each; `escape` in Text on Greenplum can also be `OFF`.',
    *problems(options) {
      for (const option of ['delimiter', 'quote', 'escape'] as const) {
        const value = options[option]
        if (value === undefined || (option === 'escape' && value === 'OFF')) continue
        if (Buffer.byteLength(value) !== 1) yield `${option} is one byte, not ${JSON.stringify(value)}`
      }
    },
  },
  {
    text: '`delimiter`, `null` and `default` hold no line feed and no carriage return; nor does `escape` in Text.',
    *problems(options, { format }) {
      for (const option of [
        'delimiter',
        'null',
        'default',
        ...(format === 'Text' ? (['escape'] as const) : []),
      ] as const) {
        if (/[\r\n]/.test(options[option] ?? '')) yield `${option} holds no line feed and no carriage return`
      }
    },
  },
  {
    text: '`delimiter` in Text is none of `\\`, `.`, `a` to `z` and `0` to `9`.',
    *problems({ delimiter = '' }, { format }) {
      if (format === 'Text' && delimiter.length === 1 && TAKEN_BY_TEXT.includes(delimiter)) {
        yield `delimiter in Text is none of \\ . a-z 0-9, not ${JSON.stringify(delimiter)}`
      }
    },
  },
  {
    text: '`delimiter` and `quote` differ.',
    *problems(options, copy) {
      const { delimiter, quote } = inEffect(options, copy)
      if (delimiter === quote) yield `delimiter and quote differ, but both are ${JSON.stringify(quote)}`
    },
  },
  {
    text: '`null` and `default` hold neither `delimiter` nor, in CSV, `quote`, and are not the same. What is not set counts with its default: a tab, `\\N` in Text; a comma, `"` and nothing in CSV.',
    *problems(options, copy) {
      const { delimiter, quote, ...strings } = inEffect(options, copy)
      for (const [option, value] of Object.entries(strings)) {
        if (holds(value, delimiter)) yield `${option} (${JSON.stringify(value)}) holds the delimiter`
        if (holds(value, quote)) yield `${option} (${JSON.stringify(value)}) holds the quote`
      }
      if (strings.null === strings.default)
        yield `null and default differ, but both are ${JSON.stringify(strings.null)}`
    },
  },
  {
    text: '`forceQuote`, `forceNotNull` and `forceNull` name columns that are copied, each once.',
    *problems(options, { columns }) {
      for (const option of COLUMN_LISTS) {
        const names = options[option] ?? []
        if (isEveryColumn(names)) continue
        for (const name of repeated(names)) yield `${option} names column "${name}" more than once`
        for (const name of new Set(names)) {
          if (columns?.includes(name) === false) yield `${option} names column "${name}", which is not copied`
        }
      }
    },
  },
  {
    text: '`encoding` is a name that PostgreSQL knows.',
    *problems({ encoding }) {
      if (encoding !== undefined && !isEncodingName(encoding)) {
        yield `encoding is a name that PostgreSQL knows, such as UTF8 or LATIN1, not ${JSON.stringify(encoding)}`
      }
    },
  },
  {
    text: '`segmentRejectLimit.count` is at least 2 for Rows, 1 to 100 for Percent.',
    *problems({ segmentRejectLimit }) {
      if (segmentRejectLimit === undefined) return
      const { count, unit = 'Rows' } = segmentRejectLimit
      if (unit === 'Rows' && count < 2) yield `segmentRejectLimit.count is at least 2 for Rows, not ${count}`
      if (unit === 'Percent' && count > 100) yield `segmentRejectLimit.count is 1 to 100 for Percent, not ${count}`
    },
  },
  {
    text: '`onSegment` holds `<SEGID>`; in COPY TO it starts with `/` or `<SEG_DATA_DIR>`. `<OBJECT>` in it is ours: the name of each object.',
    *problems({ onSegment }, { direction }) {
      if (onSegment === undefined) return
      if (!onSegment.includes('<SEGID>')) yield `onSegment holds <SEGID>, but ${JSON.stringify(onSegment)} does not`
      if (direction === 'To' && !/^(\/|<SEG_DATA_DIR>)/.test(onSegment)) {
        yield `onSegment is an absolute path or starts with <SEG_DATA_DIR>, not ${JSON.stringify(onSegment)}`
      }
    },
  },
  {
    text: 'No value holds a NUL character.',
    *problems(options) {
      for (const [option, value] of Object.entries(options)) {
        if ([value].flat().some((one) => typeof one === 'string' && one.includes('\0'))) yield `${option} holds a NUL`
      }
    },
  },
]

/** Characters and strings as the server has them once it has put in its defaults. */
function inEffect(options: CopyOptions, { format }: CopyTarget) {
  const csv = format === 'CSV'
  return {
    delimiter: options.delimiter ?? (csv ? ',' : '\t'),
    quote: csv ? (options.quote ?? '"') : undefined,
    null: options.null ?? (csv ? '' : '\\N'),
    default: options.default,
  }
}

/** An empty character is a problem of its own. */
function holds(value: string | undefined, character: string | undefined): boolean {
  return Boolean(character) && value?.includes(character ?? '') === true
}

function repeated(names: readonly string[]): Set<string> {
  return new Set(names.filter((name, index) => names.indexOf(name) < index))
}

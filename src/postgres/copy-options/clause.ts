import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'
import type { CopyOptions } from './schema.ts'
import { type CopyFormat, isEveryColumn } from './table.ts'

export interface CopyFormatOptions {
  /** Binary when not given. */
  readonly format?: CopyFormat | undefined
  /** As checkCopyOptions has passed them. */
  readonly options?: CopyOptions | undefined
}

/**
 * What follows STDIN, STDOUT or the file in COPY: formats, options, WHERE, single row error handling. PostgreSQL's own
 * options are written in parentheses, which every server takes since 9.0. An option of Greenplum's own makes it the
 * older list of keywords, the only form in which both of its generations, 6 and 7, take all of them: 6 has no
 * `(FORMAT …) ON SEGMENT`, and `IGNORE EXTERNAL PARTITIONS` has another name in 7's parentheses.
 */
export function copyClause({ format = 'Binary', options = {} }: CopyFormatOptions = {}): string {
  const list = isGreenplums(options)
    ? [...keywords(format, options)].join(' ')
    : `(${[...genericList(format, options)].join(', ')})`
  return [list, where(options), ...rejectClause(options)].filter((part) => part !== '').join(' ')
}

/** A condition between parentheses; the line breaks keep a comment at its end from swallowing the second. */
export function parenthesised(condition: string): string {
  return `(\n${condition}\n)`
}

function isGreenplums(options: CopyOptions): boolean {
  const { onSegment, fillMissingFields, newline, ignoreExternalPartitions } = options
  return onSegment !== undefined || newline !== undefined || Boolean(fillMissingFields || ignoreExternalPartitions)
}

function* genericList(format: CopyFormat, options: CopyOptions): Generator<string> {
  yield `FORMAT ${format.toLowerCase()}`
  yield* strings(options)
  yield* flags(options)
  for (const [keyword, names] of columnLists(options)) {
    yield `${keyword} ${isEveryColumn(names) ? '*' : `(${columnsOf(names)})`}`
  }
  if (options.onError === 'Ignore') yield 'ON_ERROR ignore'
  if (options.rejectLimit !== undefined) yield `REJECT_LIMIT ${options.rejectLimit}`
  const { logVerbosity = 'Default' } = options
  if (logVerbosity !== 'Default') yield `LOG_VERBOSITY ${logVerbosity.toLowerCase()}`
}

/** copy_opt_item of Greenplum's gram.y, in an order that its versions agree on: in 6, IGNORE EXTERNAL PARTITIONS is no item and goes last. */
function* keywords(format: CopyFormat, options: CopyOptions): Generator<string> {
  if (options.onSegment !== undefined) yield 'ON SEGMENT'
  if (format !== 'Text') yield format.toUpperCase()
  yield* strings(options)
  yield* flags(options)
  for (const [keyword, names] of columnLists(options)) {
    yield `${keyword.replaceAll('_', ' ')} ${isEveryColumn(names) ? '*' : columnsOf(names)}`
  }
  if (options.fillMissingFields) yield 'FILL MISSING FIELDS'
  if (options.newline !== undefined) yield `NEWLINE ${quoteLiteral(options.newline)}`
  if (options.ignoreExternalPartitions) yield 'IGNORE EXTERNAL PARTITIONS'
}

function* strings(options: CopyOptions): Generator<string> {
  for (const option of ['delimiter', 'null', 'default', 'quote', 'escape', 'encoding'] as const) {
    const value = options[option]
    if (value !== undefined) yield `${option.toUpperCase()} ${quoteLiteral(value)}`
  }
}

function* flags({ header, freeze, oids }: CopyOptions): Generator<string> {
  if (header === 'Present') yield 'HEADER'
  if (header === 'Match') yield 'HEADER MATCH'
  if (freeze) yield 'FREEZE'
  if (oids) yield 'OIDS'
}

function* columnLists(options: CopyOptions): Generator<[string, readonly string[]]> {
  if (options.forceQuote) yield ['FORCE_QUOTE', options.forceQuote]
  if (options.forceNotNull) yield ['FORCE_NOT_NULL', options.forceNotNull]
  if (options.forceNull) yield ['FORCE_NULL', options.forceNull]
}

function columnsOf(names: readonly string[]): string {
  return names.map(quoteIdentifier).join(', ')
}

function where(options: CopyOptions): string {
  return options.where === undefined ? '' : `WHERE ${parenthesised(options.where)}`
}

function* rejectClause({ segmentRejectLimit: limit, logErrors }: CopyOptions): Generator<string> {
  if (limit === undefined) return
  if (logErrors) yield 'LOG ERRORS'
  yield `SEGMENT REJECT LIMIT ${limit.count} ${limit.unit === 'Percent' ? 'PERCENT' : 'ROWS'}`
}

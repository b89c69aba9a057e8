import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { CopyFormatOptions } from '../postgres/copy-options/clause.ts'
import type { CheckedCopy } from '../postgres/copy-options/rules.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import { allowedOptions } from '../postgres/copy-options/table.ts'
import { checkCopyOptions, copyOptionProblems } from '../postgres/copy-options/validate.ts'
import { describeTarget } from '../postgres/copy-options/words.ts'
import type { DumpFormat } from '../run/config.ts'
import { copyOf } from './format.ts'
import type { Load } from './load.ts'

/** What a COPY is to load. */
export interface LoadedFile {
  /** For messages. */
  readonly name: string
  readonly format: DumpFormat | 'NDJSON'
  /** Of the table, in the order of the file. */
  readonly columns: readonly string[]
}

/** What only COPY's own files hold, and where only such a file lies: never of rows that we send. */
const OF_OTHER_FILES: readonly (keyof CopyOptions)[] = ['oids', 'onSegment']

/**
 * The COPY that loads a file, with the options that a user gives to it.
 * @throws PgpackError CONFIG_INVALID for options that the server, or the file's format, does not have
 */
export function loadOptions(
  { versionNumber, flavour }: Pick<PostgresConnection, 'versionNumber' | 'flavour'>,
  { name, format, columns }: LoadedFile,
  options: CopyOptions = {},
): CopyFormatOptions {
  const how = copyOf({ format: format === 'NDJSON' ? 'PGPack' : format, copyOptions: options })
  const copy = {
    format: how.format ?? 'Binary',
    direction: 'From',
    versionNumber,
    flavour,
    source: 'Table',
    columns,
  } as const
  if (format === 'PGPack' || format === 'NDJSON') checkEncoded(`${name} is ${format}`, options, copy)
  else checkCopyOptions(options, copy)
  return how
}

/** Rows go to the server as binary COPY here, whatever the file looks like: the message says so. */
function checkEncoded(what: string, options: CopyOptions, copy: CheckedCopy): void {
  const { oids, ...others } = options
  const problems = copyOptionProblems(others, copy)
  if (oids) problems.unshift('oids: it holds none')
  if (problems.length === 0) return
  const expected = allowedOptions(copy)
    .filter((option) => !OF_OTHER_FILES.includes(option))
    .join(', ')
  const message = `${what}, which is loaded by ${describeTarget(copy)}: copyOptions do not fit: ${problems.join('; ')}; allowed are ${expected}`
  throw new PgpackError('CONFIG_INVALID', message, { expected, found: Object.keys(options).join(', ') })
}

/** What it means that fewer rows stay than were sent with these options. */
export function countingOf({ where, onError, segmentRejectLimit }: CopyOptions = {}): Load['counting'] {
  if (where !== undefined) return 'Open'
  return onError === 'Ignore' || segmentRejectLimit !== undefined ? 'Rejects' : 'Exact'
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { CopyFormatOptions } from '../postgres/copy-options/clause.ts'
import type { CopyOptions } from '../postgres/copy-options/schema.ts'
import { missingFileRole } from '../postgres/copy-segments.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import { escapeObjectName } from '../storage/keys.ts'

/** Ours, beside the server's own `<SEGID>` and `<SEG_DATA_DIR>`: the name of the object's file in a store would be. */
const OBJECT = '<OBJECT>'

/** Options of a COPY whose rows lie in files on the hosts of a Greenplum's segments. */
export type SegmentOptions = CopyOptions & { readonly onSegment: string }

export function isOnSegments(options: CopyOptions | undefined): options is SegmentOptions {
  return options?.onSegment !== undefined
}

/** The options with the object's name in the path, where that asks for it. */
export function withObjectName(how: CopyFormatOptions, { schema, name }: QualifiedName): CopyFormatOptions {
  const { options } = how
  if (!isOnSegments(options)) return how
  return {
    ...how,
    options: { ...options, onSegment: options.onSegment.replaceAll(OBJECT, escapeObjectName(schema, name)) },
  }
}

/** @throws PgpackError CONFIG_INVALID when one object would write over another's files */
export function checkSegmentPaths(options: CopyOptions | undefined, objects: number): void {
  if (!isOnSegments(options) || objects === 1 || options.onSegment.includes(OBJECT)) return
  throw new PgpackError(
    'CONFIG_INVALID',
    `copyOptions.onSegment ${JSON.stringify(options.onSegment)} is the same path for ${objects} objects: put <OBJECT> into it, which stands for the name of each`,
    { expected: OBJECT, found: options.onSegment },
  )
}

/** @throws PgpackError CONFIG_INVALID for rows that come out of the store */
export function checkInStore(name: string, options: CopyOptions | undefined): void {
  if (!isOnSegments(options)) return
  const message = `${name} lies in the store: copyOptions.onSegment goes with objects that were dumped with it`
  throw new PgpackError('CONFIG_INVALID', message, { expected: 'no onSegment', found: options.onSegment })
}

/** @throws PgpackError POSTGRES_PRIVILEGE for a user for whom the server reads or writes no files */
export async function checkFileRole(connection: PostgresConnection, direction: 'From' | 'To'): Promise<void> {
  const missing = await missingFileRole(connection, direction)
  if (missing === undefined) return
  const what = direction === 'From' ? 'reads' : 'writes'
  throw new PgpackError(
    'POSTGRES_PRIVILEGE',
    `copyOptions.onSegment: the server ${what} files for a superuser${missing === 'superuser' ? '' : ` or a member of ${missing}`} only, and this user is none`,
    { expected: missing, found: 'an ordinary user' },
  )
}

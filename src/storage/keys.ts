import { createHash } from 'node:crypto'
import { PgpackError } from '../errors.ts'

/** S3 takes keys of up to 1024 bytes of UTF-8. */
const MAX_KEY_BYTES = 1024

/** What `escapeObjectName` gives is at most this long, so that an extension still fits into a 255-byte file name. */
export const MAX_OBJECT_NAME = 240

/**
 * A key that every store can hold and that cannot leave its root: segments parted by `/`, none empty, `.` or `..`, no
 * control characters (XML 1.0, in which S3 lists and removes, cannot name them).
 * @throws PgpackError CONFIG_INVALID
 */
export function checkKey(key: string): string {
  const fault = keyFault(key)
  if (fault === undefined) return key
  throw new PgpackError('CONFIG_INVALID', `${JSON.stringify(key)} cannot be a key in a store: ${fault}`, { found: key })
}

function keyFault(key: string): string | undefined {
  if (!key.isWellFormed()) return 'it is not valid Unicode'
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`
  if (/\p{Cc}/u.test(key)) return 'it holds a control character'
  const bad = key.split('/').find((segment) => segment === '' || segment === '.' || segment === '..')
  return bad === undefined ? undefined : `a segment is ${bad === '' ? 'empty' : `"${bad}"`}`
}

/** `prefix` and `key` joined by one `/`; an empty prefix is no segment. */
export function joinKey(prefix: string, key: string): string {
  return prefix === '' ? key : `${prefix}/${key}`
}

/**
 * The file name (without extension) of a relation, `schema.table`, or of a named query, `name`. Two different objects
 * never share one: all but ASCII letters, digits, `_` and `-` becomes `%XX` of its UTF-8 bytes, so the only `.` is the
 * one between schema and table; what would be too long is cut and ends in `~` and a hash of the whole.
 */
export function escapeObjectName(schema: string | undefined, name: string): string {
  const full = schema === undefined ? escapeIdentifier(name) : `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
  if (full.length <= MAX_OBJECT_NAME) return full
  const hash = createHash('sha256').update(full).digest('hex').slice(0, 32)
  return `${full.slice(0, MAX_OBJECT_NAME - hash.length - 1)}~${hash}`
}

function escapeIdentifier(identifier: string): string {
  return identifier.replace(/[^A-Za-z0-9_-]/gu, (character) =>
    Buffer.from(character).reduce((text, byte) => `${text}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, ''),
  )
}

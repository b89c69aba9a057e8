import { PgpackError } from '../errors.ts'

/** A relation's name as the catalog has it: no quotes, case as stored. */
export interface QualifiedName {
  readonly schema: string
  readonly name: string
}

/** An identifier as SQL takes it, whatever it holds. Always quoted, so that keywords need no list. */
export function quoteIdentifier(name: string): string {
  return `"${withoutNul(name).replaceAll('"', '""')}"`
}

export function quoteQualified({ schema, name }: QualifiedName): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/** A string constant that means the same whatever standard_conforming_strings says. */
export function quoteLiteral(value: string): string {
  const quoted = `'${withoutNul(value).replaceAll("'", "''")}'`
  return quoted.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** The server would end the statement at a NUL, in the middle of what is quoted. */
function withoutNul(text: string): string {
  if (!text.includes('\0')) return text
  throw new PgpackError(
    'CONFIG_INVALID',
    'a name or a value for PostgreSQL holds a NUL character, which it cannot store',
  )
}

/** One part of a name: quoted, with doubled quotes inside, or bare up to the next dot. */
const PART = /"((?:[^"]|"")+)"|([^".\s]+)/y

/**
 * `schema.name` or `name` as a user writes it on a command line, by psql's rules: what is not quoted is folded to
 * lower case, quotes keep case and dots.
 * @param defaultSchema the schema of a name that stands alone.
 * @throws PgpackError CONFIG_INVALID
 */
export function parseQualifiedName(text: string, defaultSchema = 'public'): QualifiedName {
  const parts = splitName(text)
  const [first, second] = parts
  if (first === undefined || parts.length > 2) {
    const found = JSON.stringify(text)
    const message = `${found} is not a table's name: expected name or schema.name, with "…" around what is not plain`
    throw new PgpackError('CONFIG_INVALID', message, { found, expected: 'schema.name' })
  }
  return second === undefined ? { schema: defaultSchema, name: first } : { schema: first, name: second }
}

/** Empty where the text is no list of names between dots. */
function splitName(text: string): string[] {
  const parts: string[] = []
  let offset = 0
  for (;;) {
    PART.lastIndex = offset
    const match = PART.exec(text)
    if (match === null) return []
    const [whole, quoted, bare] = match
    parts.push(quoted?.replaceAll('""', '"') ?? foldCase(bare ?? ''))
    offset += whole.length
    if (offset === text.length) return parts
    if (text[offset] !== '.') return []
    offset += 1
  }
}

/** PostgreSQL folds ASCII only in a multibyte encoding (downcase_truncate_identifier). */
function foldCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

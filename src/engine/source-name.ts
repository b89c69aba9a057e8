import { PgpackError } from '../errors.ts'
import { type QualifiedName, quoteIdentifier } from '../postgres/identifiers.ts'

/**
 * A relation's name as the manifest, messages and a restore's `from` have it: `schema.table`, each part in double
 * quotes where it holds a dot or a quote, so that no two relations share one.
 */
export function objectName({ schema, name }: QualifiedName): string {
  return `${quotedIfNeeded(schema)}.${quotedIfNeeded(name)}`
}

function quotedIfNeeded(part: string): string {
  return /[."]/.test(part) ? quoteIdentifier(part) : part
}

/** Runs `work`; an error of its own says which object it is about. */
export async function about<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof PgpackError) || error.message.startsWith(name)) throw error
    const { code, message, retryable, details, cause } = error
    throw new PgpackError(code, `${name}: ${message}`, { ...details, retryable, cause })
  }
}

import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { CreationProblem } from './preflight-create.ts'

/** SQLSTATE undefined_file: of an extension's control file. */
const UNDEFINED_FILE = '58P01'

/**
 * Makes all of it in a transaction that is rolled back, so that the server itself says what the catalog does not:
 * whether this role may create the extension, and whether functions, operator classes and collations are there.
 * @param creations each one's statements; the same statement is run once
 * @returns for each of them what the server refused
 */
export async function rehearseCreation(
  session: PostgresConnection,
  creations: readonly (readonly string[])[],
): Promise<readonly (CreationProblem | undefined)[]> {
  const done = new Set<string>()
  const problems: (CreationProblem | undefined)[] = []
  await session.query('BEGIN')
  for (const statements of creations) problems.push(await rehearse(session, statements, done))
  await session.query('ROLLBACK')
  return problems
}

async function rehearse(
  session: PostgresConnection,
  statements: readonly string[],
  done: Set<string>,
): Promise<CreationProblem | undefined> {
  const fresh = statements.filter((statement) => !done.has(statement))
  await session.query('SAVEPOINT rehearsal')
  try {
    for (const statement of fresh) await session.query(statement)
    for (const statement of fresh) done.add(statement)
    return undefined
  } catch (error) {
    const unavailable = error instanceof PgpackError && error.details.status === UNDEFINED_FILE
    if (!(error instanceof PgpackError) || (error.retryable && !unavailable)) throw error
    await session.query('ROLLBACK TO SAVEPOINT rehearsal')
    const code = unavailable ? 'OBJECT_UNSUPPORTED' : error.code
    return { code, text: `it cannot be made: ${error.message}` }
  }
}

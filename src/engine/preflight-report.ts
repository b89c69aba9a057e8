import { type ErrorCode, PgpackError } from '../errors.ts'

/** One reason why a load would fail, or change what it moves. */
export interface Problem {
  readonly code: ErrorCode
  /** The object that is to be loaded. */
  readonly object: string
  /** `schema.table` that it is to go into. */
  readonly table: string
  /** Which column or whatever it is, what was found, what was expected, what to do. */
  readonly text: string
}

/**
 * Everything that is wrong with a run, in one error: its code is the first problem's, and any other code is named where
 * it belongs. Does nothing when there is no problem.
 */
export function throwProblems(problems: readonly Problem[]): void {
  const [first] = problems
  if (first === undefined) return
  const pairs = Map.groupBy(problems, ({ object, table }) => `${object} does not fit table ${table}`)
  const texts = [...pairs].map(([pair, found]) => {
    const listed = found.map(({ code, text }) => (code === first.code ? text : `${text} [${code}]`))
    return `${pair}: ${listed.join('; ')}`
  })
  throw new PgpackError(first.code, texts.join('; '))
}

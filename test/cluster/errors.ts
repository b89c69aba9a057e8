/** Stable names of what can go wrong in the harness; callers match on these, never on messages. */
export type HarnessErrorCode =
  | 'COMMAND_FAILED'
  | 'PREREQUISITE_MISSING'
  | 'SETTING_MISSING'
  | 'NOT_READY'
  | 'CLUSTER_NOT_RUNNING'

/** A failure of the harness itself. Its message says what to do. */
export class HarnessError extends Error {
  override readonly name = 'HarnessError'
  readonly code: HarnessErrorCode

  constructor(code: HarnessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

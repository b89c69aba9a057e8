/**
 * Every error that leaves a module of this project carries one of these codes. The code decides three things at once:
 * what a script may match, whether a retry can help (the engine's exit code 1 or 42), and the CamelCase reason that a
 * condition shows (Kubernetes API conventions, "Typical status properties").
 */
export const ERROR_CODES = {
  // the file
  PGPACK_SIGNATURE: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_METADATA_CRC: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_METADATA: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_UNKNOWN_METHOD: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_TRUNCATED: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_TRAILING_DATA: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_LENGTH_MISMATCH: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_FRAME_CORRUPT: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_ROW_MALFORMED: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_VALUE: { retryable: false, reason: 'ArtifactCorrupt' },
  PGPACK_LIMIT: { retryable: false, reason: 'ArtifactTooLarge' },
  // the manifest
  MANIFEST_MISSING: { retryable: false, reason: 'ArtifactIncomplete' },
  MANIFEST_INVALID: { retryable: false, reason: 'ArtifactCorrupt' },
  MANIFEST_MISMATCH: { retryable: false, reason: 'ArtifactCorrupt' },
  // the server
  POSTGRES_UNREACHABLE: { retryable: true, reason: 'DatabaseUnreachable' },
  POSTGRES_CONNECTION_LOST: { retryable: true, reason: 'DatabaseConnectionLost' },
  POSTGRES_BUSY: { retryable: true, reason: 'DatabaseUnavailable' },
  POSTGRES_READ_ONLY: { retryable: true, reason: 'DatabaseUnavailable' },
  POSTGRES_AUTHENTICATION: { retryable: false, reason: 'AuthenticationFailed' },
  POSTGRES_TLS: { retryable: false, reason: 'TLSFailed' },
  POSTGRES_NO_DATABASE: { retryable: false, reason: 'DatabaseNotFound' },
  POSTGRES_NO_RELATION: { retryable: false, reason: 'RelationNotFound' },
  POSTGRES_NO_COLUMN: { retryable: false, reason: 'ColumnMismatch' },
  POSTGRES_PRIVILEGE: { retryable: false, reason: 'PermissionDenied' },
  POSTGRES_DATA: { retryable: false, reason: 'DataRejected' },
  POSTGRES_STATEMENT: { retryable: false, reason: 'StatementFailed' },
  POSTGRES_PROTOCOL: { retryable: true, reason: 'DatabaseConnectionLost' },
  ROW_TOO_LARGE: { retryable: false, reason: 'RowTooLarge' },
  // the plan
  CONFIG_INVALID: { retryable: false, reason: 'InvalidConfiguration' },
  OBJECT_UNSUPPORTED: { retryable: false, reason: 'ObjectUnsupported' },
  TARGET_MISMATCH: { retryable: false, reason: 'ColumnMismatch' },
  TARGET_REFERENCED: { retryable: false, reason: 'StatementFailed' },
  TARGET_INCOMPLETE: { retryable: false, reason: 'StatementFailed' },
  // the store
  STORE_UNREACHABLE: { retryable: true, reason: 'StoreUnreachable' },
  STORE_BUSY: { retryable: true, reason: 'StoreUnavailable' },
  STORE_NO_BUCKET: { retryable: false, reason: 'BucketNotFound' },
  STORE_NO_OBJECT: { retryable: false, reason: 'ObjectNotFound' },
  STORE_DENIED: { retryable: false, reason: 'StoreAccessDenied' },
  STORE_FULL: { retryable: false, reason: 'StoreFull' },
  STORE_FAILED: { retryable: false, reason: 'StoreFailed' },
  // the operator
  LEADERSHIP_LOST: { retryable: true, reason: 'InternalError' },
  // the run itself
  CANCELLED: { retryable: true, reason: 'Cancelled' },
  INTERNAL: { retryable: true, reason: 'InternalError' },
} as const satisfies Record<string, { retryable: boolean; reason: string }>

export type ErrorCode = keyof typeof ERROR_CODES
export type ErrorReason = (typeof ERROR_CODES)[ErrorCode]['reason']

/** What was looked at when the error was found; never holds a secret. `offset` counts bytes from the file's start. */
export interface ErrorDetails {
  readonly offset?: number | bigint
  readonly expected?: string
  readonly found?: string
  /** SQLSTATE, HTTP status or errno of the cause, where it has one. */
  readonly status?: string
}

export interface PgpackErrorOptions extends ErrorDetails {
  readonly cause?: unknown
  /** Overrides the code's own answer, for a cause that is known to pass (or not to). */
  readonly retryable?: boolean
}

/**
 * The one error class that crosses module borders. `message` names the object, what was found, what was expected and
 * what to do; it holds no secret and can be shown in a status or an Event.
 */
export class PgpackError extends Error {
  override readonly name = 'PgpackError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, options: PgpackErrorOptions = {}) {
    const { cause, retryable, ...details } = options
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable ?? ERROR_CODES[code].retryable
    this.details = details
  }

  get reason(): ErrorReason {
    return ERROR_CODES[this.code].reason
  }
}

/** The error itself if it is ours, else an INTERNAL error (retryable) that keeps it as its cause. */
export function toPgpackError(error: unknown): PgpackError {
  if (error instanceof PgpackError) return error
  const message = errorMessage(error)
  return new PgpackError('INTERNAL', `unexpected error: ${message}`, { cause: error })
}

/** The text of whatever was thrown. */
export function errorMessage(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error)
}

/** The `code` (errno, SQLSTATE, S3 code …) of whatever was thrown, when it has one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** What the API server answers instead of an object (meta/v1 Status); the fields that are read here. */
export interface Status {
  readonly message?: string
  readonly reason?: string
  readonly code?: number
  readonly details?: { readonly retryAfterSeconds?: number }
}

export interface ApiErrorOptions {
  /** `GET /api/v1/...`: which request failed. */
  readonly request: string
  readonly statusCode?: number | undefined
  readonly status?: Status | undefined
  /** Seconds, from the Retry-After header. */
  readonly retryAfterSeconds?: number | undefined
  readonly cause?: unknown
}

/**
 * The API server refused a request, or did not answer it (`statusCode` undefined, `cause` says why). The counterpart of
 * client-node's ApiException.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code = 'KUBERNETES_API'
  /** HTTP status; undefined where there was no answer. */
  readonly statusCode: number | undefined
  /** The Status' machine-readable reason: NotFound, AlreadyExists, Conflict, Expired ... */
  readonly reason: string
  readonly retryAfterSeconds: number | undefined

  constructor(message: string, options: ApiErrorOptions) {
    super(`${options.request}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.statusCode = options.statusCode ?? options.status?.code
    this.reason = options.status?.reason ?? (this.statusCode === undefined ? 'NoAnswer' : 'Unknown')
    this.retryAfterSeconds = options.retryAfterSeconds ?? options.status?.details?.retryAfterSeconds
  }

  /** From a Status, as an answer's body or an ERROR event inside a watch. */
  static fromStatus(status: Status, options: Omit<ApiErrorOptions, 'status'>): ApiError {
    const code = options.statusCode ?? status.code
    const message = status.message ?? status.reason ?? 'no message'
    return new ApiError(code === undefined ? message : `${code} ${message}`, { ...options, status })
  }
}

function hasStatus(error: unknown, statusCode: number): error is ApiError {
  return error instanceof ApiError && error.statusCode === statusCode
}

export function isNotFound(error: unknown): error is ApiError {
  return hasStatus(error, 404)
}

/** Somebody changed the object since we read it (or a precondition did not hold): read again and decide again. */
export function isConflict(error: unknown): error is ApiError {
  return hasStatus(error, 409) && error.reason !== 'AlreadyExists'
}

export function isAlreadyExists(error: unknown): error is ApiError {
  return hasStatus(error, 409) && error.reason === 'AlreadyExists'
}

/** A resourceVersion or a continue token older than etcd's compaction: list again. */
export function isGone(error: unknown): error is ApiError {
  return hasStatus(error, 410)
}

export function isForbidden(error: unknown): error is ApiError {
  return hasStatus(error, 403)
}

/** The namespace is going away and takes nothing new; a create there is pointless. */
export function isNamespaceTerminating(error: unknown): error is ApiError {
  return isForbidden(error) && error.message.includes('because it is being terminated')
}

/** No answer, overload, or a server that restarts: the same request can succeed later. */
export function isTransient(error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false
  return error.statusCode === undefined || error.statusCode === 429 || error.statusCode >= 500
}

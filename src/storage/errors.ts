import { type ErrorCode, errorCode, errorMessage, PgpackError } from '../errors.ts'

/** What an S3 server answered instead of what was asked for. `message` is the server's own text, freed of keys. */
export class S3Failure extends Error {
  override readonly name = 'S3Failure'
  readonly status: number
  /** The `<Code>` of the answer (S3 API, "Error responses"); '' where there was none, as after HEAD. */
  readonly code: string
  /** The bucket's own region, where the server names it. */
  readonly region: string | undefined
  /** From `Retry-After`. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, code: string, message: string, hints: { region?: string; retryAfterMs?: number } = {}) {
    super(message)
    this.status = status
    this.code = code
    this.region = hints.region
    this.retryAfterMs = hints.retryAfterMs
  }
}

/** A connection that ended, or a body that stopped short, in the middle of an answer. */
export class CutError extends Error {
  override readonly name = 'CutError'
  readonly code = 'ECONNRESET'
}

/** What was being done when the error came; none of it is secret. */
export interface StoreContext {
  /** `cannot …`: the verb and the object. */
  readonly action: string
  /** The store, with its endpoint. */
  readonly where: string
  readonly signal?: AbortSignal
}

interface Meaning {
  readonly code: ErrorCode
  readonly advice: string
  readonly retryable?: boolean
}

const denied: Meaning = {
  code: 'STORE_DENIED',
  advice:
    'allow these credentials s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its objects',
}
const wrongKeys: Meaning = {
  code: 'STORE_DENIED',
  advice: 'check the access key and the secret key in the credentials',
}
const expired: Meaning = { code: 'STORE_DENIED', advice: 'renew the session token in the credentials' }
const busy: Meaning = { code: 'STORE_BUSY', advice: 'run again later, or with fewer runs at once' }
const full: Meaning = { code: 'STORE_FULL', advice: 'free space in the store, or raise its quota' }
const noObject: Meaning = {
  code: 'STORE_NO_OBJECT',
  advice: 'check the path, upper and lower case included, and that what wrote it has finished',
}
const noBucket: Meaning = {
  code: 'STORE_NO_BUCKET',
  advice: 'create the bucket, or correct its name and the endpoint',
}
const otherRegion: Meaning = {
  code: 'STORE_FAILED',
  advice: "set the region (or the endpoint) that is the bucket's own",
}

const s3Meanings: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: noBucket,
  NoSuchKey: noObject,
  NoSuchUpload: {
    code: 'STORE_FAILED',
    advice: 'somebody else (a lifecycle rule of the bucket?) aborted the upload; run again',
    retryable: true,
  },
  AccessDenied: denied,
  AllAccessDisabled: denied,
  InvalidAccessKeyId: wrongKeys,
  SignatureDoesNotMatch: wrongKeys,
  ExpiredToken: expired,
  InvalidToken: expired,
  RequestTimeTooSkewed: { code: 'STORE_DENIED', advice: "set this machine's clock: signatures last 15 minutes" },
  QuotaExceeded: full,
  XMinioStorageFull: full,
  XMinioAdminBucketQuotaExceeded: full,
  PermanentRedirect: otherRegion,
  AuthorizationHeaderMalformed: otherRegion,
  PreconditionFailed: {
    code: 'STORE_FAILED',
    advice: 'the object was replaced while it was read; read it again from the start',
  },
}

const transientCodes = new Set([
  'RequestTimeout',
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'BandwidthLimitExceeded',
  'InternalError',
  'ServiceUnavailable',
  'OperationAborted',
  // Bytes that changed on the way: sent again, they arrive.
  'BadDigest',
  'IncompleteBody',
  'XAmzContentSHA256Mismatch',
])

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  // A deadline of ours: the caller's own signal is looked at before.
  'ABORT_ERR',
])

const fileMeanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: { code: 'STORE_FULL', advice: 'free space on the volume' },
  EDQUOT: { code: 'STORE_FULL', advice: 'raise the quota of the volume' },
  EACCES: { code: 'STORE_DENIED', advice: 'give this user access to the folder (in a pod: securityContext.fsGroup)' },
  EPERM: { code: 'STORE_DENIED', advice: 'give this user access to the folder (in a pod: securityContext.fsGroup)' },
  EROFS: { code: 'STORE_DENIED', advice: 'mount the volume for writing' },
  ENOENT: noObject,
  ENAMETOOLONG: { code: 'STORE_FAILED', advice: 'give it a shorter one: a name is at most 255 bytes' },
  ENOTDIR: {
    code: 'STORE_FAILED',
    advice: 'a file lies where a folder is needed: move it away, or choose another path',
  },
  EISDIR: { code: 'STORE_FAILED', advice: 'a folder lies where a file is needed: name a file in it, or another path' },
}

const tlsCode = /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|EPROTO)/

/** Whether the same request, sent again, can be answered: 5xx, throttling, timeouts, socket errors. */
export function isTransient(error: unknown): boolean {
  if (error instanceof S3Failure) {
    return transientCodes.has(error.code) || statusMeaning(error.status)?.code === 'STORE_BUSY'
  }
  return networkCodes.has(errorCode(error) ?? '')
}

/**
 * Whatever a store's operation threw, as a PgpackError: STORE_* by the S3 code, the HTTP status or the errno; CANCELLED
 * when the context's signal had fired.
 */
export function storeError(error: unknown, context: StoreContext): PgpackError {
  if (error instanceof PgpackError) return error
  if (context.signal?.aborted) {
    return new PgpackError('CANCELLED', `cancelled: ${context.action} in ${context.where}`, {
      cause: context.signal.reason,
    })
  }
  const { code, advice, retryable } = meaningOf(error)
  const status = error instanceof S3Failure ? `HTTP ${error.status}` : errorCode(error)
  return new PgpackError(code, `cannot ${context.action} in ${context.where}: ${describe(error)}; ${advice}`, {
    cause: error,
    ...(status === undefined ? {} : { status }),
    ...(retryable === undefined ? {} : { retryable }),
  })
}

function describe(error: unknown): string {
  if (!(error instanceof S3Failure)) return errorMessage(error) || (errorCode(error) ?? 'unknown error')
  const region = error.region === undefined ? '' : `, the bucket's region is ${error.region}`
  return `the server answered ${error.status} ${error.code}${error.message === '' ? '' : ` (${error.message})`}${region}`
}

function meaningOf(error: unknown): Meaning {
  if (error instanceof S3Failure) return failureMeaning(error)
  const code = errorCode(error) ?? ''
  if (tlsCode.test(code)) {
    return {
      code: 'STORE_UNREACHABLE',
      advice: "check that the endpoint's scheme is right and give the CA that signed its certificate",
      retryable: false,
    }
  }
  if (networkCodes.has(code)) {
    return { code: 'STORE_UNREACHABLE', advice: 'check the endpoint and the network (NetworkPolicy, proxy) to it' }
  }
  return (
    fileMeanings[code] ?? { code: 'STORE_FAILED', advice: "look for the cause in this machine's log, and run again" }
  )
}

function failureMeaning(failure: S3Failure): Meaning {
  const byCode = s3Meanings[failure.code] ?? (transientCodes.has(failure.code) ? busy : undefined)
  return (
    byCode ??
    statusMeaning(failure.status) ?? { code: 'STORE_FAILED', advice: "look for the request in the store's own log" }
  )
}

function statusMeaning(status: number): Meaning | undefined {
  if (status === 401 || status === 403) return denied
  if (status === 404) return noObject
  if (status === 301 || status === 307) return otherRegion
  if (status === 412) return s3Meanings['PreconditionFailed']
  if (status === 507) return full
  if (status === 408 || status === 429 || (status >= 499 && status !== 501)) return busy
  return undefined
}

import { ERROR_CODES, type ErrorCode, type PgpackError } from '../errors.ts'

/** Exit codes of the engine: 42 is what the Job's podFailurePolicy turns into "do not try again". */
export const EXIT = { done: 0, retry: 1, permanent: 42 } as const

/** Kubernetes cuts a container's termination message at 4096 bytes ("Determine the Reason for Pod Failure"). */
export const TERMINATION_MESSAGE_LIMIT = 4096

/** Counts are decimal strings: they can pass 2^53. */
export interface RunTotals {
  readonly objects: number
  readonly rows: string
  /** Bytes of the COPY streams, uncompressed. */
  readonly bytes: string
  /** Bytes in the store. */
  readonly storedBytes: string
}

/** Where a dump's files lie and how to know that they are whole. */
export interface ArtifactRef {
  /** Key prefix below the store's location; the manifest is `<path>/manifest.json`. */
  readonly path: string
  readonly manifestSHA256: string
}

export type RunResult =
  | {
      readonly outcome: 'Succeeded'
      readonly attempt: string
      readonly totals: RunTotals
      readonly seconds: number
      /** Of a dump: what it wrote. Of a restore: what it read. */
      readonly artifact: ArtifactRef
    }
  | {
      readonly outcome: 'Failed'
      readonly attempt: string
      readonly code: ErrorCode
      readonly message: string
      readonly retryable: boolean
    }

export function failedResult(attempt: string, error: PgpackError): RunResult {
  return { outcome: 'Failed', attempt, code: error.code, message: error.message, retryable: error.retryable }
}

export function exitCodeOf(result: RunResult): number {
  if (result.outcome === 'Succeeded') return EXIT.done
  return result.retryable ? EXIT.retry : EXIT.permanent
}

/** The result as a termination message: at most 4096 bytes, cut in the error's text only. */
export function encodeResult(result: RunResult): string {
  const text = JSON.stringify(result)
  if (result.outcome === 'Succeeded' || Buffer.byteLength(text) <= TERMINATION_MESSAGE_LIMIT) return text
  const excess = Buffer.byteLength(text) - TERMINATION_MESSAGE_LIMIT
  // A character of the message can take 6 bytes in JSON (\u0000) and none takes less than 1: cutting `excess`
  // characters and the mark's own bytes is always enough, and never ends inside an escape.
  const message = `${result.message.slice(0, Math.max(0, result.message.length - excess - 3))}…`
  return encodeResult({ ...result, message })
}

/** A termination message read back; undefined for anything that is not a result of ours (empty, cut, foreign). */
export function decodeResult(text: string): RunResult | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return isRunResult(value) ? value : undefined
}

function isRunResult(value: unknown): value is RunResult {
  if (typeof value !== 'object' || value === null) return false
  const result = value as Partial<Record<string, unknown>>
  if (result['outcome'] === 'Succeeded') {
    return typeof result['totals'] === 'object' && typeof result['artifact'] === 'object'
  }
  return result['outcome'] === 'Failed' && typeof result['code'] === 'string' && result['code'] in ERROR_CODES
}

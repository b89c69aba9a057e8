import type { Static } from 'typebox'
import * as Type from 'typebox'
import { Check } from 'typebox/schema'
import { ERROR_CODES, type ErrorCode, type PgpackError } from '../errors.ts'
import { decimal } from './schema.ts'

/**
 * Exit codes of the engine. 42 is what the Job's podFailurePolicy turns into "do not try again"; 143 (128 + SIGTERM, as a
 * shell has it) is a run that was told to stop, which the policy does not count as an attempt.
 */
export const EXIT = { done: 0, retry: 1, permanent: 42, cancelled: 143 } as const

/** Kubernetes cuts a container's termination message at 4096 bytes ("Determine the Reason for Pod Failure"). */
export const TERMINATION_MESSAGE_LIMIT = 4096

/** Counts are decimal strings: they can pass 2^53. */
const RunTotals = Type.Object({
  objects: Type.Integer({ minimum: 0 }),
  rows: decimal,
  /** Of the COPY streams, uncompressed. */
  bytes: decimal,
  /** In the store. */
  storedBytes: decimal,
  /** Rows that COPY refused and was told to leave out (ON_ERROR, SEGMENT REJECT LIMIT). */
  rejectedRows: Type.Optional(decimal),
})

/** Where a dump's files lie and how to know that they are whole. */
const ArtifactRef = Type.Object({
  /** Key prefix below the store's location; the manifest is `<path>/manifest.json`. */
  path: Type.String({ minLength: 1 }),
  manifestSHA256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
})

const Succeeded = Type.Object({
  outcome: Type.Literal('Succeeded'),
  attempt: Type.String(),
  totals: RunTotals,
  seconds: Type.Number({ minimum: 0 }),
  /** Of a dump: what it wrote. Of a restore: what it read. Absent where no store is involved, or nothing was written. */
  artifact: Type.Optional(ArtifactRef),
  /** Where the rows lie that COPY refused and logged: a key, or the prefix of several, below the store's location. */
  rejects: Type.Optional(Type.String({ minLength: 1 })),
  /** Of a DryRun: what would happen, cut to what the termination message holds. */
  plan: Type.Optional(Type.String()),
})

const Failed = Type.Object({
  outcome: Type.Literal('Failed'),
  attempt: Type.String(),
  code: Type.Unsafe<ErrorCode>({ type: 'string', enum: Object.keys(ERROR_CODES) }),
  message: Type.String(),
  retryable: Type.Boolean(),
})

const RunResult = Type.Union([Succeeded, Failed])

export type RunTotals = Readonly<Static<typeof RunTotals>>
export type ArtifactRef = Readonly<Static<typeof ArtifactRef>>
export type RunResult = Static<typeof RunResult>
/** What a run that succeeded has to say. */
export type Outcome = Pick<Extract<RunResult, { outcome: 'Succeeded' }>, 'totals' | 'artifact' | 'rejects' | 'plan'>

export function failedResult(attempt: string, error: PgpackError): RunResult {
  return { outcome: 'Failed', attempt, code: error.code, message: error.message, retryable: error.retryable }
}

export function exitCodeOf(result: RunResult): number {
  return result.outcome === 'Succeeded' ? EXIT.done : exitCodeOfFailure(result)
}

export function exitCodeOfFailure(failure: { readonly code: ErrorCode; readonly retryable: boolean }): number {
  if (failure.code === 'CANCELLED') return EXIT.cancelled
  return failure.retryable ? EXIT.retry : EXIT.permanent
}

/** The result as a termination message: at most 4096 bytes, cut in its longest text only, never within a character. */
export function encodeResult(result: RunResult): string {
  const text = JSON.stringify(result)
  if (Buffer.byteLength(text) <= TERMINATION_MESSAGE_LIMIT) return text
  if (result.outcome === 'Failed') return encodeCut(result.message, (message) => ({ ...result, message }))
  return encodeCut(result.plan ?? '', (plan) => ({ ...result, plan }))
}

function encodeCut(text: string, withText: (text: string) => RunResult): string {
  let room = TERMINATION_MESSAGE_LIMIT - Buffer.byteLength(JSON.stringify(withText(CUT_MARK)))
  let kept = ''
  for (const character of text) {
    room -= Buffer.byteLength(JSON.stringify(character)) - QUOTES
    if (room < 0) break
    kept += character
  }
  return JSON.stringify(withText(`${kept}${CUT_MARK}`))
}

const CUT_MARK = '…'
const QUOTES = 2

/** A termination message read back; undefined for anything that is not a result of ours (empty, cut, foreign). */
export function decodeResult(text: string): RunResult | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return Check(RunResult, value) ? value : undefined
}

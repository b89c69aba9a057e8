import { errorCode, PgpackError } from '../../src/errors.ts'
import { inspect } from '../../src/pgpack/inspect.ts'
import type { PGPackLimits } from '../../src/pgpack/limits.ts'
import { PGPackReader } from '../../src/pgpack/reader.ts'
import { bufferSource, type PGPackSource } from '../../src/pgpack/source.ts'
import { type PGPackFault, verify } from '../../src/pgpack/verify.ts'
import { inPieces } from '../support/chunks.ts'
import { pickSample, type Sample } from './corpus.ts'
import { MUTATIONS } from './mutations.ts'
import { independentBody } from './oracle.ts'
import { Random } from './random.ts'

const MIB = 1024 * 1024

/** What the runner lets a file have. */
export const LIMITS = {
  zstdWindowLog: 20,
  wholeFrameBytes: MIB,
  wholeFrameRawBytes: MIB,
  metadataBytes: MIB,
  metadataRawBytes: MIB,
} as const satisfies PGPackLimits

const IN_FLIGHT = 4
/** Memory that these limits allow by themselves. Bytes. */
export const LIMIT_BYTES =
  2 ** LIMITS.zstdWindowLog +
  IN_FLIGHT * (LIMITS.wholeFrameBytes + LIMITS.wholeFrameRawBytes) +
  LIMITS.metadataBytes +
  LIMITS.metadataRawBytes

/** The good ends of a case. */
export const GOOD_OUTCOMES = ['coded error', 'original read', 'other file read'] as const
/** The bad ones; the runner adds what a process can end in. */
export const BAD_OUTCOMES = ['wrong read', 'other error', 'disagreement', 'crash', 'hang', 'memory'] as const
export type Outcome = (typeof GOOD_OUTCOMES)[number] | (typeof BAD_OUTCOMES)[number]

export interface Case {
  readonly kind: string
  readonly sample: Sample
  readonly file: Buffer
}

export interface Verdict {
  readonly outcome: Outcome
  /** The error's code, or what is wrong. */
  readonly detail: string
}

const kinds = Object.entries(MUTATIONS)
const options = { limits: LIMITS, inFlight: IN_FLIGHT }

/** The case with this number; it depends on nothing else but the seed. */
export function makeCase(seed: number, index: number): Case {
  const [kind, mutate] = kinds[index % kinds.length] ?? ['none', ({ file }: Sample) => file]
  const random = new Random(seed, index)
  const sample = pickSample(random)
  return { kind, sample, file: mutate(sample, random) }
}

type Reading = { readonly body: Buffer; readonly length: number } | { readonly error: unknown }

/** More than any sample has: a longer body is a bomb, and only its start is kept. */
const KEPT_BYTES = MIB

async function read(source: PGPackSource): Promise<Reading> {
  try {
    const pieces: Buffer[] = []
    let length = 0
    for await (const piece of (await PGPackReader.open(source, options)).body()) {
      length += piece.length
      if (length <= KEPT_BYTES) pieces.push(piece)
    }
    return { body: Buffer.concat(pieces), length }
  } catch (error) {
    return { error }
  }
}

async function caught(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error
  }
}

/** What came of reading a file in every way there is. */
export interface Examination {
  readonly reading: Reading
  readonly streamed: Reading
  readonly fault: PGPackFault | undefined
  /** Of inspect(), peek() and verify() itself, when they failed. */
  readonly lookErrors: readonly unknown[]
}

/**
 * Reads a file as a store's object and as a stream, verifies it and looks at it. Never rejects.
 * @param settle called before each of them, to collect the garbage of the one before
 */
export async function examine(file: Buffer, settle: () => void = () => undefined): Promise<Examination> {
  const errorOf = (work: () => Promise<unknown>) => {
    settle()
    return caught(work)
  }
  const source = bufferSource(file)
  const looks = [
    await errorOf(() => inspect(source, options)),
    await errorOf(async () => (await PGPackReader.open(source, options)).peek()),
  ]
  let fault: PGPackFault | undefined
  looks.push(
    await errorOf(async () => {
      fault = (await verify(source, options)).fault
    }),
  )
  const lookErrors = looks.filter((error) => error !== undefined)
  settle()
  const reading = await read(source)
  settle()
  const streamed = await read(inPieces(file, [1000]))
  return { reading, streamed, lookErrors, fault }
}

/** The ways of reading must agree, and the result must be an error with a code, or right. */
export function judge({ sample, file }: Case, { reading, streamed, fault, lookErrors }: Examination): Verdict {
  const errors = [reading, streamed].flatMap((one) => ('error' in one ? [one.error] : []))
  const strange = [...errors, ...lookErrors].find((error) => !isCoded(error))
  if (strange !== undefined) return { outcome: 'other error', detail: String(strange).slice(0, 200) }
  const code = 'error' in reading ? errorCode(reading.error) : undefined
  if (fault?.code !== code) return disagreement(`verify(): ${fault?.code}, body(): ${code}`)
  if ('error' in reading) {
    return 'error' in streamed ? { outcome: 'coded error', detail: `${code}` } : disagreement('the stream was read')
  }
  if (lookErrors.length > 0) return disagreement(`body() reads it, but not inspect() or peek(): ${lookErrors[0]}`)
  if ('error' in streamed || streamed.length !== reading.length || !streamed.body.equals(reading.body)) {
    return disagreement('the stream was read in another way')
  }
  return judgeBody(reading, sample, file)
}

/** Messages go into conditions and Events: a file must not be able to fill them. */
const MAX_MESSAGE = 2000

function isCoded(error: unknown): boolean {
  return error instanceof PgpackError && error.code.startsWith('PGPACK_') && error.message.length < MAX_MESSAGE
}

function disagreement(detail: string): Verdict {
  return { outcome: 'disagreement', detail }
}

function judgeBody({ body, length }: { body: Buffer; length: number }, sample: Sample, file: Buffer): Verdict {
  if (body.equals(sample.raw)) return { outcome: 'original read', detail: '' }
  try {
    const expected = independentBody(file, sample.columns.length)
    const same = expected?.length === length && expected.subarray(0, body.length).equals(body)
    if (same) return { outcome: 'other file read', detail: '' }
    return { outcome: 'wrong read', detail: `${length} bytes, expected ${expected?.length}` }
  } catch (error) {
    return { outcome: 'wrong read', detail: `other decoders refuse it: ${String(error)}` }
  }
}

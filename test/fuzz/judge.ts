import { PgpackError } from '../../src/errors.ts'
import { inspect } from '../../src/pgpack/inspect.ts'
import type { PGPackLimits } from '../../src/pgpack/limits.ts'
import { PGPackReader } from '../../src/pgpack/reader.ts'
import { bufferSource, type PGPackSource } from '../../src/pgpack/source.ts'
import { verify } from '../../src/pgpack/verify.ts'
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
  metadataRawBytes: 2 * MIB,
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

/** More than any sample has: a longer body is a bomb, and not kept. */
const KEPT_BYTES = 2 * MIB

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

/** Reads a case's file in every way there is: they must agree, and the result must be an error with a code or right. */
export async function judge({ sample, file }: Case): Promise<Verdict> {
  const reading = await read(bufferSource(file))
  const verdict = 'error' in reading ? judgeError(reading.error) : judgeBody(reading, sample, file)
  return (await disagreement(verdict, reading, file)) ?? verdict
}

function judgeError(error: unknown): Verdict {
  const coded = error instanceof PgpackError && error.code.startsWith('PGPACK_')
  if (coded && error.message.length < 2000) return { outcome: 'coded error', detail: error.code }
  return { outcome: 'other error', detail: String(error).slice(0, 200) }
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

/** verify(), inspect(), peek() and the reading of a stream see the same file. */
async function disagreement(verdict: Verdict, reading: Reading, file: Buffer): Promise<Verdict | undefined> {
  const code = 'error' in reading ? verdict.detail : undefined
  const { fault } = await verify(bufferSource(file), options)
  if (fault?.code !== code) return disagree(`verify(): ${fault?.code}, body(): ${code}`)
  const stream = await read(inPieces(file, [1000]))
  if ('error' in stream !== 'error' in reading) return disagree(`a stream: ${'error' in stream}, a file: ${code}`)
  if ('error' in stream && judgeError(stream.error).outcome !== 'coded error') return judgeError(stream.error)
  const looks = [() => inspect(bufferSource(file), options), () => peek(file)]
  for (const look of looks) {
    const error = await look().then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    if (error === undefined) continue
    if (code === undefined) return disagree(`inspect() or peek() refuses what body() reads: ${String(error.error)}`)
    if (judgeError(error.error).outcome !== 'coded error') return judgeError(error.error)
  }
  return undefined
}

function disagree(detail: string): Verdict {
  return { outcome: 'disagreement', detail }
}

async function peek(file: Buffer): Promise<unknown> {
  return (await PGPackReader.open(bufferSource(file), options)).peek()
}

import { createHash } from 'node:crypto'
import { type ErrorCode, PgpackError } from '../errors.ts'
import { giveBack } from '../memory.ts'
import type { PGPackColumn } from './columns.ts'
import { PGPackReader, type PGPackReaderOptions } from './reader.ts'
import type { PGPackSource } from './source.ts'

/** The first thing that is wrong with a file. */
export interface PGPackFault {
  readonly code: ErrorCode
  readonly message: string
  /** Of the file; of the raw body for PGPACK_ROW_MALFORMED and a missing trailer, as the message says. */
  readonly offset: number | undefined
  readonly expected: string | undefined
  readonly found: string | undefined
}

export interface PGPackVerification {
  /** Undefined when all is well. */
  readonly fault: PGPackFault | undefined
  /** Undefined when the head could not be read. */
  readonly columns: readonly PGPackColumn[] | undefined
  /** Up to the fault, when there is one. */
  readonly rows: bigint
  readonly rawBytes: bigint
  readonly storedBytes: bigint
  /** Frames of the body, without skippable ones; LZ4 and zstd frames, Snappy chunks, 0 for None and Gzip. */
  readonly frames: number
  /** Hex, comparable with a manifest's; undefined with a fault. */
  readonly headSHA256: string | undefined
  readonly bodySHA256: string | undefined
}

/**
 * Checks everything that can be checked without a database: head, lengths, every frame, the structure of every row.
 * A fault of the file is in the result; an error of the source is thrown.
 */
export async function verify(source: PGPackSource, options: PGPackReaderOptions = {}): Promise<PGPackVerification> {
  const progress = { reader: undefined as PGPackReader | undefined, rawBytes: 0, storedBytes: 0, frames: 0 }
  const hash = createHash('sha256')
  const faults: PGPackFault[] = []
  try {
    progress.reader = await PGPackReader.open(source, options)
    const body = progress.reader.body({
      onStored: (bytes) => {
        progress.storedBytes += bytes.length
        hash.update(bytes)
      },
      onFrame: () => {
        progress.frames++
      },
    })
    for await (const piece of body) {
      progress.rawBytes += piece.length
      giveBack(piece)
    }
  } catch (error) {
    faults.push(toFault(error))
  }
  const [fault] = faults
  const { reader } = progress
  return {
    fault,
    columns: reader?.columns,
    rows: BigInt(reader?.rows ?? 0),
    rawBytes: BigInt(progress.rawBytes),
    storedBytes: BigInt(progress.storedBytes),
    frames: progress.frames,
    headSHA256: reader && !fault ? createHash('sha256').update(reader.head).digest('hex') : undefined,
    bodySHA256: fault ? undefined : hash.digest('hex'),
  }
}

function toFault(error: unknown): PGPackFault {
  if (!(error instanceof PgpackError) || !error.code.startsWith('PGPACK_')) throw error
  const { offset, expected, found } = error.details
  return {
    code: error.code,
    message: error.message,
    offset: offset === undefined ? undefined : Number(offset),
    expected,
    found,
  }
}

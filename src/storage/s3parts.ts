import { createHash, type Hash } from 'node:crypto'

/** Limits of a multipart upload (Amazon S3 User Guide, "Amazon S3 multipart upload limits"). */
export const MIB = 1024 * 1024
export const MIN_PART_SIZE = 5 * MIB
export const MAX_PART_SIZE = 5 * 1024 * MIB
export const MAX_PARTS = 10_000
export const MAX_OBJECT_SIZE = 5 * MIB * MIB

/** Parts until 20 GiB; no larger, because every part is kept in memory until the store has it. */
export const FIRST_PART_SIZE = 8 * MIB

/**
 * What one store's uploads may have in flight together, whatever their number: 4 parts, and 64 MiB once parts have
 * grown. To it comes one part per upload that is being gathered, and one that waits for its head.
 */
export const PARTS_IN_FLIGHT = 4
export const BYTES_IN_FLIGHT = 64 * MIB

/** Parts of one size before growth starts, then by how much and how often: 10,000 of them hold more than 5 TiB. */
const EVEN_PARTS = 2_500
const GROWTH = 1.088
const GROWTH_STEP = 100

/** A known size is spread over half of the parts: a hint that is too low by half still costs no growth. */
const HINTED_PARTS = MAX_PARTS / 2

/**
 * Bytes of part `partNumber` (from 1): 8 MiB for the first 20 GiB, then growing with the number so that 5 TiB fits in
 * 10,000 parts even if nothing was known; a large `sizeHint` (bytes) gives larger parts from the start, smaller at the end.
 */
export function partSize(partNumber: number, sizeHint = 0): number {
  const steps = Math.max(0, Math.ceil((partNumber - EVEN_PARTS) / GROWTH_STEP))
  const wanted = Math.max(FIRST_PART_SIZE * GROWTH ** steps, Math.min(sizeHint, MAX_OBJECT_SIZE) / HINTED_PARTS)
  return Math.min(Math.ceil(wanted / MIB) * MIB, MAX_PART_SIZE)
}

/** A part on its way: the chunks as they came, never joined, and their SHA-256 computed as they come. */
export class Part {
  readonly number: number
  readonly capacity: number
  readonly #headLength: number
  #chunks: Buffer[] = []
  #hash: Hash | undefined
  #size: number

  /** @param headLength bytes at its start that only `seal` brings; they delay the hash until then. */
  constructor(number: number, capacity: number, headLength = 0) {
    this.number = number
    this.capacity = Math.max(capacity, headLength)
    this.#headLength = headLength
    this.#size = headLength
    this.#hash = headLength === 0 ? createHash('sha256') : undefined
  }

  get size(): number {
    return this.#size
  }

  get room(): number {
    return this.capacity - this.#size
  }

  get chunks(): readonly Buffer[] {
    return this.#chunks
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#hash?.update(chunk)
    this.#size += chunk.length
  }

  /** No more bytes: puts the head in its place and gives the body and its SHA-256 in hexadecimal. */
  seal(head?: Buffer): SealedPart {
    if ((head?.length ?? 0) !== this.#headLength) throw new RangeError(`a head of ${this.#headLength} bytes is needed`)
    const chunks = head === undefined ? this.#chunks : [head, ...this.#chunks]
    this.#chunks = []
    const hash = this.#hash ?? chunks.reduce((sum, chunk) => sum.update(chunk), createHash('sha256'))
    return { number: this.number, size: this.#size, chunks, sha256: hash.digest('hex') }
  }
}

export interface SealedPart {
  readonly number: number
  readonly size: number
  readonly chunks: readonly Buffer[]
  readonly sha256: string
}

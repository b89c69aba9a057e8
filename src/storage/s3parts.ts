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

/** A part on its way: its bytes gathered in one buffer, their SHA-256 computed as they come. */
export class Part {
  readonly number: number
  readonly buffer: Buffer
  readonly #headLength: number
  #hash: Hash | undefined
  #size: number

  /**
   * @param buffer as long as the part may become
   * @param headLength bytes at its start that only `seal` brings; they delay the hash until then
   */
  constructor(number: number, buffer: Buffer, headLength = 0) {
    this.number = number
    this.buffer = buffer
    this.#headLength = headLength
    this.#size = headLength
    this.#hash = headLength === 0 ? createHash('sha256') : undefined
  }

  get size(): number {
    return this.#size
  }

  get room(): number {
    return this.buffer.length - this.#size
  }

  /** Copies the chunk, which must fit. */
  push(chunk: Buffer): void {
    chunk.copy(this.buffer, this.#size)
    this.#hash?.update(chunk)
    this.#size += chunk.length
  }

  /** No more bytes: puts the head in its place and gives the body and its SHA-256 in hexadecimal. */
  seal(head?: Buffer): SealedPart {
    if ((head?.length ?? 0) !== this.#headLength) throw new RangeError(`a head of ${this.#headLength} bytes is needed`)
    head?.copy(this.buffer)
    const data = this.buffer.subarray(0, this.#size)
    const hash = this.#hash ?? createHash('sha256').update(data)
    return { number: this.number, data, sha256: hash.digest('hex') }
  }
}

export interface SealedPart {
  readonly number: number
  readonly data: Buffer
  readonly sha256: string
}

/**
 * Buffers of parts, used again. Chunks are copied into them (an eighth of what their SHA-256 costs) and not kept in a
 * list, because a list lives through several minor collections: its chunks are then freed by the next major one only,
 * and an upload of 400 MiB in chunks of 1 MiB was seen to take 130 MiB of memory for 40 MiB that were in flight.
 */
export class PartBuffers {
  #free: Buffer[] = []

  take(size: number): Buffer {
    // Sizes grow with the part number: one that does not fit any more is not kept.
    this.#free = this.#free.filter((buffer) => buffer.length === size)
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(size)
  }

  /** The buffer must not be looked at any more. */
  give(buffer: Buffer): void {
    if (this.#free.length < PARTS_IN_FLIGHT) this.#free.push(buffer)
  }
}

import { createHash, type Hash } from 'node:crypto'

/** Limits of a multipart upload (Amazon S3 User Guide, "Amazon S3 multipart upload limits"). */
export const MIB = 1024 * 1024
export const MIN_PART_SIZE = 5 * MIB
export const MAX_PART_SIZE = 5 * 1024 * MIB
export const MAX_PARTS = 10_000
export const MAX_OBJECT_SIZE = 5 * MIB * MIB

/** Parts until 12 GiB; no larger, because every part is kept in memory until the store has it. */
export const FIRST_PART_SIZE = MIN_PART_SIZE

/** What one store's uploads may have in flight together, whatever their number: so many parts near by, so many far away. */
export const PARTS_IN_FLIGHT = 4
export const MAX_PARTS_IN_FLIGHT = 12

/** The same in bytes. To it comes what each upload gathers (up to a part), and one part that waits for its head. */
export const BYTES_IN_FLIGHT = MAX_PARTS_IN_FLIGHT * FIRST_PART_SIZE

/** Milliseconds of latency that one more part in flight makes up for. */
const LATENCY_PER_PART_MS = 3.5

/**
 * How many parts hide that the store answers after `latencyMs`. A part is kept until it is answered, so memory is spent
 * on latency where there is some: at 30 ms 12 parts were seen to give 1.3 times the throughput of 8, near by nothing.
 */
export function partsInFlight(latencyMs: number): number {
  return Math.min(MAX_PARTS_IN_FLIGHT, PARTS_IN_FLIGHT + Math.floor(latencyMs / LATENCY_PER_PART_MS))
}

/** Parts of one size before growth starts, then by how much and how often: 10,000 of them hold more than 5 TiB. */
const EVEN_PARTS = 2_500
const GROWTH = 1.096
const GROWTH_STEP = 100

/** A known size is spread over half of the parts: a hint that is too low by half still costs no growth. */
const HINTED_PARTS = MAX_PARTS / 2

/**
 * Bytes of part `partNumber` (from 1): 5 MiB for the first 12 GiB, then growing with the number so that 5 TiB fits in
 * 10,000 parts even if nothing was known; a large `sizeHint` (bytes) gives larger parts from the start, smaller at the end.
 */
export function partSize(partNumber: number, sizeHint = 0): number {
  const steps = Math.max(0, Math.ceil((partNumber - EVEN_PARTS) / GROWTH_STEP))
  const wanted = Math.max(FIRST_PART_SIZE * GROWTH ** steps, Math.min(sizeHint, MAX_OBJECT_SIZE) / HINTED_PARTS)
  return Math.min(Math.ceil(wanted / MIB) * MIB, MAX_PART_SIZE)
}

/** What memory is taken and sent by: a part that is being gathered takes no more than it has. */
export const BLOCK_SIZE = MIB

/**
 * Memory of one store's parts, used again. Chunks are copied into blocks (an eighth of what their SHA-256 costs) and not
 * kept themselves: they would live through several minor collections and be freed by the next major one only, and an
 * upload of 400 MiB in chunks of 1 MiB was seen to take 130 MiB of memory for 40 MiB that were in flight.
 */
export class BlockPool {
  readonly #free: Buffer[] = []

  /** BLOCK_SIZE bytes of any content. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_SIZE)
  }

  /** The blocks must not be looked at any more. */
  give(blocks: readonly Buffer[]): void {
    this.#free.push(...blocks.slice(0, MAX_FREE_BLOCKS - this.#free.length))
  }
}

/** What is in flight at most while parts are small; parts that have grown give the rest back. */
const MAX_FREE_BLOCKS = BYTES_IN_FLIGHT / BLOCK_SIZE

/** A part on its way: its bytes gathered in blocks, their SHA-256 computed as they come. */
export class Part {
  readonly number: number
  readonly #pool: BlockPool
  readonly #capacity: number
  readonly #headLength: number
  #blocks: Buffer[] = []
  #hash: Hash | undefined
  #size: number

  /**
   * @param capacity bytes that it takes at most
   * @param headLength bytes at its start that only `seal` brings; they delay the hash until then
   */
  constructor(number: number, pool: BlockPool, capacity: number, headLength = 0) {
    this.number = number
    this.#pool = pool
    this.#capacity = capacity
    this.#headLength = headLength
    this.#size = headLength
    this.#hash = headLength === 0 ? createHash('sha256') : undefined
  }

  get size(): number {
    return this.#size
  }

  get room(): number {
    return this.#capacity - this.#size
  }

  /** Copies the chunk, which must fit. */
  push(chunk: Buffer): void {
    if (chunk.length > this.room) throw new RangeError(`${chunk.length} bytes do not fit into ${this.room}`)
    this.#hash?.update(chunk)
    this.#copy(chunk, this.#size)
    this.#size += chunk.length
  }

  /** No more bytes: puts the head in its place and gives the body and its SHA-256 in hexadecimal. */
  seal(head: Buffer = Buffer.alloc(0)): SealedPart {
    if (head.length !== this.#headLength) throw new RangeError(`a head of ${this.#headLength} bytes is needed`)
    this.#copy(head, 0)
    const blocks = this.#blocks.map((block, index) => block.subarray(0, this.#size - index * BLOCK_SIZE))
    const hash = this.#hash ?? createHash('sha256')
    if (this.#hash === undefined) for (const block of blocks) hash.update(block)
    return { number: this.number, size: this.#size, blocks, sha256: hash.digest('hex') }
  }

  /** Its memory goes to the next part; neither it nor what `seal` gave may be used any more. */
  free(): void {
    this.#pool.give(this.#blocks)
    this.#blocks = []
  }

  #copy(bytes: Buffer, position: number): void {
    for (let done = 0; done < bytes.length; ) {
      const at = position + done
      done += bytes.copy(this.#blockOf(at), at % BLOCK_SIZE, done)
    }
  }

  /** The block that holds this byte; a head longer than a block lies in several that are not there yet. */
  #blockOf(position: number): Buffer {
    const index = Math.floor(position / BLOCK_SIZE)
    while (this.#blocks.length <= index) this.#blocks.push(this.#pool.take())
    return this.#blocks[index] as Buffer
  }
}

export interface SealedPart {
  readonly number: number
  readonly size: number
  /** In order; all but the last of BLOCK_SIZE bytes. */
  readonly blocks: readonly Buffer[]
  /** Hexadecimal. */
  readonly sha256: string
}

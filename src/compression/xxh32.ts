const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1
const STRIPE = 16

/** xxHash32 with seed 0, the checksum of LZ4 frames (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). */
export class XXH32 {
  readonly #lanes = new Int32Array([PRIME_1 + PRIME_2, PRIME_2, 0, -PRIME_1])
  readonly #rest = Buffer.alloc(STRIPE)
  #restLength = 0
  #total = 0

  update(data: Buffer): this {
    this.#total += data.length
    let from = 0
    if (this.#restLength > 0) {
      from = Math.min(STRIPE - this.#restLength, data.length)
      data.copy(this.#rest, this.#restLength, 0, from)
      this.#restLength += from
      if (this.#restLength < STRIPE) return this
      this.#stripes(this.#rest, 0, STRIPE)
    }
    const end = data.length - ((data.length - from) % STRIPE)
    this.#stripes(data, from, end)
    this.#restLength = data.copy(this.#rest, 0, end)
    return this
  }

  /** The hash as an unsigned number. */
  digest(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#lanes
    let hash =
      this.#total >= STRIPE
        ? rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)
        : (this.#lanes[2] ?? 0) + PRIME_5
    hash = (hash + this.#total) | 0
    let at = 0
    for (; at + 4 <= this.#restLength; at += 4) {
      hash = Math.imul(rotate((hash + Math.imul(this.#rest.readInt32LE(at), PRIME_3)) | 0, 17), PRIME_4)
    }
    for (; at < this.#restLength; at++) {
      hash = Math.imul(rotate((hash + Math.imul(this.#rest.readUInt8(at), PRIME_5)) | 0, 11), PRIME_1)
    }
    return avalanche(hash)
  }

  #stripes(data: Buffer, from: number, end: number): void {
    let [a = 0, b = 0, c = 0, d = 0] = this.#lanes
    for (let at = from; at < end; at += STRIPE) {
      a = round(a, data.readInt32LE(at))
      b = round(b, data.readInt32LE(at + 4))
      c = round(c, data.readInt32LE(at + 8))
      d = round(d, data.readInt32LE(at + 12))
    }
    this.#lanes.set([a, b, c, d])
  }
}

export function xxh32(data: Buffer): number {
  return new XXH32().update(data).digest()
}

function round(lane: number, input: number): number {
  return Math.imul(rotate((lane + Math.imul(input, PRIME_2)) | 0, 13), PRIME_1)
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function avalanche(value: number): number {
  let hash = Math.imul(value ^ (value >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}

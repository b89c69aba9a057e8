/** Numbers that lengths and counts break at: borders of signed and unsigned integers of 8, 16, 31 and 32 bits. */
const BORDERS = [0, 1, 2, 3, 19, 21, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000] as const

/** A reproducible source of choices: the same seed and stream give the same ones on every machine (splitmix32). */
export class Random {
  #state: number

  constructor(seed: number, stream: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35)
  }

  /** A whole number from 0 up to and without `limit`. */
  below(limit: number): number {
    return limit < 1 ? 0 : Math.floor((this.#next() / 0x1_0000_0000) * limit)
  }

  /** From `low` to `high`, both included; small ones more often. */
  skewed(low: number, high: number): number {
    return low + Math.floor((high - low + 1) ** (this.#next() / 0x1_0000_0000)) - 1
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)]
    if (choice === undefined) throw new RangeError('nothing to choose from')
    return choice
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }

  /** A 32-bit number at, or one off, a border. */
  border(): number {
    return (this.pick(BORDERS) + this.pick([-1, 0, 1])) >>> 0
  }

  #next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0
    let mixed = this.#state ^ (this.#state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
}

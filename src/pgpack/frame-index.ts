/** What lies before a frame: bytes of the stored body, rows, and bytes of the raw body (its PGCOPY header included). */
export type FrameIndexEntry = readonly [storedOffset: number, rows: number, rawBytes: number]

/** Points at which the body can be entered: a frame starts there, and a row. */
export interface FrameIndex {
  /** There is an entry for each `every`-th frame, from the first on. */
  readonly every: number
  readonly entries: readonly FrameIndexEntry[]
}

export const MAX_FRAME_INDEX_ENTRIES = 4096

/** Collects a frame index of bounded size: when it is full, each second entry goes and the granularity doubles. */
export class FrameIndexBuilder {
  readonly #limit: number
  #entries: FrameIndexEntry[] = []
  #every = 1
  #frames = 0

  constructor(limit = MAX_FRAME_INDEX_ENTRIES) {
    this.#limit = limit
  }

  /** Takes the start of the next frame. */
  add(entry: FrameIndexEntry): void {
    const number = this.#frames++
    if (number % this.#every !== 0) return
    if (this.#entries.length === this.#limit) {
      this.#entries = this.#entries.filter((_, index) => index % 2 === 0)
      this.#every *= 2
      if (number % this.#every !== 0) return
    }
    this.#entries.push(entry)
  }

  build(): FrameIndex {
    return { every: this.#every, entries: [...this.#entries] }
  }
}

export interface AutoLevelLimits {
  readonly lowest: number
  readonly highest: number
  readonly start: number
}

/** Above 9, zstd pays seconds for thousandths. */
const DEFAULT_LIMITS: AutoLevelLimits = { lowest: 1, highest: 9, start: 3 }
/** Chunks over which the queue is averaged before the level changes. */
const WINDOW_CHUNKS = 16
/** Shares of the compressions allowed at once: with more than this under way chunks come faster than they leave. */
const FULL = 0.75
const IDLE = 0.3
const FIRST_PATIENCE_WINDOWS = 4
const MAX_PATIENCE_WINDOWS = 256

/**
 * Chooses zstd's level by the queue of compressions, so that the compressor never is what a dump waits for: a full queue
 * lowers the level, an almost empty one raises it. A level that was too slow is tried again ever more seldom, as the
 * source may have become slower. A slow sink leaves the queue empty, and gets fewer bytes.
 */
export class AutoLevel {
  readonly #limits: AutoLevelLimits
  #level: number
  #seen = 0
  #sum = 0
  /** The lowest level known to be too slow, and for how many windows it is not tried again. */
  #tooSlow = Number.POSITIVE_INFINITY
  #patience = FIRST_PATIENCE_WINDOWS
  #wait = 0

  constructor(limits: Partial<AutoLevelLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
    this.#level = this.#limits.start
  }

  get level(): number {
    return this.#level
  }

  /** Told of each chunk when it comes: the share of the allowed compressions that run at that moment, 0 to 1. */
  observe(share: number): void {
    this.#seen += 1
    this.#sum += share
    if (this.#seen < WINDOW_CHUNKS) return
    const mean = this.#sum / this.#seen
    this.#seen = 0
    this.#sum = 0
    this.#wait -= 1
    if (mean >= FULL) this.#lower()
    else if (mean <= IDLE) this.#raise()
  }

  #lower(): void {
    if (this.#level === this.#limits.lowest) return
    if (this.#level === this.#tooSlow) this.#patience = Math.min(2 * this.#patience, MAX_PATIENCE_WINDOWS)
    this.#tooSlow = this.#level
    this.#wait = this.#patience
    this.#level -= 1
  }

  #raise(): void {
    if (this.#level === this.#limits.highest) return
    if (this.#level + 1 >= this.#tooSlow && this.#wait > 0) return
    this.#level += 1
  }
}

import type { Clock } from '../manager/clock.ts'

/**
 * Does things in turn, with a pause between two of them: what fifty runs want at the same moment would reach the API
 * server as a burst, in which everything else waits as well.
 */
export class Pacer {
  readonly #clock: Clock
  readonly #pauseMs: number
  /** In the order of {@link enqueue}. */
  readonly #waiting = new Set<() => void>()
  #lastAt = Number.NEGATIVE_INFINITY
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock, pauseMs: number) {
    this.#clock = clock
    this.#pauseMs = pauseMs
  }

  /** Calls `work` once, now or in its turn. The returned function takes it back. */
  enqueue(work: () => void): () => void {
    this.#waiting.add(work)
    if (this.#cancelTimer === undefined) this.#next()
    return () => {
      this.#waiting.delete(work)
      if (this.#waiting.size === 0) this.#disarm()
    }
  }

  #next(): void {
    this.#disarm()
    const [work] = this.#waiting
    if (work === undefined) return
    const wait = this.#lastAt + this.#pauseMs - this.#clock.now()
    if (wait > 0) {
      this.#cancelTimer = this.#clock.setTimeout(() => this.#next(), wait)
      return
    }
    this.#waiting.delete(work)
    this.#lastAt = this.#clock.now()
    if (this.#waiting.size > 0) this.#cancelTimer = this.#clock.setTimeout(() => this.#next(), this.#pauseMs)
    work()
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}

/** Long enough that one slow batch does not jump the display, short enough that a change shows. */
export const RATE_WINDOW_MS = 30_000
const MIN_SPAN_MS = 1_000

interface Sample {
  readonly at: number
  readonly bytes: number
}

/** Bytes a second over the last half minute, from counts that only grow. */
export class RateMeter {
  #samples: Sample[] = []

  /** Takes the count at a time (monotonic milliseconds); undefined until there is a second to divide by. */
  measure(at: number, bytes: number): number | undefined {
    this.#samples.push({ at, bytes })
    // The newest sample that is older than the window stays, as the window's start.
    while ((this.#samples[1]?.at ?? at) <= at - RATE_WINDOW_MS) this.#samples.shift()
    const [first] = this.#samples
    if (first === undefined || at - first.at < MIN_SPAN_MS) return undefined
    return Math.max(0, ((bytes - first.bytes) * 1000) / (at - first.at))
  }
}

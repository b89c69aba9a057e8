import type { Clock } from '../../../../src/operator/manager/clock.ts'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** Lets everything run that only waits for promises. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A clock that stands still until it is moved. */
export class FakeClock implements Clock {
  readonly #start = Date.parse('2026-01-01T00:00:00Z')
  #now = 0
  #timers: Timer[] = []

  now(): number {
    return this.#now
  }

  date(): Date {
    return new Date(this.#start + this.#now)
  }

  setTimeout(callback: () => void, ms: number): () => void {
    const timer = { at: this.#now + Math.max(0, ms), callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Milliseconds until the next timer, or undefined. */
  get untilNext(): number | undefined {
    const next = this.#next()
    return next === undefined ? undefined : next.at - this.#now
  }

  /** Moves on, calling each timer at its time and letting what it starts run. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#fire(next)
      await settle()
    }
    this.#now = end
  }

  /** {@link advance} without letting promises run in between. */
  advanceNow(ms: number): void {
    const end = this.#now + ms
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) this.#fire(next)
    this.#now = end
  }

  /** The time passes and nothing runs, as when the whole process was stopped. */
  freeze(ms: number): void {
    this.#now += ms
  }

  #next(): Timer | undefined {
    return this.#timers.toSorted((a, b) => a.at - b.at)[0]
  }

  #fire(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer)
    this.#now = Math.max(this.#now, timer.at)
    timer.callback()
  }
}

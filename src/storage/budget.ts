/** A place taken in a budget; giving it back twice counts once. */
export type Release = () => void

interface Waiter {
  readonly bytes: number
  readonly grant: (release: Release) => void
}

/**
 * Bounds what is in flight at once, by count and by bytes, first come first served. A request larger than the whole
 * budget waits until it is alone.
 */
export class Budget {
  #count: number
  readonly #bytes: number
  #usedCount = 0
  #usedBytes = 0
  #waiters: Waiter[] = []

  constructor(count: number, bytes: number) {
    this.#count = count
    this.#bytes = bytes
  }

  /** Changes how many may be in flight; more are let in at once, and fewer as those in flight end. */
  set count(count: number) {
    this.#count = count
    this.#admit()
  }

  /** Resolves when there is room; rejects with the signal's reason when it fires first. */
  acquire(bytes: number, signal: AbortSignal): Promise<Release> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        reject(signal.reason)
        // The one that left may have been what the others were waiting behind.
        this.#admit()
      }
      const grant = (release: Release) => {
        signal.removeEventListener('abort', onAbort)
        resolve(release)
      }
      const waiter = { bytes: Math.min(bytes, this.#bytes), grant }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
      this.#admit()
    })
  }

  #admit(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      if (this.#usedCount >= this.#count || this.#usedBytes + waiter.bytes > this.#bytes) return
      this.#waiters.shift()
      this.#grant(waiter)
    }
  }

  #grant({ bytes, grant }: Waiter): void {
    this.#usedCount++
    this.#usedBytes += bytes
    let held = true
    grant(() => {
      if (!held) return
      held = false
      this.#usedCount--
      this.#usedBytes -= bytes
      this.#admit()
    })
  }
}

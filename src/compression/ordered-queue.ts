type Settled<T> = { readonly value: T } | { readonly error: unknown }

/**
 * Work that runs at the same time and is taken in the order in which it was added. A rejection waits for its turn in
 * `take()` and is never an unhandled one.
 */
export class OrderedQueue<T> {
  readonly #pending: Promise<Settled<T>>[] = []

  get size(): number {
    return this.#pending.length
  }

  add(work: Promise<T>): void {
    this.#pending.push(
      work.then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      ),
    )
  }

  /** The oldest work's result. @throws what it rejected with */
  async take(): Promise<T> {
    const settled = await this.#pending.shift()
    if (settled === undefined) throw new RangeError('take() from an empty OrderedQueue')
    if ('error' in settled) throw settled.error
    return settled.value
  }

  /** Takes results until fewer than `limit` are left. */
  async *takeDownTo(limit: number): AsyncGenerator<T> {
    while (this.#pending.length > limit) yield await this.take()
  }

  /** Waits until nothing runs any more and forgets the results: for leaving early. */
  async idle(): Promise<void> {
    await Promise.all(this.#pending.splice(0))
  }
}

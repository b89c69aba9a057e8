import type { Progress } from '../run/progress.ts'

/** What percent is counted by: rows where the planner's estimate is all there is, stored bytes where a file's size is known. */
export interface ProgressPlan {
  readonly objects: number
  readonly unit: 'rows' | 'storedBytes'
  /** Undefined where it is not known, as for a query: then there is no percent. */
  readonly total: bigint | undefined
}

const HUNDRED = 100n

/** Counts what a run has moved and tells `emit` now and then: at most once every `intervalMs`, and at the end. */
export class ProgressMeter {
  readonly #emit: (progress: Progress) => void
  readonly #now: () => number
  readonly #intervalMs: number
  #emittedAt = Number.NEGATIVE_INFINITY
  #plan: ProgressPlan = { objects: 0, unit: 'rows', total: undefined }
  #objectsDone = 0
  #rows = 0n
  #bytes = 0n
  #storedBytes = 0n

  constructor(emit: (progress: Progress) => void, options: { now: () => number; intervalMs: number }) {
    this.#emit = emit
    this.#now = options.now
    this.#intervalMs = options.intervalMs
  }

  start(plan: ProgressPlan): void {
    this.#plan = plan
    this.#tell()
  }

  /** Rows and uncompressed bytes that passed the COPY stream. */
  moved(rows: number, bytes: number): void {
    this.#rows += BigInt(rows)
    this.#bytes += BigInt(bytes)
    this.#tellNowAndThen()
  }

  /** Compressed bytes that were written to or read from the store since the last call. */
  stored(bytes: number): void {
    this.#storedBytes += BigInt(bytes)
    this.#tellNowAndThen()
  }

  objectDone(): void {
    this.#objectsDone += 1
    this.#tell()
  }

  snapshot(): Progress {
    const percent = this.#percent()
    return {
      objects: this.#plan.objects,
      objectsDone: this.#objectsDone,
      rows: String(this.#rows),
      bytes: String(this.#bytes),
      storedBytes: String(this.#storedBytes),
      ...(percent === undefined ? {} : { percent }),
    }
  }

  /** An estimate can be too low: 100 is said only when every object is done. */
  #percent(): number | undefined {
    const { objects, total, unit } = this.#plan
    if (objects > 0 && this.#objectsDone === objects) return 100
    if (total === undefined || total <= 0n) return undefined
    const done = unit === 'rows' ? this.#rows : this.#storedBytes
    const percent = (done * HUNDRED) / total
    return percent > 99n ? 99 : Number(percent)
  }

  #tellNowAndThen(): void {
    if (this.#now() - this.#emittedAt >= this.#intervalMs) this.#tell()
  }

  #tell(): void {
    this.#emittedAt = this.#now()
    this.#emit(this.snapshot())
  }
}

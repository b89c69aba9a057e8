import type { Logger } from '../log.ts'
import type { ProgressMeter } from './progress.ts'

/** What every step of a run gets besides its own arguments. */
export interface RunContext {
  /** Fires when the run is to stop: SIGTERM, a user's Ctrl-C, or the failure of a sibling. */
  readonly signal: AbortSignal
  readonly log: Logger
  readonly progress: ProgressMeter
  /** Told when it is known that JavaScript will look at no single row. */
  readonly onBytesOnly?: (() => void) | undefined
}

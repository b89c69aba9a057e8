import { type Measured, measure } from './child.ts'

/** What must be reached against another contestant of the same contest. */
export interface Target {
  readonly against: string
  /** Ratio of throughput, ours to theirs. */
  readonly atLeast: number
  readonly reachFor?: number
}

export interface Contestant {
  readonly name: string
  /** A line of bash. */
  readonly command: string
  readonly env?: Readonly<Record<string, string>>
  /** Done before each run, outside the measured time. */
  readonly prepare?: () => Promise<unknown>
  /** Looks after each run whether the work was done. @throws where it was not */
  readonly check?: () => Promise<void>
  /** Rounds that it takes part in, for what is slow by an order of magnitude; all when not given. */
  readonly rounds?: number
  readonly target?: Target
  /** Peak resident set that must not be passed, MiB. */
  readonly memoryLimit?: number
}

/** Contestants that do the same work, so that their times can be compared. */
export interface Contest {
  readonly section: string
  readonly title: string
  /** Raw bytes that each of them moves. */
  readonly bytes: number
  readonly contestants: readonly Contestant[]
}

export interface Entry {
  readonly contestant: Contestant
  /** By round; absent where it did not take part. */
  readonly runs: readonly (Measured | undefined)[]
  readonly failure: string | undefined
}

export interface Played {
  readonly contest: Contest
  readonly entries: readonly Entry[]
}

/**
 * Lets the contestants run one after another, round by round, each round beginning with another one: what else the
 * machine does then hits all of them alike. One that fails is out, and the contest goes on.
 */
export async function play(contest: Contest, rounds: number, log: (line: string) => void): Promise<Played> {
  const entries = contest.contestants.map((contestant) => new Running(contestant))
  for (let round = 0; round < rounds; round++) {
    const first = round % entries.length
    for (const entry of [...entries.slice(first), ...entries.slice(0, first)]) {
      await entry.run(round)
      log(`${contest.title}, round ${round + 1}, ${entry.lastLine()}`)
    }
  }
  return { contest, entries }
}

class Running implements Entry {
  readonly contestant: Contestant
  readonly runs: (Measured | undefined)[] = []
  failure: string | undefined

  constructor(contestant: Contestant) {
    this.contestant = contestant
  }

  async run(round: number): Promise<void> {
    const { command, env = {}, prepare, check, rounds = Number.POSITIVE_INFINITY } = this.contestant
    this.runs.push(undefined)
    if (this.failure !== undefined || round >= rounds) return
    try {
      await prepare?.()
      const measured = await measure(command, env)
      await check?.()
      this.runs[round] = measured
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error)
    }
  }

  lastLine(): string {
    const last = this.runs.at(-1)
    const seconds = last === undefined ? (this.failure ?? 'not in this round') : `${last.seconds.toFixed(2)} s`
    return `${this.contestant.name}: ${seconds}`
  }
}

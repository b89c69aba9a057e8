import { type FaultName, infoOf } from './faults.ts'

/** One fault of a run of chaos. */
export interface Step {
  /** Counted from 1. */
  readonly number: number
  readonly fault: FaultName
  /** To wait since the last fault was over. */
  readonly pauseMs: number
  /** How long it lasts; 0 for one that is over at once. */
  readonly lastsMs: number
  /** From 0 to below 1: which of those that it could hit. */
  readonly pick: number
}

const PAUSE_MS = [300, 4_000] as const

/**
 * Faults in an order that follows from the seed alone. They are drawn from a bag that holds each as often as it weighs,
 * and is filled again when it is empty: every kind comes, however short the run.
 */
export function schedule(seed: number, count: number, names: readonly FaultName[]): Step[] {
  const random = createRandom(seed)
  const steps: Step[] = []
  let bag: FaultName[] = []
  while (steps.length < count) {
    if (bag.length === 0) bag = shuffle(fillBag(names), random)
    const fault = bag.pop()
    if (fault === undefined) throw new Error('no fault is possible here')
    const [shortest, longest] = infoOf(fault).seconds ?? [0, 0]
    steps.push({
      number: steps.length + 1,
      fault,
      pauseMs: Math.round(between(random(), ...PAUSE_MS)),
      lastsMs: Math.round(between(random(), shortest * 1000, longest * 1000)),
      pick: random(),
    })
  }
  return steps
}

function fillBag(names: readonly FaultName[]): FaultName[] {
  return names.flatMap((name) => Array.from({ length: infoOf(name).weight }, () => name))
}

/** One of several; undefined of none. */
export function pickOne<T>(items: readonly T[], pick: number): T | undefined {
  return items[Math.floor(pick * items.length)]
}

function between(fraction: number, low: number, high: number): number {
  return low + fraction * (high - low)
}

/** Fisher and Yates'. */
function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items]
  const shuffled: T[] = []
  while (left.length > 0) shuffled.push(...left.splice(Math.floor(random() * left.length), 1))
  return shuffled
}

/** Numbers from 0 to below 1 by Mulberry32: the same for the same seed, on every machine. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
